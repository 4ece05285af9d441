#include "report/data_table.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/error.h"

namespace outlierlab {

namespace {
std::vector<std::string> fields(const std::string& line) {
  std::vector<std::string> all;
  std::size_t begin = 0;
  for (std::size_t end; (end = line.find(',', begin)) != std::string::npos; begin = end + 1) {
    all.push_back(line.substr(begin, end - begin));
  }
  all.push_back(line.substr(begin));
  return all;
}
}  // namespace

std::size_t DataTable::column(const std::string& name) const {
  const auto found = std::find(columns.begin(), columns.end(), name);
  if (found == columns.end()) fail_expected(file + ":1", "a column '" + name + "'", "none");
  return static_cast<std::size_t>(found - columns.begin());
}

double DataTable::number(std::size_t row, std::size_t column) const {
  const std::string& text = rows.at(row).at(column);
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size() || !std::isfinite(value)) {
    fail_expected(file + ":" + std::to_string(row + 2), "a number as " + columns[column], "'" + text + "'");
  }
  return value;
}

DataTable parse_data_table(const std::string& text, const std::string& file_name) {
  DataTable table{file_name, {}, {}};
  std::size_t begin = 0;
  for (std::size_t line = 1; begin < text.size(); ++line) {
    const std::string place = file_name + ":" + std::to_string(line);
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) fail_expected(place, "a line end", "the end of the file");
    std::vector<std::string> found = fields(text.substr(begin, end - begin));
    begin = end + 1;
    if (line == 1) {
      table.columns = std::move(found);
      continue;
    }
    if (found.size() != table.columns.size()) {
      fail_expected(place, std::to_string(table.columns.size()) + " fields", std::to_string(found.size()));
    }
    table.rows.push_back(std::move(found));
  }
  if (table.columns.empty()) fail_expected(file_name, "a header", "an empty file");
  return table;
}

}  // namespace outlierlab
