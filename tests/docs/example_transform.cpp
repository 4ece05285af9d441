// equalize: value's channel j is divided by s_j = sqrt(max|V_j| / max|O_j|), and attention_output's column j
// multiplied by it, so that row j of value's weight V and column j of attention_output's weight O end with
// the same range (cross-layer equalization, Nagel et al. 2019, arXiv 1906.04721).
//
// It reads weights alone, so no calibration set is run. A channel that is 0 on either side keeps s_j = 1.
#include <algorithm>
#include <cmath>

#include "quant/transform.h"
#include "quant/transforms/pairs.h"

namespace outlierlab {

namespace {
class EqualizeTransform : public Transform {
 public:
  bool needs_statistics() const override { return false; }

  void apply(BertWeights& weights, const NetworkStatistics*) const override {
    for (BertLayerWeights& layer : weights.layers) {
      std::vector<float> s = column_absmax(layer.attention_output.weight);
      for (std::size_t j = 0; j < s.size(); ++j) {
        float largest = 0;
        for (std::size_t c = 0; c < layer.value.weight.cols(); ++c)
          largest = std::max(largest, std::abs(layer.value.weight(j, c)));
        s[j] = s[j] > 0 && largest > 0 ? std::sqrt(largest / s[j]) : 1.0f;
      }
      divide_outputs(layer.value, s);
      multiply_inputs(layer.attention_output.weight, s);
    }
  }
};
}  // namespace

TransformEntry equalize_transform() {
  return {"equalize",                                                   // the name in schemes
          "gives value's rows and attention_output's columns a range",  // for `outlierlab list transforms`
          {},                                                           // it reads no keys
          [](const IniSection&) { return std::make_unique<EqualizeTransform>(); }};
}

}  // namespace outlierlab
