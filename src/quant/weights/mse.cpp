// mse: symmetric grid over +-c max |w|, with the clipping factor c in [0.2, 1] that minimizes the sum of
// squared errors over the tensor, row or block (Banner et al. 2019, arXiv 1810.05723, by search as in Nagel
// et al. 2021, arXiv 2106.08295). c runs from 1 down in steps of 0.05, then within 0.04 of the best in steps
// of 0.01; since c = 1 is among them, the error is never above absmax's.
#include "quant/weights/symmetric.h"

namespace outlierlab {

namespace {
class MseQuantizer : public WeightQuantizer {
 public:
  QuantizedWeight quantize(const Matrix& weight, const WeightContext& context) const override {
    return quantize_symmetric(weight, context, [&](float absmax, const UnitError& error) {
      int percent = 100;
      double least = error(Grid::symmetric(absmax, context.bits));
      const auto consider = [&](int candidate) {
        const double value = error(Grid::symmetric(clip_of(absmax, candidate), context.bits));
        if (!(value < least)) return;
        least = value;
        percent = candidate;
      };
      for (int p = 95; p >= 20; p -= 5) consider(p);
      const int centre = percent;
      for (int p = centre + 4; p >= centre - 4; --p) {
        if (p != centre && p < 100) consider(p);
      }
      return clip_of(absmax, percent);
    });
  }

 private:
  static float clip_of(float absmax, int percent) {
    return percent == 100 ? absmax : absmax * static_cast<float>(percent) / 100.0f;
  }
};
}  // namespace

WeightQuantizerEntry mse_weight_quantizer() {
  return {"mse", "symmetric grid, clipped where the squared error is least", {}, [](const IniSection&) {
            return std::make_unique<MseQuantizer>();
          }};
}

}  // namespace outlierlab
