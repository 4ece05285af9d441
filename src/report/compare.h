#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "report/row.h"

namespace outlierlab {

struct CompareOptions {
  double tolerance = 0.01;  ///< relative, for metrics without an interval
  bool exact = false;       ///< estimate, interval and n must be equal, as files print them
};

/// By what two rows agree.
enum class Criterion { equal, interval, p_value, tolerance };

/// Two rows with one key whose figures do not agree, or a row that one side lacks.
struct Difference {
  std::string file;  ///< below the compared folders
  std::string row;   ///< "w8a8, accuracy"
  std::string text;  ///< "54.33 [53.0, 55.6] against 60.1 [58.8, 61.4]"
};

struct Comparison {
  std::size_t files = 0;   ///< present on both sides
  std::size_t rows = 0;    ///< rows compared
  std::size_t agreed = 0;  ///< of these
  std::map<Criterion, std::size_t> agreed_by;
  std::size_t left_out = 0;  ///< rows of the first side that depend on the machine
  std::vector<Difference> differences;
  std::vector<std::string> only_first, only_second;  ///< files

  bool all_agree() const { return differences.empty(); }
  /// "12 of 14 rows in 2 files agree: 10 equal, 2 by overlapping 95 % intervals; ...", and what was left out.
  std::string summary(const CompareOptions& options) const;
};

/// By what the rows tell the same, if they do: equal estimates and intervals, or overlapping intervals where
/// both have one, or, for metrics without intervals, a difference within the relative tolerance. Two McNemar
/// p-values also agree if they fall on the same side of 0.01, since a single flipped prediction moves p by
/// more than any tolerance. Rows of another number of examples never agree.
std::optional<Criterion> rows_agree(const Row& a, const Row& b, const CompareOptions& options);

/// Pairs the CSV files below two folders by relative path (or two files), and their rows by key. Metrics of
/// the machine (seconds, latency, throughput, memory) are left out and counted; files of figures' data
/// (is_data_file) are not looked at. Throws Error if the sides share no file.
Comparison compare_results(const std::filesystem::path& first, const std::filesystem::path& second,
                           const CompareOptions& options = {});

}  // namespace outlierlab
