#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace outlierlab {

/// One measurement in a result file (docs/design.md, section 7). Accuracy, agreement and shares are in
/// percent, KL in nats.
struct Row {
  std::string experiment, model, task;
  std::string variant;    ///< what was done: "w8a8", "percentile", "peg"
  std::string parameter;  ///< what was varied: "percentile", "groups", "site"; may be empty
  std::string value;      ///< its value, as text: "99.99", "4", "layer.3.ffn_output"
  std::string metric;     ///< "accuracy", "kl", "agreement", "mcnemar_p", "kurtosis", ...
  double estimate = 0;
  std::optional<double> ci_low, ci_high;
  std::optional<std::uint64_t> n;
  std::uint64_t seed = 0;  ///< 0: nothing was drawn (the first N examples)

  /// What identifies the row within its file.
  std::string key() const;
};

/// The rows of an experiment's CSV file: a header, quoting by RFC 4180, lines that end with LF (CRLF is read
/// too). Numbers are written with 10 significant digits: a file that is read and written again keeps its
/// bytes. A NaN or an Inf, half an interval, a repeated key, or a damaged line (a missing last line end
/// included) is an Error naming file and line.
std::string to_csv(const std::vector<Row>& rows);
std::vector<Row> parse_csv(const std::string& text, const std::string& file_name);
std::vector<Row> read_rows(const std::filesystem::path& file);

/// Collects the rows of one experiment and keeps its file on disk up to date: each append leaves a complete,
/// readable file. With `resume`, rows already in the file are kept and `find` returns them; without it, the
/// first append replaces the file. Rows stand in the order of their appends, so a resumed run leaves the same
/// bytes as an uninterrupted one.
class RowWriter {
 public:
  RowWriter(std::filesystem::path file, bool resume);
  /// Rows that a finished measurement left in the file, by (variant, parameter, value, seed); empty if none.
  std::vector<Row> find(const std::string& variant, const std::string& parameter, const std::string& value,
                        std::uint64_t seed) const;
  /// Appends the rows of one measurement, all or none, rounded as the file holds them. Throws Error for a key
  /// that is there already and for NaN or Inf.
  void append(const std::vector<Row>& rows);
  const std::vector<Row>& rows() const { return rows_; }

 private:
  std::filesystem::path file_;
  std::vector<Row> rows_;
};

}  // namespace outlierlab
