#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "app/agreement.h"
#include "app/bench.h"
#include "app/session.h"
#include "app/subprocess.h"
#include "core/error.h"
#include "core/files.h"
#include "core/parallel.h"
#include "core/quantile.h"
#include "core/temporary_folder.h"
#include "engine/cpu/cpu_executor.h"
#include "engine/packed_file.h"
#include "lower/packed_model.h"

namespace outlierlab {

namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

/// Seconds from a process's start to the end of its first line, and to its end.
struct Answer {
  double first_line = 0, end = 0;
};

Answer time_process(const std::vector<std::string>& arguments) {
  const auto start = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  Answer answer;
  run_self(arguments, [&](const std::string& so_far) {
    if (answer.first_line == 0 && so_far.find('\n') != std::string::npos) answer.first_line = elapsed();
  });
  answer.end = elapsed();
  if (answer.first_line == 0) fail_expected("bench --startup: outlierlab classify", "an answer", "none");
  return answer;
}

/// Drops a file's clean pages from the page cache, as far as nobody has them mapped; whether they are gone: a
/// file system in memory keeps them.
bool drop_from_cache(const fs::path& path) {
  if (!fs::is_regular_file(path) || fs::file_size(path) == 0) return true;
  const std::size_t bytes = fs::file_size(path);
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  ::fsync(file);
  ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  void* const mapped = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file, 0);
  ::close(file);
  if (mapped == MAP_FAILED) return false;
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> resident((bytes + page - 1) / page, 1);
  ::mincore(mapped, bytes, resident.data());
  ::munmap(mapped, bytes);
  const auto left = std::count_if(resident.begin(), resident.end(), [](unsigned char r) { return r & 1; });
  return static_cast<std::size_t>(left) <= resident.size() / 100;
}

/// Writes the packed model of w8a8, and says how it agrees with its scheme.
Agreement pack_w8a8(const CommonOptions& options, const fs::path& file) {
  Session session = open_session(options);
  Evaluator& evaluator = *session.evaluator;
  const Scheme scheme = Scheme::load("w8a8", resource_root() / "configs" / "schemes", {});
  // As `pack` writes it: a file that names its model needs no digest of the checkpoint.
  engine::Model written = *evaluator.lowered(scheme);
  written.facts["provenance"] =
      Json{{"model", session.model.name}, {"model_sha256", evaluator.model_sha256()}}.dump();
  write_packed_model(file, written);
  engine::CpuExecutor executor(engine::read_packed_model(file.string()));
  Simulation simulation(evaluator, scheme);
  return engine_agreement(simulation, executor);
}

}  // namespace

Json bench_startup(const CommonOptions& options, std::size_t repeats) {
  const TemporaryFolder folder;
  const fs::path packed = folder / "w8a8.safetensors";
  const Agreement agreement = pack_w8a8(options, packed);
  const ModelEntry model = find_model(options.model);
  std::vector<std::string> texts = {"Where is the lamp?", "The lamp that they bought is in the hall."};
  texts.resize(task_of(options, model)->text_columns.size());
  std::vector<fs::path> files = {packed};
  for (const fs::directory_entry& entry : fs::directory_iterator(model.folder)) files.push_back(entry.path());

  struct Row {
    std::string name;
    std::vector<std::string> more;
    bool cold;
    std::vector<double> first_line, end;
  };
  const std::vector<std::string> int8 = {"--packed", packed.string()};
  std::vector<Row> rows = {{"fp32", {}, false, {}, {}},
                           {"int8", int8, false, {}, {}},
                           {"fp32", {}, true, {}, {}},
                           {"int8", int8, true, {}, {}}};
  fmt::print("int8 (w8a8): {}\n", agreement.text());
  if (!agreement.holds()) {
    fmt::print("int8 is not timed: expected {}\n", Agreement::required_text());
    rows = {rows[0], rows[2]};
  }
  for (std::size_t i = 0; i <= repeats; ++i) {
    for (Row& row : rows) {
      std::vector<std::string> words = {"classify",
                                        "--model",
                                        options.model,
                                        "--task",
                                        options.task.empty() ? model.task : options.task,
                                        "--threads",
                                        std::to_string(threads())};
      words.insert(words.end(), row.more.begin(), row.more.end());
      words.insert(words.end(), texts.begin(), texts.end());
      if (row.cold) {
        for (const fs::path& file : files) {
          // Of files that belong to others the kernel does not tell.
          if (!drop_from_cache(file) && file == packed)
            fail_expected(file.string() + ": bench --startup",
                          "a file that leaves the page cache when asked to",
                          "one that stays, as in a file system in memory (TMPDIR names another)");
        }
      }
      const Answer answer = time_process(words);
      if (i == 0) continue;  // also brings the files into the cache
      row.first_line.push_back(answer.first_line);
      row.end.push_back(answer.end);
    }
    // The next round's warm rows must be warm.
    for (const fs::path& file : files) {
      if (fs::is_regular_file(file)) (void)read_file(file);
    }
  }
  Json result = Json::array();
  fmt::print("{}: start-up to first answer of `outlierlab classify`, {} threads, {} repeats\n\n",
             options.model, threads(), repeats);
  fmt::print("{:<8} {:<12} {:>16} {:>16}\n", "model", "page cache", "first answer, s", "whole process, s");
  for (const Row& row : rows) {
    const char* cache = row.cold ? "dropped" : "warm";
    fmt::print("{:<8} {:<12} {:>16.3f} {:>16.3f}\n", row.name, cache, median(row.first_line),
               median(row.end));
    result.push_back({{"model", row.name},
                      {"page_cache", cache},
                      {"first_answer_seconds", row.first_line},
                      {"process_seconds", row.end},
                      {"median_first_answer_seconds", median(row.first_line)}});
  }
  return result;
}

}  // namespace outlierlab
