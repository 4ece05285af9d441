// Claim C1: global W8A8 collapses. FP32, weights only, activations only, both; and both with a range per
// token, which shows whether the static range or the 8 bits are to blame; and LLM.int8(), which also takes
// single outliers out of each token's range.
#include "app/study.h"
#include "experiments/experiments.h"

namespace outlierlab {

void baseline(Study& study) {
  study.evaluate("fp32", "", "", study.scheme("fp32"));
  study.evaluate("w8", "", "", study.scheme("w8"));
  study.evaluate_with_seeds("a8", "", "", study.scheme("a8"));
  study.evaluate_with_seeds("w8a8", "", "", study.scheme("w8a8"));
  study.evaluate("w8a8-token", "", "", study.scheme("w8a8-token"));
  study.evaluate("llm-int8", "", "", study.scheme("llm-int8"));
}

}  // namespace outlierlab
