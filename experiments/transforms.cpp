// Beyond the paper: does a function-preserving rewrite of the network repair W8A8? In a post-LN BERT exact
// rewrites reach the sites inside the attention, not x, h and y (quant/transform.h). So each transform is
// measured on the float network, which it must not change; on W8A8, where the outliers at x, h and y remain;
// with these three sites in float, where it has the other errors before it; and with nothing but the sites
// it rewrites quantized, to 4 bits, where its effect is largest.
#include <algorithm>

#include "app/study.h"
#include "experiments/experiments.h"
#include "quant/transform.h"

namespace outlierlab {

namespace {
/// What is put under `transforms.apply`: the two of the literature and both together, then all others that
/// are registered.
std::vector<std::string> applied_transforms() {
  std::vector<std::string> all = {"smoothquant", "hadamard", "smoothquant, hadamard"};
  for (const TransformEntry& entry : transforms()) {
    if (std::find(all.begin(), all.end(), entry.name) == all.end()) all.push_back(entry.name);
  }
  return all;
}

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
  const auto compare = [&](const std::string& variant, const Scheme& scheme) {
    for (const std::string& transform : applied_transforms())
      study.evaluate(variant, "transform", transform, scheme.with({"transforms.apply=" + transform}));
  };
  compare("fp32", fp32);
  compare("w8a8", w8a8);
  study.evaluate("mp-xhy", "transform", "none", mp_xhy);
  compare("mp-xhy", mp_xhy);
  study.evaluate("attention-4-bit", "transform", "none", attention);
  compare("attention-4-bit", attention);
  for (const std::string alpha : {"0", "0.25", "0.75", "1"}) {
    study.evaluate("attention-4-bit", "alpha", alpha,
                   attention.with({"transforms.apply=smoothquant", "transforms.smoothquant.alpha=" + alpha}));
  }
}

}  // namespace outlierlab
