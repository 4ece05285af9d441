#pragma once

#include <string>
#include <vector>

namespace outlierlab {

/// A table as every output format gets it: cells are text already, numbers formatted once.
struct Table {
  std::string title;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  ///< each with one cell per column
  bool is_detail = false;  ///< says more of what a table before it sums up; a run does not print it
};

/// Aligned columns for a terminal: numbers to the right, text to the left; widths count UTF-8 characters.
std::string to_text(const Table& table);

/// GitHub's Markdown; `|` and line ends within cells are escaped.
std::string to_markdown(const Table& table);

}  // namespace outlierlab
