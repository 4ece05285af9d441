#pragma once

#include "core/random.h"
#include "model/weights.h"

namespace outlierlab {

enum class Heads { none, classifier, mlm };

/// A linear layer with weights from a normal distribution (mean 0) and biases 0.
Linear random_linear(std::size_t out, std::size_t in, double deviation, Random& random);

/// A masked-language-model head for the sizes in `config`; as random_linear.
MlmHead random_mlm_head(const BertConfig& config, double deviation, Random& random);

/// A network before training: matrices from a normal distribution, biases 0, LayerNorm gains 1 (BERT's own
/// initialization but for the cut at two deviations). The same seed gives the same weights on every platform
/// whose `log`, `sqrt`, `sin` and `cos` agree. A classifier has one row per label of the configuration.
BertWeights random_weights(const BertConfig& config, Heads heads, double deviation, std::uint64_t seed);

}  // namespace outlierlab
