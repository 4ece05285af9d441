#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/ini.h"
#include "quant/grid.h"
#include "stats/statistics.h"

namespace outlierlab {

/// What a calibrator may use besides the distribution itself.
struct CalibrationContext {
  int bits = 8;
  bool symmetric = false;
  const std::vector<ExampleRange>* example_ranges =
      nullptr;        ///< in order of example; whole-site only, else null
  std::string place;  ///< site, for error messages
};

/// Statistics -> range. One small file each in src/quant/calibrators/, one line in registry.cpp
/// (docs/add-a-calibrator.md). The caller has refused NaN and Inf, and takes 0 into the range; a symmetric
/// grid spans max(|lo|, |hi|).
class Calibrator {
 public:
  virtual ~Calibrator() = default;
  /// True if min and max of the distribution are all it reads: its histogram may then be empty, which saves
  /// gathering one for each of thousands of channels.
  virtual bool needs_only_min_max() const { return false; }
  /// True if it reads CalibrationContext::example_ranges, which exist for whole sites only.
  virtual bool needs_example_ranges() const { return false; }
  virtual Range range(const Distribution& distribution, const CalibrationContext& context) const = 0;
};

/// A registered calibrator: `make` reads its own keys from the scheme's section (UsageError on a bad value).
struct CalibratorEntry {
  std::string name;
  std::string summary;            ///< one line for `outlierlab list`
  std::vector<std::string> keys;  ///< the keys it reads
  std::function<std::unique_ptr<Calibrator>(const IniSection&)> make;
};

const std::vector<CalibratorEntry>& calibrators();
/// Unknown names throw UsageError with the nearest one.
std::unique_ptr<Calibrator> make_calibrator(const std::string& name, const IniSection& options);

}  // namespace outlierlab
