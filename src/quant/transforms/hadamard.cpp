// hadamard: inside each head, query and key are turned by one orthogonal matrix R = H D / sqrt(d), and value
// by another, which attention_output's columns undo. H is Sylvester's Hadamard matrix of the head size d, D
// has random signs (QuIP#, Tseng et al. 2024, arXiv 2402.04396; QuaRot, Ashkboos et al. 2024, arXiv
// 2404.00456). One loud channel is spread over its head, so that its range falls by sqrt(d); channels that
// are alike gain nothing. Key `seed` of the signs, default 0.
//
// Only inside a head: probs weigh the heads of value differently, so channels of two heads must not mix. The
// residual stream is not turned, as QuaRot does in pre-LN networks: there the LayerNorm's gain can be folded
// into the next weights first, and in a post-LN BERT it cannot (quant/transform.h). d must be a power of two.
#include <cmath>

#include "core/random.h"
#include "quant/options.h"
#include "quant/transform.h"
#include "quant/transforms/pairs.h"

namespace outlierlab {

namespace {

/// H D / sqrt(n), [n, n] row-major.
std::vector<double> random_hadamard(std::size_t n, Random& random) {
  std::vector<double> rotation(n * n);
  const double size = 1 / std::sqrt(static_cast<double>(n));
  for (std::size_t c = 0; c < n; ++c) {
    const double sign = random.below(2) ? size : -size;
    for (std::size_t r = 0; r < n; ++r) {
      // Sylvester's H(r, c) is -1 where r and c share an odd number of bits.
      rotation[r * n + c] = __builtin_parityll(r & c) ? -sign : sign;
    }
  }
  return rotation;
}

class HadamardTransform : public Transform {
 public:
  HadamardTransform(std::uint64_t seed, std::string place) : seed_(seed), place_(std::move(place)) {}

  bool needs_statistics() const override { return false; }

  void check(const SiteTable& sites) const override {
    const std::size_t heads = sites[sites.index(SiteKind::scores, 0)].channels,
                      size = sites[sites.index(SiteKind::query, 0)].channels / heads;
    if ((size & (size - 1)) != 0)
      throw UsageError(place_ + ": transform hadamard: expected a head size that is a power of 2, found " +
                       std::to_string(size));
  }

  void apply(BertWeights& weights, const NetworkStatistics*) const override {
    const std::size_t size = weights.config.head_size();
    Random random(seed_);
    for (BertLayerWeights& layer : weights.layers) {
      for (std::size_t first = 0; first < weights.config.hidden_size; first += size) {
        const std::vector<double> inner = random_hadamard(size, random),
                                  outer = random_hadamard(size, random);
        rotate_outputs(layer.query, first, inner);
        rotate_outputs(layer.key, first, inner);
        rotate_outputs(layer.value, first, outer);
        rotate_inputs(layer.attention_output.weight, first, outer);
      }
    }
  }

 private:
  std::uint64_t seed_;
  std::string place_;
};

}  // namespace

TransformEntry hadamard_transform() {
  return {
      "hadamard",
      "turns query and key, value and attention_output by random Hadamard matrices in each head; seed = 0",
      {"seed"},
      [](const IniSection& options) {
        const long seed = options.integer("seed").value_or(0);
        if (seed < 0) fail_value(options, "seed", "a whole number of at least 0");
        return std::make_unique<HadamardTransform>(static_cast<std::uint64_t>(seed), options.place);
      }};
}

}  // namespace outlierlab
