// minmax: lo = min v, hi = max v over the calibration set (Jacob et al. 2018, arXiv 1712.05877, section 3).
//
// Nothing is ever clipped, so one outlier sets the step of every other value.
// One-sided distributions (GELU, softmax) get a one-sided grid. A constant c gets the grid from 0 to c.
#include "quant/calibrator.h"

namespace outlierlab {

namespace {
class MinMaxCalibrator : public Calibrator {
 public:
  bool needs_only_min_max() const override { return true; }
  Range range(const Distribution& distribution, const CalibrationContext&) const override {
    return {distribution.min, distribution.max};
  }
};
}  // namespace

CalibratorEntry minmax_calibrator() {
  return {"minmax", "smallest and largest value", {}, [](const IniSection&) {
            return std::make_unique<MinMaxCalibrator>();
          }};
}

}  // namespace outlierlab
