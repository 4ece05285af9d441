// kl: entropy calibration (Migacz 2017, "8-bit Inference with TensorRT", GTC; as in TensorRT, MXNet, ONNX
// Runtime).
//
// A linear histogram is cut at candidate thresholds T on |v|, from the full range down to as many bins as the
// grid has levels. P is the histogram inside the cut, with the clipped mass added to its outermost bins; Q is
// the histogram inside the cut without that mass, merged into as many levels as the grid has, each spread
// evenly over its non-empty bins. The T with the least KL(P || Q) wins; of equals the widest.
//
// Symmetric grids use the histogram of |v| over [0, absmax] and 2^(b-1) levels. Affine grids use [lo, hi]
// (with 0) and 2^b levels, and keep [max(lo, -T), min(hi, T)]: the shorter side is cut only once T falls
// below it, so one-sided distributions (GELU, softmax) keep their short end, and a symmetric one is cut on
// both sides alike.
//
// Pitfalls and what is done about them: values of exactly 0, which every grid represents, are left out (they
// would outweigh all else after a ReLU or a softmax); empty bins receive no mass; a bin that only clipped
// mass fills would have Q = 0 and counts with Q = 1e-9; the histogram has at least 16 bins a level, so that
// narrow cuts are not "free"; with more than 512 levels (over 9 bits affine, 10 symmetric) it could not
// resolve the steps and min-max is returned, as it is for a constant.
#include <algorithm>
#include <cmath>

#include "quant/calibrator.h"
#include "quant/calibrators/bins.h"

namespace outlierlab {

namespace {
constexpr std::size_t least_bins = 2048, most_bins = 8192, bins_per_level = 16, candidates = 512;
constexpr double floor_of_q = 1e-9;

// Counts over `bins` equal bins of [lo, hi].
class LinearHistogram {
 public:
  LinearHistogram(double lo, double hi, std::size_t bins)
      : lo_(lo), width_((hi - lo) / bins), counts_(bins) {}

  void add(const ValueBin& bin) {
    const double first = position(bin.lower), last = position(bin.upper);
    const std::size_t a = index(first), b = index(last);
    if (a == b || first == last) {
      counts_[a] += bin.weight;
      return;
    }
    const double density = bin.weight / (last - first);
    for (std::size_t i = a; i <= b; ++i) {
      counts_[i] += density * (std::min(last, i + 1.0) - std::max(first, double(i)));
    }
  }

  double position(double v) const { return (v - lo_) / width_; }
  std::size_t index(double position) const {
    return static_cast<std::size_t>(std::clamp(position, 0.0, counts_.size() - 1.0));
  }
  const std::vector<double>& counts() const { return counts_; }

 private:
  double lo_, width_;
  std::vector<double> counts_;
};

// KL(P || Q) in nats for the cut [a, b) of the histogram.
double divergence(const std::vector<double>& counts, std::size_t a, std::size_t b, double below, double above,
                  std::size_t levels) {
  const std::size_t n = b - a;
  const auto p = [&](std::size_t i) {
    return counts[i] + (i == a ? below : 0.0) + (i + 1 == b ? above : 0.0);
  };
  double inside = 0;
  for (std::size_t i = a; i < b; ++i) inside += counts[i];
  const double total = inside + below + above;
  if (!(inside > 0)) return HUGE_VAL;
  double sum = 0;
  for (std::size_t level = 0; level < levels; ++level) {
    const std::size_t begin = a + level * n / levels, end = a + (level + 1) * n / levels;
    double mass = 0;
    std::size_t filled = 0;
    for (std::size_t i = begin; i < end; ++i) {
      mass += counts[i];
      filled += p(i) > 0;
    }
    if (filled == 0) continue;
    const double q = std::max(mass / filled / inside, floor_of_q);
    for (std::size_t i = begin; i < end; ++i) {
      if (const double share = p(i) / total; share > 0) sum += share * std::log(share / q);
    }
  }
  return sum;
}

class KlCalibrator : public Calibrator {
 public:
  Range range(const Distribution& d, const CalibrationContext& context) const override {
    const float absmax = std::max(std::abs(d.min), std::abs(d.max));
    const std::size_t levels = std::size_t{1} << (context.symmetric ? context.bits - 1 : context.bits);
    if (levels * bins_per_level > most_bins || !(absmax > 0)) return {d.min, d.max};
    const double lo = context.symmetric ? 0 : std::min(d.min, 0.0f);
    const double hi = context.symmetric ? absmax : std::max(d.max, 0.0f);
    LinearHistogram histogram(lo, hi, std::max(least_bins, levels * bins_per_level));
    for (const ValueBin& bin : value_bins(d)) {
      if (bin.lower == 0 && bin.upper == 0) continue;
      const bool fold = context.symmetric && bin.lower < 0;
      histogram.add(fold ? ValueBin{-bin.upper, -bin.lower, bin.weight} : bin);
    }
    const auto threshold = static_cast<float>(best_threshold(histogram, lo, hi, absmax, levels));
    return {std::max(d.min, -threshold), std::min(d.max, threshold)};
  }

 private:
  static double best_threshold(const LinearHistogram& histogram, double lo, double hi, double absmax,
                               std::size_t levels) {
    const std::vector<double>& counts = histogram.counts();
    std::vector<double> before(counts.size() + 1, 0.0);
    for (std::size_t i = 0; i < counts.size(); ++i) before[i + 1] = before[i] + counts[i];
    double best = absmax, least = HUGE_VAL;
    for (std::size_t step = candidates; step > 0; --step) {
      const double threshold = absmax * step / candidates;
      const std::size_t a = histogram.index(histogram.position(std::max(lo, -threshold)));
      const std::size_t b = histogram.index(std::ceil(histogram.position(std::min(hi, threshold))) - 1) + 1;
      if (b < a + levels) break;
      const double value = divergence(counts, a, b, before[a], before.back() - before[b], levels);
      if (value < least) {
        least = value;
        best = threshold;
      }
    }
    return best;
  }
};
}  // namespace

CalibratorEntry kl_calibrator() {
  return {
      "kl", "entropy calibration: least KL divergence of the clipped histogram", {}, [](const IniSection&) {
        return std::make_unique<KlCalibrator>();
      }};
}

}  // namespace outlierlab
