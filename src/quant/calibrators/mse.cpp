// mse: the range that minimizes the expected squared quantization error E (v - Q(v))^2 over the histogram
// (Choukroun et al. 2019, arXiv 1902.06822; Nagel et al. 2021, arXiv 2106.08295, section 3.3).
//
// The error is integrated exactly over each bin, whose values are taken to lie evenly in it: with k = the
// nearest step, limited to the grid, F(v) = k s^3 / 12 + (v - k s)^3 / 3 is an antiderivative of (v -
// Q(v))^2, inside the grid and in both clipped tails. An affine grid is searched in two dimensions, lo and hi
// each scaled towards 0 by their own factor, a symmetric one in one; first in octaves, then by halving steps
// around the best. The search starts at min-max and only moves to what is strictly better, so the result is
// never worse than minmax on the histogram.
//
// One-sided distributions (GELU, softmax) leave only one side to search. A constant keeps the range of
// minmax.
#include <algorithm>
#include <cmath>

#include "quant/calibrator.h"
#include "quant/calibrators/bins.h"

namespace outlierlab {

namespace {
constexpr int octaves = 12;
constexpr double finest_step = 1.0 / 64;

// To the nearest whole number for |x| < 2^51, in a form that compilers vectorize on every CPU.
inline double round_small(double x) {
  constexpr double shift = 0x1.8p52;
  return (x + shift) - shift;
}

class ErrorIntegral {
 public:
  explicit ErrorIntegral(const std::vector<ValueBin>& bins) {
    for (const ValueBin& bin : bins) {
      if (bin.lower == bin.upper) {
        points_.push_back(bin);
      } else {
        lower_.push_back(bin.lower);
        upper_.push_back(bin.upper);
        density_.push_back(bin.weight / (bin.upper - bin.lower));
      }
    }
  }

  // Sum of the expected squared errors of all values.
  double operator()(const Grid& grid) const {
    double sum = 0;
    for (const ValueBin& point : points_) {
      const double error = point.lower - grid.round_trip(static_cast<float>(point.lower));
      sum += point.weight * error * error;
    }
    return sum + (grid.scale > 0 ? over_bins(grid) : squares_over_bins());
  }

 private:
  double over_bins(const Grid& grid) const {
    const double s = grid.scale, inverse = 1 / s, cell = s * s * s / 12;
    const double lowest = grid.qmin - grid.zero, highest = grid.qmax - grid.zero;
    const auto antiderivative = [=](double v) {
      const double k = round_small(std::min(std::max(v * inverse, lowest), highest));
      const double e = v - k * s;
      return k * cell + e * e * e / 3;
    };
    double sum = 0;
    for (std::size_t i = 0; i < density_.size(); ++i) {
      sum += density_[i] * (antiderivative(upper_[i]) - antiderivative(lower_[i]));
    }
    return sum;
  }

  double squares_over_bins() const {
    double sum = 0;
    for (std::size_t i = 0; i < density_.size(); ++i) {
      sum += density_[i] * (std::pow(upper_[i], 3) - std::pow(lower_[i], 3)) / 3;
    }
    return sum;
  }

  std::vector<ValueBin> points_;
  std::vector<double> lower_, upper_, density_;
};

class MseCalibrator : public Calibrator {
 public:
  Range range(const Distribution& d, const CalibrationContext& context) const override {
    const ErrorIntegral error(value_bins(d));
    return context.symmetric ? symmetric_range(d, context.bits, error) : affine_range(d, context.bits, error);
  }

 private:
  // Minimizes error_of(a, b), a and b >= 0 the octaves by which the two ends are drawn in.
  struct Ends {
    double a = 0, b = 0;
  };
  template <typename ErrorOf>
  static Ends search(bool move_a, bool move_b, const ErrorOf& error_of) {
    Ends best;
    double least = error_of(best);
    const auto consider = [&](Ends ends) {
      if (ends.a < 0 || ends.b < 0) return false;
      const double value = error_of(ends);
      if (!(value < least)) return false;
      least = value;
      best = ends;
      return true;
    };
    for (int a = 0; a <= (move_a ? octaves : 0); ++a) {
      for (int b = 0; b <= (move_b ? octaves : 0); ++b) consider({double(a), double(b)});
    }
    for (double step = 0.5; step >= finest_step; step /= 2) {
      for (bool better = true; better;) {
        better = false;
        const Ends centre = best;
        for (int i = move_a ? -1 : 0; i <= (move_a ? 1 : 0); ++i) {
          for (int j = move_b ? -1 : 0; j <= (move_b ? 1 : 0); ++j) {
            if (i != 0 || j != 0) better |= consider({centre.a + i * step, centre.b + j * step});
          }
        }
      }
    }
    return best;
  }

  static Range affine_range(const Distribution& d, int bits, const ErrorIntegral& error) {
    const double lo = std::min(d.min, 0.0f), hi = std::max(d.max, 0.0f);
    const auto range_of = [&](Ends ends) {
      return Range{static_cast<float>(lo * std::exp2(-ends.a)), static_cast<float>(hi * std::exp2(-ends.b))};
    };
    return range_of(
        search(lo<0, hi> 0, [&](Ends ends) { return error(Grid::affine(range_of(ends), bits)); }));
  }

  static Range symmetric_range(const Distribution& d, int bits, const ErrorIntegral& error) {
    const double absmax = std::max(std::abs(d.min), std::abs(d.max));
    const auto bound_of = [&](Ends ends) { return static_cast<float>(absmax * std::exp2(-ends.a)); };
    const float bound = bound_of(
        search(absmax > 0, false, [&](Ends ends) { return error(Grid::symmetric(bound_of(ends), bits)); }));
    return {-bound, bound};
  }
};
}  // namespace

CalibratorEntry mse_calibrator() {
  return {"mse", "least expected squared quantization error", {}, [](const IniSection&) {
            return std::make_unique<MseCalibrator>();
          }};
}

}  // namespace outlierlab
