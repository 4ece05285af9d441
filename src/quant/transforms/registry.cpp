#include "core/error.h"
#include "quant/options.h"
#include "quant/transform.h"

// A new transform is one line here: NAME_transform() in NAME.cpp describes it.
#define OUTLIERLAB_TRANSFORMS(ENTRY) \
  ENTRY(smoothquant)                 \
  ENTRY(hadamard)

namespace outlierlab {

#define OUTLIERLAB_DECLARE(name) TransformEntry name##_transform();
OUTLIERLAB_TRANSFORMS(OUTLIERLAB_DECLARE)

#define OUTLIERLAB_LIST(name) name##_transform(),
const std::vector<TransformEntry>& transforms() {
  static const std::vector<TransformEntry> all = {OUTLIERLAB_TRANSFORMS(OUTLIERLAB_LIST)};
  return all;
}

std::unique_ptr<Transform> make_transform(const std::string& name, const IniSection& options) {
  return find_entry(transforms(), "transform", name).make(options);
}

}  // namespace outlierlab
