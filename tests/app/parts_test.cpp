#include <nlohmann/json.hpp>

#include "app/options.h"
#include "app/progress.h"
#include "app/provenance.h"
#include "catch.h"
#include "core/files.h"
#include "paths.h"

using namespace outlierlab;

TEST_CASE("options fill their targets and keep defaults", "[app]") {
  CommonOptions values;
  bool dry = false;
  std::vector<std::string> names;
  double tolerance = 0.5;
  Options options("study", "Does something.", "outlierlab study a");
  add_common(options, values, {"model", "limit", "threads", "set", "resume", "out"});
  options.flag("dry", "only says what it would do", &dry);
  options.add("tolerance", "X", "how much", &tolerance, -1, 1);
  options.positional("NAME", "names", &names, 1, 3);
  REQUIRE(options.parse(
      {"a", "--model=m", "--set", "a.b=c", "b", "--set", "d.e=f g", "--tolerance", "-0.25", "--dry"}));
  REQUIRE(values.model == "m");
  REQUIRE(values.set == std::vector<std::string>{"a.b=c", "d.e=f g"});
  REQUIRE(values.limit == 0);
  REQUIRE_FALSE(values.resume);
  REQUIRE(dry);
  REQUIRE(tolerance == -0.25);
  REQUIRE(names == std::vector<std::string>{"a", "b"});
  REQUIRE_THROWS_AS(options.parse({}), UsageError);
  REQUIRE_ERROR(options.parse({"a", "b", "c", "d"}), "at most 3", "found 4");
  REQUIRE_ERROR(options.parse({"a", "--tolerance", "-2"}), "from -1 to 1");
  REQUIRE(options.help().find("(default: 0.5)") != std::string::npos);
  REQUIRE(options.help().find("--limit N") != std::string::npos);
}

TEST_CASE("a progress line tells share, rate and time left", "[app]") {
  REQUIRE(progress_line("w", 0, 10, 0) == "w: 0/10 (0 %)");
  REQUIRE(progress_line("w", 5, 10, 2.5) == "w: 5/10 (50 %), 2/s, 3 s left");
  REQUIRE(progress_line("w", 1, 1000, 10) == "w: 1/1000 (0 %), 0.1/s, 2:46 h left");
  REQUIRE(progress_line("w", 10, 10, 75) == "w: 10/10 (100 %), 0.133/s, 1:15 min");
  REQUIRE(progress_line("w", 0, 0, 1) == "w: 0/0 (100 %)");
}

TEST_CASE("progress refreshes a terminal and is sparing elsewhere", "[app]") {
  std::vector<std::string> lines;
  Progress::Clock::time_point now{};
  const auto write = [&](const std::string& text) { lines.push_back(text); };
  const auto clock = [&] { return now; };
  const auto work = [&](bool terminal) {
    lines.clear();
    Progress progress("w", 60, terminal, write, clock);
    for (int i = 0; i < 60; ++i) {
      now += std::chrono::milliseconds(500);
      progress.advance();
    }
  };
  work(false);
  REQUIRE(lines.size() == 4);  // at 10, 20 and 30 seconds, and the end
  for (const std::string& line : lines) {
    REQUIRE(line.back() == '\n');
    REQUIRE(line.find('\r') == std::string::npos);
  }
  work(true);
  REQUIRE(lines.size() == 61);
  REQUIRE(lines.front().front() == '\r');
  REQUIRE(lines.front().back() != '\n');
  REQUIRE(lines.back().back() == '\n');
}

TEST_CASE("a failed piece of work does not claim to be finished", "[app]") {
  std::vector<std::string> lines;
  try {
    Progress progress(
        "w", 3, false, [&](const std::string& text) { lines.push_back(text); }, Progress::Clock::now);
    throw Error("broken");
  } catch (const Error&) {
  }
  REQUIRE(lines.empty());
}

TEST_CASE("provenance holds what is needed and no folders", "[app]") {
  const auto folder = test::scratch("provenance");
  write_file_atomically(folder / "dev.tsv", "abc");
  Provenance provenance(
      {"run", "baseline", "--data", folder.string() + "/", "--out=" + folder.string(), "--set", "a.b=/c"});
  provenance.add_file("data", folder / "dev.tsv");
  provenance.set_config("[weights]\nbits = 8\n");
  provenance.set("experiment", "baseline");
  const auto json = provenance.to_json();
  const std::string name = folder.filename().string();
  REQUIRE(json["command"] == "outlierlab run baseline --data " + name + " --out=" + name + " --set a.b=/c");
  REQUIRE(json["files"]["data"]["name"] == "dev.tsv");
  REQUIRE(json["files"]["data"]["sha256"] == sha256("abc"));
  REQUIRE(json["experiment"] == "baseline");
  for (const char* key : {"version", "revision", "compiler", "libraries", "cpu", "instructions", "threads",
                          "config", "started", "wall_seconds", "peak_memory_bytes"}) {
    INFO(key);
    REQUIRE(json.contains(key));
  }
  REQUIRE(json["peak_memory_bytes"] > 1000000);
  REQUIRE(json["started"].get<std::string>().size() == 20);
  REQUIRE(json.dump().find(folder.parent_path().string() + "/") == std::string::npos);
}

TEST_CASE("the reference BLAS is told from optimized ones", "[app]") {
  const std::string start = "7f0000000000-7f0000001000 r-xp 00000000 08:01 42   ";
  REQUIRE(reference_blas(start + "/usr/lib/x86_64-linux-gnu/blas/libblas.so.3.11.0\n"));
  REQUIRE_FALSE(reference_blas(start + "/usr/lib/x86_64-linux-gnu/openblas-openmp/libblas.so.3\n"));
  REQUIRE_FALSE(reference_blas(start + "/usr/lib/x86_64-linux-gnu/libopenblasp-r0.3.21.so\n"));
  REQUIRE_FALSE(reference_blas(start + "[heap]\n"));
}
