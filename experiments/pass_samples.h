// Every timed pass, as a CSV beside a study's rows.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "app/study.h"

namespace outlierlab {

/// Seconds of each pass of the variants that were timed together, by variant.
using PassSeconds = std::map<std::string, std::vector<double>>;

/// The file `<experiment>-samples.csv` of a study: columns variant, `cell_columns`, pass and milliseconds.
/// It grows cell by cell, so that an interrupted study keeps what it has.
class PassSamples {
 public:
  /// `cell_columns`, one or several names with commas between, say what `keep` calls a cell.
  PassSamples(Study& study, std::string cell_columns);

  /// Adds a cell's passes. Those that an interrupted study has left of the same variants in it make room.
  void keep(const std::string& cell, const PassSeconds& seconds) const;

 private:
  std::string header_;
  std::filesystem::path file_;
};

}  // namespace outlierlab
