// percentile: hi = the p-th percentile of the values, lo = the (100 - p)-th (docs/design.md, section 5; p in
// (50, 100], default 99.99; McKinstry et al. 2018, arXiv 1809.04191, use 99.9 to 99.9999).
//
// p = 100 is minmax. On a one-sided distribution (GELU, softmax) the lower percentile falls into the mass
// next to 0 and costs nothing, since the grid takes in 0 anyway. If all but a few values are 0, both
// percentiles may be 0: the site then quantizes to 0, as the definition says. A constant gives the range of
// minmax. A group of channels is calibrated from the site's sample; a percentile that the sample is too small
// to tell from the extremes is refused.
#include "quant/calibrator.h"
#include "quant/options.h"

namespace outlierlab {

namespace {
class PercentileCalibrator : public Calibrator {
 public:
  explicit PercentileCalibrator(double percentile) : percentile_(percentile) {}
  Range range(const Distribution& d, const CalibrationContext& context) const override {
    // A group's histogram is a sample; a percentile beyond its resolution would be min-max by another name.
    const std::uint64_t values = d.histogram.total();
    if (values < d.moments.count && static_cast<double>(values) * (1 - percentile_ / 100) < 1 &&
        percentile_ < 100) {
      throw UsageError(context.place + ": percentile " + std::to_string(percentile_) +
                       ": expected a sample of the group that resolves it, found " + std::to_string(values) +
                       " values");
    }
    return {d.histogram.percentile(100.0 - percentile_, d.min, d.max),
            d.histogram.percentile(percentile_, d.min, d.max)};
  }

 private:
  double percentile_;
};
}  // namespace

CalibratorEntry percentile_calibrator() {
  return {"percentile",
          "the p-th and the (100 - p)-th percentile; percentile = 99.99",
          {"percentile"},
          [](const IniSection& options) {
            const double p = options.number("percentile").value_or(99.99);
            if (!(p > 50 && p <= 100)) fail_value(options, "percentile", "more than 50 and at most 100");
            return std::make_unique<PercentileCalibrator>(p);
          }};
}

}  // namespace outlierlab
