// Claim C4: no choice of the static per-tensor range repairs W8A8. One capture of statistics serves every
// calibrator of calibrations.cpp.
#include "app/study.h"
#include "experiments/calibrations.h"
#include "experiments/experiments.h"

namespace outlierlab {

void calibration(Study& study) {
  study.evaluate("fp32", "", "", study.scheme("fp32"));
  for (const Calibration& c : calibrations(study.options().scheme_folder)) {
    const Scheme scheme = study.scheme("w8a8", c.overrides());
    if (c.draws) {
      study.evaluate_with_seeds(c.calibrator, c.key, c.value, scheme);
    } else {
      study.evaluate(c.calibrator, c.key, c.value, scheme);
    }
  }
}

}  // namespace outlierlab
