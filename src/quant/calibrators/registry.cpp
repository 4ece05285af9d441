#include "core/error.h"
#include "quant/calibrator.h"
#include "quant/options.h"

// A new calibrator is one line here: NAME_calibrator() in NAME.cpp describes it.
#define OUTLIERLAB_CALIBRATORS(ENTRY) \
  ENTRY(minmax)                       \
  ENTRY(percentile)                   \
  ENTRY(clip)                         \
  ENTRY(mse)                          \
  ENTRY(kl)                           \
  ENTRY(running_minmax)

namespace outlierlab {

#define OUTLIERLAB_DECLARE(name) CalibratorEntry name##_calibrator();
OUTLIERLAB_CALIBRATORS(OUTLIERLAB_DECLARE)

#define OUTLIERLAB_LIST(name) name##_calibrator(),
const std::vector<CalibratorEntry>& calibrators() {
  static const std::vector<CalibratorEntry> all = {OUTLIERLAB_CALIBRATORS(OUTLIERLAB_LIST)};
  return all;
}

std::unique_ptr<Calibrator> make_calibrator(const std::string& name, const IniSection& options) {
  return find_entry(calibrators(), "calibrator", name).make(options);
}

}  // namespace outlierlab
