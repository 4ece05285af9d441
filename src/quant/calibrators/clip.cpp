// clip: a fixed bound, lo = -bound and hi = bound, or mean -+ sigmas * sd; never wider than min-max
// (docs/design.md, section 5). Exactly one of the keys `bound` and `sigmas`.
//
// One-sided distributions keep their exact end on the short side: min-max bounds it there. If every value
// lies beyond the absolute bound on one side, the range shrinks to that bound (with 0, which every grid takes
// in). sd = 0 gives the constant itself.
#include <algorithm>

#include "quant/calibrator.h"
#include "quant/options.h"

namespace outlierlab {

namespace {
Range within(const Distribution& d, double lo, double hi) {
  return {std::max(d.min, std::min(d.max, static_cast<float>(lo))),
          std::min(d.max, std::max(d.min, static_cast<float>(hi)))};
}

class BoundCalibrator : public Calibrator {
 public:
  explicit BoundCalibrator(double bound) : bound_(static_cast<float>(bound)) {}
  Range range(const Distribution& d, const CalibrationContext&) const override {
    return {std::clamp(d.min, -bound_, bound_), std::clamp(d.max, -bound_, bound_)};
  }

 private:
  float bound_;
};

class SigmaCalibrator : public Calibrator {
 public:
  explicit SigmaCalibrator(double sigmas) : sigmas_(sigmas) {}
  Range range(const Distribution& d, const CalibrationContext&) const override {
    const double width = sigmas_ * d.moments.stddev();
    return within(d, d.moments.mean - width, d.moments.mean + width);
  }

 private:
  double sigmas_;
};

double positive(const IniSection& options, const std::string& key) {
  const double value = *options.number(key);
  if (!(value > 0)) fail_value(options, key, "a number above 0");
  return value;
}

std::unique_ptr<Calibrator> make_clip(const IniSection& options) {
  const bool bound = options.has("bound"), sigmas = options.has("sigmas");
  if (bound == sigmas) {
    throw UsageError(place_of(options, bound ? "sigmas" : "calibrator") +
                     ": calibrator clip: expected exactly one of the keys 'bound' and 'sigmas', found " +
                     (bound ? "both" : "neither"));
  }
  if (bound) return std::make_unique<BoundCalibrator>(positive(options, "bound"));
  return std::make_unique<SigmaCalibrator>(positive(options, "sigmas"));
}
}  // namespace

CalibratorEntry clip_calibrator() {
  return {"clip", "bound = absolute, or sigmas = k for mean +- k sd", {"bound", "sigmas"}, make_clip};
}

}  // namespace outlierlab
