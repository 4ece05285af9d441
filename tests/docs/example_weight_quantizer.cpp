// power_of_two: symmetric grid whose scale is the least power of two that reaches the largest magnitude, so
// that an integer kernel rescales by a shift. Costs at most one bit against absmax; a unit of zeros keeps
// absmax's grid.
#include <cmath>

#include "quant/weights/symmetric.h"

namespace outlierlab {

namespace {
class PowerOfTwoQuantizer : public WeightQuantizer {
 public:
  QuantizedWeight quantize(const Matrix& weight, const WeightContext& context) const override {
    const auto levels = static_cast<float>((1 << (context.bits - 1)) - 1);
    return quantize_symmetric(weight, context, [levels](float absmax, const UnitError&) {
      if (absmax == 0) return absmax;
      int exponent = 0;
      const float fraction = std::frexp(absmax / levels, &exponent);
      return levels * std::ldexp(1.0f, fraction == 0.5f ? exponent - 1 : exponent);
    });
  }
};
}  // namespace

WeightQuantizerEntry power_of_two_weight_quantizer() {
  return {"power_of_two",                        // the name in schemes
          "symmetric grid, scale a power of 2",  // for `outlierlab list weights`
          {},                                    // it reads no keys
          [](const IniSection&) { return std::make_unique<PowerOfTwoQuantizer>(); }};
}

}  // namespace outlierlab
