#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace outlierlab {

/// Measured data that are no rows: `<experiment>-<name>.csv` beside the rows of an experiment. A header, then
/// lines of as many plain fields.
struct DataTable {
  std::string file;  ///< for error messages
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;

  /// Index of a column; Error if there is none.
  std::size_t column(const std::string& name) const;
  /// A field as a number; Error with file and line if it is none.
  double number(std::size_t row, std::size_t column) const;
};

/// Throws Error with file and line for an empty file, a line of another length, or a missing last line end.
DataTable parse_data_table(const std::string& text, const std::string& file_name);

}  // namespace outlierlab
