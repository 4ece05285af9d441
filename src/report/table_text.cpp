#include <algorithm>

#include "report/table.h"

namespace outlierlab {

namespace {
std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

bool starts_as_number(const std::string& cell) {
  const auto first = cell.find_first_not_of("+-");
  return first == std::string::npos || (cell[first] >= '0' && cell[first] <= '9');
}
}  // namespace

std::string to_text(const Table& table) {
  std::vector<std::size_t> widths;
  std::vector<bool> right;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    widths.push_back(characters(table.columns[c]));
    right.push_back(!table.rows.empty());
    for (const auto& row : table.rows) {
      widths[c] = std::max(widths[c], characters(row.at(c)));
      right[c] = right[c] && starts_as_number(row[c]);
    }
  }
  std::string text = table.title.empty() ? "" : table.title + "\n";
  const auto add_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      const std::string padding(widths[c] - characters(cells[c]), ' ');
      line += (c > 0 ? "  " : "") + (right[c] ? padding + cells[c] : cells[c] + padding);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  };
  add_line(table.columns);
  for (const auto& row : table.rows) add_line(row);
  return text;
}

}  // namespace outlierlab
