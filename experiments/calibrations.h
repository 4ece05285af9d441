#pragma once

#include <string>
#include <vector>

namespace outlierlab {

/// A way to choose static ranges that the experiments compare.
struct Calibration {
  std::string calibrator;
  std::string key, value;  ///< its own key, "percentile" and "99.9"; empty: it has none
  bool draws = false;      ///< repeated on drawn calibration sets with --seeds

  /// The overrides of a scheme that select it.
  std::vector<std::string> overrides() const;
};

/// All of them, in the order of the paper's table. A line here puts a calibrator into the tables and figures.
const std::vector<Calibration>& calibrations();

}  // namespace outlierlab
