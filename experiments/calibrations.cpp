#include "experiments/calibrations.h"

namespace outlierlab {

std::vector<std::string> Calibration::overrides() const {
  std::vector<std::string> all = {"activations.calibrator=" + calibrator};
  if (!key.empty()) all.push_back("activations." + key + "=" + value);
  return all;
}

const std::vector<Calibration>& calibrations() {
  static const std::vector<Calibration> all = {
      {"minmax", "", "", true},
      {"percentile", "percentile", "99", true},
      {"percentile", "percentile", "99.9", true},
      {"percentile", "percentile", "99.99", true},
      {"percentile", "percentile", "99.999", true},
      {"clip", "sigmas", "3"},
      {"clip", "sigmas", "6"},
      {"clip", "sigmas", "12"},
      {"clip", "sigmas", "24"},
      {"clip", "bound", "5"},
      {"clip", "bound", "10"},
      {"clip", "bound", "20"},
      {"clip", "bound", "50"},
      {"mse", "", "", true},
      {"kl", "", "", true},
      {"running_minmax", "", ""},
  };
  return all;
}

}  // namespace outlierlab
