// Beyond the paper: does a function-preserving rewrite of the network repair W8A8? In a post-LN BERT exact
// rewrites reach the sites inside the attention, not x, h and y (quant/transform.h). So each transform is
// measured on the float network, which it must not change; on W8A8, where the outliers at x, h and y remain;
// with these three sites in float, where it has the other errors before it; and with nothing but the sites
// it rewrites quantized, to 4 bits, where its effect is largest.
#include "app/study.h"
#include "experiments/experiments.h"

namespace outlierlab {

namespace {
/// The sites that both transforms rewrite, quantized; all else in float.
std::vector<std::string> attention_overrides(const std::string& bits) {
  std::vector<std::string> overrides;
  for (const std::string site : {"query", "key", "value", "context"})
    overrides.push_back("activations.*." + site + ".bits=" + bits);
  return overrides;
}
}  // namespace

void transforms(Study& study) {
  study.evaluate("fp32", "", "", study.scheme("fp32"));
  study.evaluate("w8a8", "", "", study.scheme("w8a8"));

  const Scheme fp32 = study.scheme("fp32"), w8a8 = study.scheme("w8a8"), mp_xhy = study.scheme("mp-xhy"),
               attention = study.scheme("fp32", attention_overrides("4"));
  const auto compare = [&](const std::string& variant, const Scheme& scheme,
                           const std::vector<std::string>& applied) {
    for (const std::string& transform : applied)
      study.evaluate(variant, "transform", transform, scheme.with({"transforms.apply=" + transform}));
  };
  compare("fp32", fp32, {"smoothquant", "hadamard", "smoothquant, hadamard"});
  compare("w8a8", w8a8, {"smoothquant", "hadamard", "smoothquant, hadamard"});
  compare("mp-xhy", mp_xhy, {"none", "smoothquant", "hadamard", "smoothquant, hadamard"});
  compare("attention-4-bit", attention, {"none", "smoothquant", "hadamard", "smoothquant, hadamard"});
  for (const std::string alpha : {"0", "0.25", "0.75", "1"}) {
    study.evaluate("attention-4-bit", "alpha", alpha,
                   attention.with({"transforms.apply=smoothquant", "transforms.smoothquant.alpha=" + alpha}));
  }
}

}  // namespace outlierlab
