#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "quant/calibrator.h"

namespace outlierlab {

/// A way to choose static ranges that the experiments compare.
struct Calibration {
  std::string calibrator;
  std::string key, value;  ///< its own key, "percentile" and "99.9"; empty: it has none
  bool draws = false;      ///< repeated on drawn calibration sets with --seeds

  /// The overrides of a scheme that select it; several keys and values are joined by '+'.
  std::vector<std::string> overrides() const;
};

/// All of them, in the order of the paper's table: the paper's; then each scheme of `scheme_folder` that is
/// w8a8 but for its calibrator and that calibrator's own keys; then registered calibrators that still have no
/// row, with their defaults.
std::vector<Calibration> calibrations(const std::filesystem::path& scheme_folder,
                                      const std::vector<CalibratorEntry>& registered = calibrators());

}  // namespace outlierlab
