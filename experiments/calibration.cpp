// Claim C4: no choice of the static per-tensor range repairs W8A8. One capture of statistics serves every
// calibrator.
#include "app/study.h"
#include "experiments/experiments.h"

namespace outlierlab {

void calibration(Study& study) {
  const auto calibrated = [&](const std::string& calibrator, const std::string& key = "",
                              const std::string& value = "") {
    std::vector<std::string> overrides = {"activations.calibrator=" + calibrator};
    if (!key.empty()) overrides.push_back("activations." + key + "=" + value);
    return study.scheme("w8a8", overrides);
  };
  study.evaluate("fp32", "", "", study.scheme("fp32"));
  study.evaluate_with_seeds("minmax", "", "", calibrated("minmax"));
  for (const char* percentile : {"99", "99.9", "99.99", "99.999"}) {
    study.evaluate_with_seeds("percentile", "percentile", percentile,
                              calibrated("percentile", "percentile", percentile));
  }
  for (const char* sigmas : {"3", "6", "12", "24"}) {
    study.evaluate("clip", "sigmas", sigmas, calibrated("clip", "sigmas", sigmas));
  }
  for (const char* bound : {"5", "10", "20", "50"}) {
    study.evaluate("clip", "bound", bound, calibrated("clip", "bound", bound));
  }
  study.evaluate_with_seeds("mse", "", "", calibrated("mse"));
  study.evaluate_with_seeds("kl", "", "", calibrated("kl"));
  study.evaluate("running_minmax", "", "", calibrated("running_minmax"));
}

}  // namespace outlierlab
