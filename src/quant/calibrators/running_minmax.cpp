// running_minmax: an exponential moving average of the batches' ranges, lo <- m lo + (1 - m) min(batch), hi
// alike (Jacob et al. 2018, arXiv 1712.05877, section 3.1; Krishnamoorthi 2018, arXiv 1806.08342). Keys:
// momentum m in [0, 1), default 0.9; batch, the examples per step, default 16.
//
// The batches are the calibration examples in order of index, whatever batches the network ran them in. The
// first batch sets the start; if it is all zero, the range grows from 0 by 1 - m a batch. It looks at whole
// sites only: channels and groups have no per-example ranges. One-sided distributions give one-sided ranges;
// a constant is kept.
#include <algorithm>

#include "quant/calibrator.h"
#include "quant/options.h"

namespace outlierlab {

namespace {
class RunningMinMaxCalibrator : public Calibrator {
 public:
  RunningMinMaxCalibrator(double momentum, std::size_t batch) : momentum_(momentum), batch_(batch) {}
  bool needs_example_ranges() const override { return true; }
  Range range(const Distribution&, const CalibrationContext& context) const override {
    if (!context.example_ranges || context.example_ranges->empty()) {
      throw UsageError(context.place +
                       ": calibrator running_minmax: expected the ranges of the examples, found none "
                       "(it serves granularity = tensor without keep_channels)");
    }
    const std::vector<ExampleRange>& examples = *context.example_ranges;
    double lo = 0, hi = 0;
    for (std::size_t begin = 0; begin < examples.size(); begin += batch_) {
      const Range now = range_of(examples, begin, std::min(examples.size(), begin + batch_));
      const double keep = begin == 0 ? 0.0 : momentum_;
      lo = keep * lo + (1 - keep) * now.lo;
      hi = keep * hi + (1 - keep) * now.hi;
    }
    return {static_cast<float>(lo), static_cast<float>(hi)};
  }

 private:
  static Range range_of(const std::vector<ExampleRange>& examples, std::size_t begin, std::size_t end) {
    Range range{examples[begin].min, examples[begin].max};
    for (std::size_t i = begin; i < end; ++i) {
      range.lo = std::min(range.lo, examples[i].min);
      range.hi = std::max(range.hi, examples[i].max);
    }
    return range;
  }

  double momentum_;
  std::size_t batch_;
};
}  // namespace

CalibratorEntry running_minmax_calibrator() {
  return {"running_minmax",
          "moving average of the batches' ranges; momentum = 0.9, batch = 16",
          {"momentum", "batch"},
          [](const IniSection& options) {
            const double momentum = options.number("momentum").value_or(0.9);
            if (!(momentum >= 0 && momentum < 1))
              fail_value(options, "momentum", "at least 0 and less than 1");
            const std::size_t batch = options.has("batch") ? count_option(options, "batch") : 16;
            return std::make_unique<RunningMinMaxCalibrator>(momentum, batch);
          }};
}

}  // namespace outlierlab
