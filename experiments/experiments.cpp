#include "experiments/experiments.h"

namespace outlierlab {

const std::vector<Experiment>& experiments() {
  static const std::vector<Experiment> all = {
      {"baseline", "C1", "FP32, 8-bit weights, 8-bit activations, both, and both per token", baseline},
      {"activations", "C2, C3", "kurtosis, energy concentration and loud channels of every site across depth",
       activations},
      {"calibration", "C4", "ranges by min-max, percentiles, clipping, MSE, entropy and running min-max",
       calibration},
      {"mixed_precision", "C5", "which sites and channels have to stay in float; sensitivity of each site",
       mixed_precision},
      {"peg", "C6", "per-embedding-group quantization against the number of groups", peg},
  };
  return all;
}

}  // namespace outlierlab
