#include "model/random_weights.h"

#include <cmath>

namespace outlierlab {

namespace {

/// Box and Muller (1958), both values of a pair used.
void fill_normal(float* values, std::size_t count, double deviation, Random& random) {
  constexpr double two_pi = 6.283185307179586;
  for (std::size_t i = 0; i < count; i += 2) {
    const double radius = deviation * std::sqrt(-2.0 * std::log(1.0 - random.uniform()));
    const double angle = two_pi * random.uniform();
    values[i] = static_cast<float>(radius * std::cos(angle));
    if (i + 1 < count) values[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
}

Matrix random_matrix(std::size_t rows, std::size_t cols, double deviation, Random& random) {
  Matrix matrix(rows, cols);
  fill_normal(matrix.data(), matrix.size(), deviation, random);
  return matrix;
}

LayerNormWeights identity_norm(std::size_t size) {
  return {std::vector<float>(size, 1.0f), std::vector<float>(size, 0.0f)};
}

}  // namespace

Linear random_linear(std::size_t out, std::size_t in, double deviation, Random& random) {
  return {random_matrix(out, in, deviation, random), std::vector<float>(out, 0.0f)};
}

MlmHead random_mlm_head(const BertConfig& config, double deviation, Random& random) {
  return {random_linear(config.hidden_size, config.hidden_size, deviation, random),
          identity_norm(config.hidden_size), std::vector<float>(config.vocab_size, 0.0f)};
}

BertWeights random_weights(const BertConfig& config, Heads heads, double deviation, std::uint64_t seed) {
  Random random(seed);
  const std::size_t hidden = config.hidden_size, intermediate = config.intermediate_size;
  BertWeights weights;
  weights.config = config;
  weights.word_embeddings = random_matrix(config.vocab_size, hidden, deviation, random);
  weights.position_embeddings = random_matrix(config.max_positions, hidden, deviation, random);
  weights.token_type_embeddings = random_matrix(config.token_types, hidden, deviation, random);
  weights.embeddings_norm = identity_norm(hidden);
  for (std::size_t i = 0; i < config.layers; ++i) {
    BertLayerWeights layer;
    layer.query = random_linear(hidden, hidden, deviation, random);
    layer.key = random_linear(hidden, hidden, deviation, random);
    layer.value = random_linear(hidden, hidden, deviation, random);
    layer.attention_output = random_linear(hidden, hidden, deviation, random);
    layer.attention_norm = identity_norm(hidden);
    layer.ffn_hidden = random_linear(intermediate, hidden, deviation, random);
    layer.ffn_output = random_linear(hidden, intermediate, deviation, random);
    layer.output_norm = identity_norm(hidden);
    weights.layers.push_back(std::move(layer));
  }
  if (heads == Heads::classifier) {
    weights.pooler = random_linear(hidden, hidden, deviation, random);
    weights.classifier = random_linear(config.labels.size(), hidden, deviation, random);
  }
  if (heads == Heads::mlm) weights.mlm = random_mlm_head(config, deviation, random);
  return weights;
}

}  // namespace outlierlab
