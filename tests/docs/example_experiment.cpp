// How many bits do the activations need? 8-bit weights; activations on 4 to 16 bits, with ranges by min-max
// and by least squared error.
#include "app/study.h"
#include "experiments/experiments.h"

namespace outlierlab {

void activation_bits(Study& study) {
  study.evaluate("fp32", "", "", study.scheme("fp32"));
  study.evaluate("w8a8", "", "", study.scheme("w8a8"));
  for (const std::string calibrator : {"minmax", "mse"}) {
    for (const std::string bits : {"4", "6", "8", "12", "16"}) {
      study.evaluate(
          calibrator, "bits", bits,
          study.scheme("w8a8", {"activations.calibrator=" + calibrator, "activations.bits=" + bits}));
    }
  }
}

}  // namespace outlierlab
