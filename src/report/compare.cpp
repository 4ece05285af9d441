#include "report/compare.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/error.h"
#include "report/measurement.h"
#include "report/results.h"

namespace outlierlab {

namespace fs = std::filesystem;

namespace {

bool depends_on_machine(const std::string& metric) {
  static const char* const beginnings[] = {"seconds",
                                           "examples_per_second",
                                           "latency",
                                           "throughput",
                                           "memory",
                                           "speedup",
                                           "joules",
                                           "gops",
                                           "gbytes",
                                           "share_of_",
                                           "arithmetic_intensity",
                                           "time_share",
                                           "engine_",
                                           "simulation_agreement"};
  return std::any_of(std::begin(beginnings), std::end(beginnings),
                     [&](const char* beginning) { return metric.rfind(beginning, 0) == 0; });
}

std::set<std::string> csv_files(const fs::path& folder) {
  std::set<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && entry.path().extension() == ".csv" && !is_data_file(entry.path())) {
      files.insert(fs::relative(entry.path(), folder).generic_string());
    }
  }
  return files;
}

std::string describe(const Row& row) {
  std::string text = row.variant;
  if (!row.parameter.empty()) text += " " + row.parameter + "=" + row.value;
  if (row.seed > 0) text += " seed " + std::to_string(row.seed);
  return text + ", " + row.metric;
}

std::string figures(const Row& row) {
  return Measurement{row.variant, row.parameter, row.value, row.metric, row, {}}.text();
}

void compare_files(const fs::path& first, const fs::path& second, const std::string& name,
                   const CompareOptions& options, Comparison& result) {
  std::map<std::string, Row> others;
  for (const Row& row : read_rows(second)) {
    if (!depends_on_machine(row.metric)) others.emplace(row.key(), row);
  }
  ++result.files;
  for (const Row& row : read_rows(first)) {
    if (depends_on_machine(row.metric)) continue;
    const auto other = others.find(row.key());
    if (other == others.end()) {
      result.differences.push_back({name, describe(row), "only in the first"});
      continue;
    }
    ++result.rows;
    if (rows_agree(row, other->second, options)) {
      ++result.agreed;
    } else {
      result.differences.push_back(
          {name, describe(row), figures(row) + " against " + figures(other->second)});
    }
    others.erase(other);
  }
  for (const auto& [key, row] : others)
    result.differences.push_back({name, describe(row), "only in the second"});
}

}  // namespace

bool rows_agree(const Row& a, const Row& b, const CompareOptions& options) {
  if (a.estimate == b.estimate) return true;
  if (a.ci_low && b.ci_low) return *a.ci_low <= *b.ci_high && *b.ci_low <= *a.ci_high;
  if (a.metric == "mcnemar_p" && (a.estimate < 0.01) == (b.estimate < 0.01)) return true;
  const double larger = std::max(std::fabs(a.estimate), std::fabs(b.estimate));
  return std::fabs(a.estimate - b.estimate) <= options.tolerance * larger;
}

Comparison compare_results(const fs::path& first, const fs::path& second, const CompareOptions& options) {
  for (const fs::path& side : {first, second}) {
    if (!fs::exists(side)) fail_expected(side.string(), "a folder of results or a CSV file", "nothing");
  }
  if (fs::is_directory(first) != fs::is_directory(second)) {
    fail_expected("compare", "two folders or two files", "one of each");
  }
  Comparison result;
  if (!fs::is_directory(first)) {
    compare_files(first, second, first.filename().string(), options, result);
    return result;
  }
  const std::set<std::string> a = csv_files(first), b = csv_files(second);
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(result.only_first));
  std::set_difference(b.begin(), b.end(), a.begin(), a.end(), std::back_inserter(result.only_second));
  for (const std::string& name : a) {
    if (b.count(name)) compare_files(first / name, second / name, name, options, result);
  }
  if (result.files == 0) {
    fail_expected(first.string() + " and " + second.string(), "at least one CSV file on both sides", "none");
  }
  return result;
}

}  // namespace outlierlab
