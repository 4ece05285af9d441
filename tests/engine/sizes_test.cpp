// The integer engine on networks of awkward sizes, and on weights and batches at the edge of what is allowed.
#include <cmath>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "app/resources.h"
#include "catch.h"
#include "data/batch.h"
#include "engine/cpu/cpu_executor.h"
#include "lower/lower.h"
#include "lower/tokens.h"
#include "quant/scheme.h"
#include "support/tiny_bert.h"

using namespace outlierlab;

namespace {

struct Sizes {
  std::size_t hidden, heads, intermediate, positions;
};

BertWeights network(const Sizes& sizes, float weight_scale) {
  Random random(sizes.hidden + sizes.positions);
  BertWeights w = test::tiny_bert(1, 1);
  w.config.hidden_size = sizes.hidden;
  w.config.heads = sizes.heads;
  w.config.intermediate_size = sizes.intermediate;
  w.config.max_positions = sizes.positions;
  const auto matrix = [&](std::size_t rows, std::size_t cols) {
    return test::random_matrix(rows, cols, weight_scale, random);
  };
  const auto linear = [&](std::size_t out, std::size_t in) {
    return Linear{matrix(out, in), test::random_vector(out, 0, 0.1f, random)};
  };
  const std::size_t h = sizes.hidden;
  const auto norm = [&] {
    return LayerNormWeights{test::random_vector(h, 1, 0.1f, random), test::random_vector(h, 0, 0.1f, random)};
  };
  w.word_embeddings = matrix(50, h);
  w.position_embeddings = matrix(sizes.positions, h);
  w.token_type_embeddings = matrix(2, h);
  w.embeddings_norm = norm();
  w.layers[0] = {linear(h, h),
                 linear(h, h),
                 linear(h, h),
                 linear(h, h),
                 norm(),
                 linear(sizes.intermediate, h),
                 linear(h, sizes.intermediate),
                 norm()};
  w.pooler = linear(h, h);
  w.classifier = linear(2, h);
  return w;
}

Batch batch_of(const std::vector<std::size_t>& lengths) {
  std::vector<std::size_t> all(lengths.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  return make_batch(test::random_examples(lengths), all);
}

/// Root mean square of the difference of the engine's logits from the simulation's, which are about 1.
double distance(const BertWeights& weights, const std::string& name,
                const std::vector<std::size_t>& lengths) {
  const Scheme scheme = Scheme::load(name, resource_root() / "configs" / "schemes");
  const BertRunner runner(weights);
  const Batch batch = batch_of(lengths);
  StatisticsCollector collector(runner.sites());
  runner.logits(batch, &collector);
  const NetworkStatistics statistics = collector.finish();
  ActivationQuantizer quantizer(scheme, runner.sites(), &statistics);
  const Matrix expected =
      BertRunner(quantize_weights(weights, scheme, &statistics)).logits(batch, &quantizer);
  const auto model = std::make_shared<const engine::Model>(lower(weights, scheme, quantizer, &statistics));
  engine::CpuExecutor executor(model);
  Matrix found(batch.size(), 2);
  executor.logits(tokens_of(batch), found.data());
  double squares = 0;
  for (std::size_t i = 0; i < found.size(); ++i) squares += std::pow(found.data()[i] - expected.data()[i], 2);
  return std::sqrt(squares / static_cast<double>(found.size()));
}

}  // namespace

TEST_CASE("Sizes that no vector divides: heads of 1, 3 and 5 values, the longest text beside the shortest",
          "[engine]") {
  const std::vector<std::pair<Sizes, std::vector<std::size_t>>> all = {
      {{5, 5, 3, 4}, {1, 4, 2}},
      {{6, 2, 1, 1}, {1}},
      {{15, 3, 17, 130}, {130, 1, 1, 77, 3}},
      {{48, 3, 33, 512}, {512, 1, 1, 300, 17}},
  };
  for (const auto& [sizes, lengths] : all) {
    const BertWeights weights = network(sizes, 0.4f);
    for (const char* name : {"w8a8", "w8a8-token", "w8a8-channel-weights", "mp-xhy", "mp-xhy-16",
                             "mp-channel-1", "llm-int8", "w8", "fp32"}) {
      INFO(name << ", hidden " << sizes.hidden << ", " << sizes.heads << " heads");
      const bool in_float = std::string(name) == "w8" || std::string(name) == "fp32";
      REQUIRE(distance(weights, name, lengths) < (in_float ? 1e-4 : 0.15));
    }
  }
}

TEST_CASE("More examples in a batch than a group has rows: each has its own logits", "[engine]") {
  // The pooler and the classifier take 300 examples a block at a time. Each has a token of its own between
  // the two that all have.
  const BertWeights weights = network({48, 3, 33, 8}, 0.4f);
  for (const char* name : {"w8a8", "w8a8-token", "mp-xhy-16"}) {
    INFO(name);
    REQUIRE(distance(weights, name, std::vector<std::size_t>(300, 3)) < 0.15);
  }
}

TEST_CASE("Weights of zeros, and ones so small that their scales underflow, leave the biases", "[engine]") {
  for (const float scale : {0.0f, 1e-40f}) {
    BertWeights weights = network({30, 3, 70, 40}, scale);
    for (const char* name : {"w8a8", "w8a8-token", "mp-xhy", "mp-xhy-16", "llm-int8"}) {
      INFO(name << ", weights of " << scale);
      REQUIRE(distance(weights, name, {3, 1, 40}) < 1e-3);
    }
  }
}
