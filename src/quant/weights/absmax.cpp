// absmax: symmetric grid over +-max |w| (docs/design.md, section 5; Jacob et al. 2018, arXiv 1712.05877).
#include "quant/weights/symmetric.h"

namespace outlierlab {

namespace {
class AbsmaxQuantizer : public WeightQuantizer {
 public:
  QuantizedWeight quantize(const Matrix& weight, const WeightContext& context) const override {
    return quantize_symmetric(weight, context, [](float absmax, const UnitError&) { return absmax; });
  }
};
}  // namespace

WeightQuantizerEntry absmax_weight_quantizer() {
  return {"absmax", "symmetric grid over the largest magnitude", {}, [](const IniSection&) {
            return std::make_unique<AbsmaxQuantizer>();
          }};
}

}  // namespace outlierlab
