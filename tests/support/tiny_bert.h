// A BERT small enough for a test, with weights from a generator.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "core/random.h"
#include "data/batch.h"
#include "model/weights.h"

namespace test {

inline float normal(outlierlab::Random& random) {
  const double u = 1.0 - random.uniform(), v = random.uniform();
  return static_cast<float>(std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * 3.14159265358979323846 * v));
}

inline outlierlab::Matrix random_matrix(std::size_t rows, std::size_t cols, float scale,
                                        outlierlab::Random& random) {
  outlierlab::Matrix m(rows, cols);
  for (std::size_t i = 0; i < m.size(); ++i) m.data()[i] = scale * normal(random);
  return m;
}

inline std::vector<float> random_vector(std::size_t size, float center, float scale,
                                        outlierlab::Random& random) {
  std::vector<float> v(size);
  for (float& x : v) x = center + scale * normal(random);
  return v;
}

/// Sizes that are no multiples of any vector width: 3 heads of 10, FFN 70.
inline outlierlab::BertWeights tiny_bert(std::uint64_t seed = 1, std::size_t layers = 2) {
  using namespace outlierlab;
  Random random(seed);
  BertWeights w;
  w.config.vocab_size = 50;
  w.config.hidden_size = 30;
  w.config.layers = layers;
  w.config.heads = 3;
  w.config.intermediate_size = 70;
  w.config.max_positions = 40;
  w.config.token_types = 2;
  w.config.labels = {"entailment", "not_entailment"};
  const auto linear = [&](std::size_t out, std::size_t in) {
    return Linear{random_matrix(out, in, 0.3f, random), random_vector(out, 0, 0.1f, random)};
  };
  const auto norm = [&](std::size_t n) {
    return LayerNormWeights{random_vector(n, 1, 0.1f, random), random_vector(n, 0, 0.1f, random)};
  };
  w.word_embeddings = random_matrix(50, 30, 0.5f, random);
  w.position_embeddings = random_matrix(40, 30, 0.2f, random);
  w.token_type_embeddings = random_matrix(2, 30, 0.2f, random);
  w.embeddings_norm = norm(30);
  for (std::size_t i = 0; i < layers; ++i) {
    w.layers.push_back({linear(30, 30), linear(30, 30), linear(30, 30), linear(30, 30), norm(30),
                        linear(70, 30), linear(30, 70), norm(30)});
  }
  w.pooler = linear(30, 30);
  w.classifier = linear(2, 30);
  return w;
}

/// Examples of the given lengths with tokens from a generator; ids are always [CLS]=1 ... [SEP]=2.
inline std::vector<outlierlab::EncodedExample> random_examples(const std::vector<std::size_t>& lengths,
                                                               std::uint64_t seed = 7) {
  outlierlab::Random random(seed);
  std::vector<outlierlab::EncodedExample> all;
  for (const std::size_t length : lengths) {
    outlierlab::EncodedExample e;
    e.index = static_cast<std::uint32_t>(all.size());
    for (std::size_t t = 0; t < length; ++t) {
      e.token_ids.push_back(t == 0            ? 1
                            : t + 1 == length ? 2
                                              : static_cast<std::int32_t>(3 + random.below(47)));
      e.token_types.push_back(t > length / 2);
    }
    e.label = static_cast<int>(random.below(2));
    all.push_back(e);
  }
  return all;
}

}  // namespace test
