#include "report/compare.h"

#include <fmt/format.h>

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

std::string figures(const Row& row, bool exact) {
  if (!exact) return Measurement{row.variant, row.parameter, row.value, row.metric, row, {}}.text();
  std::string text = fmt::format("{:.10g}", row.estimate);
  if (row.ci_low) text += fmt::format(" [{:.10g}, {:.10g}]", *row.ci_low, *row.ci_high);
  return text;
}

std::string difference(const Row& a, const Row& b, bool exact) {
  const auto side = [&](const Row& row) {
    const std::string n = row.n ? std::to_string(*row.n) : "none";
    return figures(row, exact) + (a.n == b.n ? "" : " (n = " + n + ")");
  };
  return side(a) + " against " + side(b);
}

void compare_files(const fs::path& first, const fs::path& second, const std::string& name,
                   const CompareOptions& options, Comparison& result) {
  std::map<std::string, Row> others;
  for (const Row& row : read_rows(second)) {
    if (!depends_on_machine(row.metric)) others.emplace(row.key(), row);
  }
  ++result.files;
  for (const Row& row : read_rows(first)) {
    if (depends_on_machine(row.metric)) {
      ++result.left_out;
      continue;
    }
    const auto other = others.find(row.key());
    if (other == others.end()) {
      result.differences.push_back({name, describe(row), "only in the first"});
      continue;
    }
    ++result.rows;
    if (const auto criterion = rows_agree(row, other->second, options)) {
      ++result.agreed;
      ++result.agreed_by[*criterion];
    } else {
      result.differences.push_back({name, describe(row), difference(row, other->second, options.exact)});
    }
    others.erase(other);
  }
  for (const auto& [key, row] : others)
    result.differences.push_back({name, describe(row), "only in the second"});
}

}  // namespace

std::optional<Criterion> rows_agree(const Row& a, const Row& b, const CompareOptions& options) {
  if (to_csv({a}) == to_csv({b})) return Criterion::equal;
  if (options.exact || a.n != b.n) return std::nullopt;
  const auto if_so = [](bool agree, Criterion criterion) {
    return agree ? std::optional(criterion) : std::nullopt;
  };
  if (a.ci_low && b.ci_low)
    return if_so(*a.ci_low <= *b.ci_high && *b.ci_low <= *a.ci_high, Criterion::interval);
  if (a.metric == "mcnemar_p" && (a.estimate < 0.01) == (b.estimate < 0.01)) return Criterion::p_value;
  const double larger = std::max(std::fabs(a.estimate), std::fabs(b.estimate));
  return if_so(std::fabs(a.estimate - b.estimate) <= options.tolerance * larger, Criterion::tolerance);
}

std::string Comparison::summary(const CompareOptions& options) const {
  std::string text = fmt::format("{} of {} rows in {} file{} ", agreed, rows, files, files == 1 ? "" : "s");
  text += options.exact ? "are equal (value, interval and n as printed)" : "agree";
  if (!options.exact) {
    const std::pair<Criterion, std::string> criteria[] = {
        {Criterion::equal, "equal"},
        {Criterion::interval, "by overlapping 95 % intervals"},
        {Criterion::p_value, "by p on the same side of 0.01"},
        {Criterion::tolerance, fmt::format("within {:g} %", 100 * options.tolerance)}};
    const char* separator = ": ";
    for (const auto& [criterion, name] : criteria) {
      const auto count = agreed_by.find(criterion);
      if (count == agreed_by.end()) continue;
      text += fmt::format("{}{} {}", separator, count->second, name);
      separator = ", ";
    }
  }
  const std::size_t unpaired = differences.size() - (rows - agreed);
  if (unpaired > 0)
    text += fmt::format("; {} more stand{} on one side only", unpaired, unpaired == 1 ? "s" : "");
  if (left_out > 0) text += fmt::format("; {} of time, memory and engines left out", left_out);
  return text;
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
