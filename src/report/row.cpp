#include "report/row.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <set>

#include "core/error.h"
#include "core/files.h"

namespace outlierlab {

namespace fs = std::filesystem;

namespace {

constexpr const char* header =
    "experiment,model,task,variant,parameter,value,metric,estimate,ci_low,ci_high,n,seed";
constexpr std::size_t columns = 12;

std::string quote(const std::string& cell) {
  if (cell.find_first_of(",\"\r\n") == std::string::npos) return cell;
  std::string quoted = "\"";
  for (char c : cell) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

std::string describe(const Row& row) {
  return row.experiment + ": " + row.variant +
         (row.parameter.empty() ? "" : " " + row.parameter + "=" + row.value) + ", " + row.metric;
}

void require_sound(const Row& row, const std::string& place) {
  if (row.variant.empty() || row.metric.empty())
    fail_expected(place, "a variant and a metric", "an empty one");
  if (!std::isfinite(row.estimate))
    fail_expected(place, "a finite estimate", fmt::format("{}", row.estimate));
  if (row.ci_low.has_value() != row.ci_high.has_value()) {
    fail_expected(place, "both ends of the interval or neither", "one");
  }
  if (row.ci_low &&
      !(std::isfinite(*row.ci_low) && std::isfinite(*row.ci_high) && *row.ci_low <= *row.ci_high)) {
    fail_expected(place, "an interval ci_low <= ci_high", fmt::format("{} to {}", *row.ci_low, *row.ci_high));
  }
}

std::string number(double value) {
  return fmt::format("{:.10g}", value);
}

/// The value as it will read back from the file.
double as_written(double value) {
  const std::string text = number(value);
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Row as_written(Row row) {
  row.estimate = as_written(row.estimate);
  if (row.ci_low) row.ci_low = as_written(*row.ci_low);
  if (row.ci_high) row.ci_high = as_written(*row.ci_high);
  return row;
}

/// Splits CSV (RFC 4180; lines end with LF or CRLF) into records, each with the number of its first line.
class CsvReader {
 public:
  CsvReader(const std::string& text, const std::string& file_name) : text_(text), file_name_(file_name) {}

  bool next(std::vector<std::string>& cells) {
    if (at_ == text_.size()) return false;
    record_line_ = line_;
    cells.assign(1, "");
    while (true) {
      if (at_ < text_.size() && text_[at_] == '"' && cells.back().empty()) {
        read_quoted(cells.back());
      } else {
        read_plain(cells.back());
      }
      if (at_ == text_.size())
        fail_expected(place(), "a line end after the last cell", "the end of the file");
      const char c = text_[at_++];
      if (c == ',') {
        cells.emplace_back();
        continue;
      }
      if (c == '\r' && at_ < text_.size() && text_[at_] == '\n') ++at_;
      if (c == '"' || (c == '\r' && text_[at_ - 1] != '\n')) {
        fail_expected(place(), "a comma or a line end after a cell",
                      c == '"' ? "a quote" : "a carriage return");
      }
      ++line_;
      return true;
    }
  }

  std::string place() const { return file_name_ + ":" + std::to_string(record_line_); }

 private:
  void read_plain(std::string& cell) {
    const auto end = text_.find_first_of(",\"\r\n", at_);
    cell = text_.substr(at_, end == std::string::npos ? end : end - at_);
    at_ = end == std::string::npos ? text_.size() : end;
  }

  void read_quoted(std::string& cell) {
    for (++at_; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"') {
        if (at_ + 1 == text_.size() || text_[at_ + 1] != '"') {
          ++at_;
          if (at_ < text_.size() && std::string_view(",\r\n").find(text_[at_]) == std::string_view::npos) {
            fail_expected(place(), "a comma or a line end after a quoted cell", std::string(1, text_[at_]));
          }
          return;
        }
        ++at_;
      }
      if (c == '\n') ++line_;
      cell += c;
    }
    fail_expected(place(), "a closing quote", "the end of the file");
  }

  const std::string& text_;
  const std::string& file_name_;
  std::size_t at_ = 0;
  std::size_t line_ = 1, record_line_ = 1;
};

template <typename Number>
Number parse_number(const std::string& cell, const std::string& place, const char* column,
                    const char* expected) {
  Number value{};
  const char* end = cell.data() + cell.size();
  const auto [stop, error] = std::from_chars(cell.data(), end, value);
  if (cell.empty() || error != std::errc() || stop != end) {
    fail_expected(place + ": " + column, expected, "'" + cell + "'");
  }
  return value;
}

template <typename Number>
std::optional<Number> parse_optional(const std::string& cell, const std::string& place, const char* column,
                                     const char* expected) {
  if (cell.empty()) return std::nullopt;
  return parse_number<Number>(cell, place, column, expected);
}

Row parse_row(const std::vector<std::string>& cells, const std::string& place) {
  if (cells.size() != columns) {
    fail_expected(place, std::to_string(columns) + " cells", std::to_string(cells.size()));
  }
  Row row;
  row.experiment = cells[0];
  row.model = cells[1];
  row.task = cells[2];
  row.variant = cells[3];
  row.parameter = cells[4];
  row.value = cells[5];
  row.metric = cells[6];
  row.estimate = parse_number<double>(cells[7], place, "estimate", "a number");
  row.ci_low = parse_optional<double>(cells[8], place, "ci_low", "a number or nothing");
  row.ci_high = parse_optional<double>(cells[9], place, "ci_high", "a number or nothing");
  row.n = parse_optional<std::uint64_t>(cells[10], place, "n", "a whole number or nothing");
  row.seed = parse_number<std::uint64_t>(cells[11], place, "seed", "a whole number");
  require_sound(row, place);
  return row;
}

}  // namespace

std::string Row::key() const {
  return variant + '\x1f' + parameter + '\x1f' + value + '\x1f' + metric + '\x1f' + std::to_string(seed);
}

std::string to_csv(const std::vector<Row>& rows) {
  std::string text = std::string(header) + "\n";
  for (const Row& row : rows) {
    require_sound(row, describe(row));
    for (const std::string* cell :
         {&row.experiment, &row.model, &row.task, &row.variant, &row.parameter, &row.value, &row.metric}) {
      text += quote(*cell) + ',';
    }
    text += number(row.estimate) + ',';
    text += (row.ci_low ? number(*row.ci_low) : "") + ',';
    text += (row.ci_high ? number(*row.ci_high) : "") + ',';
    text += (row.n ? std::to_string(*row.n) : "") + ',';
    text += std::to_string(row.seed) + '\n';
  }
  return text;
}

std::vector<Row> parse_csv(const std::string& text, const std::string& file_name) {
  CsvReader reader(text, file_name);
  std::vector<std::string> cells;
  if (!reader.next(cells))
    fail_expected(file_name, std::string("the header '") + header + "'", "an empty file");
  std::string found;
  for (const std::string& cell : cells) found += (found.empty() ? "" : ",") + cell;
  if (found != header) {
    fail_expected(reader.place(), std::string("the header '") + header + "'", "'" + found + "'");
  }
  std::vector<Row> rows;
  std::set<std::string> keys;
  while (reader.next(cells)) {
    rows.push_back(parse_row(cells, reader.place()));
    if (!keys.insert(rows.back().key()).second) {
      fail_expected(reader.place(), "each measurement once", describe(rows.back()) + " again");
    }
  }
  return rows;
}

std::vector<Row> read_rows(const fs::path& file) {
  return parse_csv(read_file(file), file.string());
}

RowWriter::RowWriter(fs::path file, bool resume) : file_(std::move(file)) {
  if (resume && fs::exists(file_)) rows_ = read_rows(file_);
}

std::vector<Row> RowWriter::find(const std::string& variant, const std::string& parameter,
                                 const std::string& value, std::uint64_t seed) const {
  std::vector<Row> found;
  for (const Row& row : rows_) {
    if (row.variant == variant && row.parameter == parameter && row.value == value && row.seed == seed) {
      found.push_back(row);
    }
  }
  return found;
}

void RowWriter::append(const std::vector<Row>& rows) {
  std::vector<Row> all = rows_;
  std::set<std::string> keys;
  for (const Row& row : rows_) keys.insert(row.key());
  for (const Row& row : rows) {
    if (!keys.insert(row.key()).second) {
      fail_expected(file_.string(), "each measurement once", describe(row) + " again");
    }
    require_sound(row, file_.string() + ": " + describe(row));
    all.push_back(as_written(row));
  }
  write_file_atomically(file_, to_csv(all));
  rows_ = std::move(all);
}

}  // namespace outlierlab
