// mean_absolute: hi = k E|v| and lo = -hi, never wider than min-max; key `factor` = k, default 8.
//
// One-sided distributions keep their exact short end, since min-max bounds it. A constant c gives the grid of
// minmax for k >= 1.
#include <algorithm>
#include <cmath>

#include "quant/calibrator.h"
#include "quant/calibrators/bins.h"
#include "quant/options.h"

namespace outlierlab {

namespace {
class MeanAbsoluteCalibrator : public Calibrator {
 public:
  explicit MeanAbsoluteCalibrator(double factor) : factor_(factor) {}

  Range range(const Distribution& d, const CalibrationContext&) const override {
    double sum = 0, count = 0;
    for (const ValueBin& bin : value_bins(d)) {
      sum += bin.weight * std::abs(bin.lower + bin.upper) / 2;
      count += bin.weight;
    }
    const auto bound = static_cast<float>(count > 0 ? factor_ * sum / count : 0.0);
    return {std::clamp(-bound, d.min, d.max), std::clamp(bound, d.min, d.max)};
  }

 private:
  double factor_;
};
}  // namespace

CalibratorEntry mean_absolute_calibrator() {
  return {"mean_absolute",                                 // the name in schemes
          "a multiple of the mean magnitude; factor = 8",  // for `outlierlab list calibrators`
          {"factor"},                                      // the keys it reads: others are errors
          [](const IniSection& options) {
            const double factor = options.number("factor").value_or(8);
            if (!(factor > 0)) fail_value(options, "factor", "a number above 0");
            return std::make_unique<MeanAbsoluteCalibrator>(factor);
          }};
}

}  // namespace outlierlab
