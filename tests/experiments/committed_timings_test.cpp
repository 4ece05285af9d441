// Committed medians, percentiles, rates, speedups and intervals are what the committed passes give.
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "catch.h"
#include "core/files.h"
#include "experiments/deployment_methods.h"
#include "paths.h"
#include "support/deployment_rows.h"

using namespace outlierlab;

namespace {

/// Passes by parameter and value of the rows that they gave, then by variant.
using Cells = std::map<std::pair<std::string, std::string>, PassSeconds>;

/// The file's columns: variant, the network where there are several, batch x length, round, milliseconds.
Cells read_samples(const std::filesystem::path& file) {
  Cells cells;
  std::istringstream lines(read_file(file));
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::vector<std::string> fields;
    std::istringstream text(line);
    for (std::string field; std::getline(text, field, ',');) fields.push_back(field);
    const std::size_t n = fields.size();
    REQUIRE((n == 4 || n == 5));
    const std::string parameter = (n == 5 ? fields[1] + " " : "") + "batch x length";
    cells[{parameter, fields[n - 3]}][fields[0]].push_back(1e-3 * std::stod(fields[n - 1]));
  }
  return cells;
}

std::vector<Row> rows_of(const PassSeconds& passes, const std::string& variant, const std::string& cell) {
  const std::string engine = variant.rfind("cuda ", 0) == 0 ? "cuda" : "int8";
  const std::size_t examples = std::stoul(cell),
                    tokens = examples * std::stoul(cell.substr(cell.find('x') + 1));
  const auto reference = passes.find(reference_method(engine).variant());
  return latency_rows(passes.at(variant),
                      reference == passes.end() ? std::vector<double>() : reference->second, examples, tokens,
                      timing_on(engine, tokens, 0).block);
}

}  // namespace

TEST_CASE("Committed rows of deployment are what the committed passes give", "[experiments]") {
  std::size_t files = 0;
  std::vector<std::filesystem::path> folders;
  for (const char* results : {"results", "bench/results"}) {
    for (const auto& entry : std::filesystem::directory_iterator(test::source(results)))
      folders.push_back(entry.path());
  }
  for (const std::filesystem::path& folder : folders) {
    for (const char* experiment : {"deployment", "deployment_shapes"}) {
      const auto samples = folder / (std::string(experiment) + "-samples.csv");
      if (!std::filesystem::exists(samples)) continue;
      ++files;
      const Cells cells = read_samples(samples);
      std::size_t timed = 0, seen = 0;
      for (const auto& [cell, passes] : cells) timed += passes.size();
      for (const Row& row : read_rows(folder / (std::string(experiment) + ".csv"))) {
        const auto cell = cells.find({row.parameter, row.value});
        if (cell == cells.end()) continue;
        INFO(row.model << ", " << row.variant << ", " << row.parameter << " " << row.value << ", "
                       << row.metric);
        seen += row.metric == "latency_p50_ms";
        bool found = false;
        for (const Row& expected : rows_of(cell->second, row.variant, row.value)) {
          if (expected.metric != row.metric) continue;
          found = true;
          // Passes are kept to the nanosecond.
          REQUIRE(row.estimate == Approx(expected.estimate).epsilon(1e-4));
          REQUIRE(row.n == expected.n);
          // Files from before rare latencies had intervals are kept as they were.
          const bool before = folder.parent_path().parent_path().filename() == "bench" && !row.ci_low &&
                              row.metric != "latency_p50_ms";
          if (!before) REQUIRE(row.ci_low.has_value() == expected.ci_low.has_value());
          if (!row.ci_low) continue;
          REQUIRE(*row.ci_low == Approx(*expected.ci_low).epsilon(1e-4));
          REQUIRE(*row.ci_high == Approx(*expected.ci_high).epsilon(1e-4));
        }
        REQUIRE((found || row.metric == "memory_device_peak_mb" || row.metric == "memory_weights_mb"));
      }
      REQUIRE(seen == timed);
    }
  }
  REQUIRE(files >= 4);
}

TEST_CASE("The committed deployment has every method, batch and length, and every figure of them",
          "[experiments]") {
  const auto folder = test::source("results/minilm-qnli-qnli");
  const auto record = nlohmann::json::parse(read_file(folder / "deployment.json"));
  REQUIRE_FALSE(record.contains("not_timed"));
  REQUIRE_FALSE(record.contains("unfinished"));
  test::require_complete_deployment(read_rows(folder / "deployment.csv"), 512, {});
}
