#include "report/table.h"

namespace outlierlab {

static std::string escape(const std::string& cell) {
  std::string text;
  for (char c : cell) {
    if (c == '|') {
      text += "\\|";
    } else {
      text += c == '\n' ? ' ' : c;
    }
  }
  return text;
}

static std::string line_of(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const std::string& cell : cells) line += " " + escape(cell) + " |";
  return line + "\n";
}

std::string to_markdown(const Table& table) {
  std::string text = table.title.empty() ? "" : "**" + table.title + "**\n\n";
  text += line_of(table.columns);
  text += line_of(std::vector<std::string>(table.columns.size(), "---"));
  for (const auto& row : table.rows) text += line_of(row);
  return text;
}

}  // namespace outlierlab
