// Claim C6: per-embedding-group quantization (Bondarenko et al. 2021) at x, h and y repairs W8A8 once the
// groups are fine enough. K groups of neighbouring channels, or of channels sorted by range; K = C gives
// every channel its own grid.
#include <string>

#include "app/study.h"
#include "experiments/experiments.h"

namespace outlierlab {

void peg(Study& study) {
  const auto grouped = [&](std::size_t groups, const std::string& permute) {
    std::vector<std::string> overrides;
    for (const std::string site : {"x", "h", "y"}) {
      overrides.push_back("activations." + site + ".granularity=group");
      overrides.push_back("activations." + site + ".groups=" + std::to_string(groups));
      overrides.push_back("activations." + site + ".permute=" + permute);
    }
    return study.scheme("w8a8", overrides);
  };
  study.evaluate("fp32", "", "", study.scheme("fp32"));
  study.evaluate("w8a8", "", "", study.scheme("w8a8"));
  const std::size_t channels = study.evaluator().config().hidden_size;
  for (const std::size_t groups :
       {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{4}, std::size_t{6}, std::size_t{8},
        std::size_t{12}, std::size_t{16}, channels}) {
    const std::string value = std::to_string(groups);
    study.evaluate("peg", "groups", value, grouped(groups, "none"));
    study.evaluate("peg-permuted", "groups", value, grouped(groups, "range"));
  }
}

}  // namespace outlierlab
