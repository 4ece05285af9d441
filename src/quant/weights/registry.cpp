#include "core/error.h"
#include "quant/options.h"
#include "quant/weight_quantizer.h"

// A new weight quantizer is one line here: NAME_weight_quantizer() in NAME.cpp describes it.
#define OUTLIERLAB_WEIGHT_QUANTIZERS(ENTRY) \
  ENTRY(absmax)                             \
  ENTRY(mse)

namespace outlierlab {

#define OUTLIERLAB_DECLARE(name) WeightQuantizerEntry name##_weight_quantizer();
OUTLIERLAB_WEIGHT_QUANTIZERS(OUTLIERLAB_DECLARE)

#define OUTLIERLAB_LIST(name) name##_weight_quantizer(),
const std::vector<WeightQuantizerEntry>& weight_quantizers() {
  static const std::vector<WeightQuantizerEntry> all = {OUTLIERLAB_WEIGHT_QUANTIZERS(OUTLIERLAB_LIST)};
  return all;
}

std::unique_ptr<WeightQuantizer> make_weight_quantizer(const std::string& name, const IniSection& options) {
  return find_entry(weight_quantizers(), "weight quantizer", name).make(options);
}

}  // namespace outlierlab
