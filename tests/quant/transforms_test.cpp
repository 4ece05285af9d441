// A transform is an exact rewrite: whatever is registered must leave the float network's logits as they are.
#include "catch.h"
#include "model/random_weights.h"
#include "model/runner.h"
#include "quant/scheme.h"
#include "quant/transform.h"
#include "support/tiny_bert.h"

using namespace outlierlab;

namespace {

/// Heads of eight channels: a Hadamard matrix turns them.
BertWeights network() {
  BertConfig config;
  config.vocab_size = 50;
  config.hidden_size = 16;
  config.layers = 2;
  config.heads = 2;
  config.intermediate_size = 32;
  config.max_positions = 32;
  config.token_types = 2;
  config.labels = {"a", "b"};
  BertWeights weights = random_weights(config, Heads::classifier, 0.3, 1);
  for (std::size_t c = 0; c < 16; ++c) weights.layers[0].value.weight(5, c) *= 40;  // a loud channel
  return weights;
}

NetworkStatistics capture(const BertWeights& weights, const Batch& batch) {
  const BertRunner runner(weights);
  StatisticsCollector collector(runner.sites());
  runner.logits(batch, &collector);
  return collector.finish();
}

}  // namespace

TEST_CASE("every registered transform leaves the function as it is, and changes the weights",
          "[quant][transforms]") {
  const Batch batch = make_batch(test::random_examples({4, 9, 16}), {0, 1, 2});
  const BertWeights before = network();
  const Matrix expected = BertRunner(before).logits(batch);
  for (const TransformEntry& entry : transforms()) {
    INFO(entry.name);
    REQUIRE_FALSE(entry.summary.empty());
    const auto transform = entry.make({});
    transform->check(SiteTable(before.config));
    BertWeights after = before;
    const NetworkStatistics statistics = capture(before, batch);
    transform->apply(after, transform->needs_statistics() ? &statistics : nullptr);
    const Matrix found = BertRunner(after).logits(batch);
    for (std::size_t i = 0; i < expected.size(); ++i)
      REQUIRE(found.data()[i] == Approx(expected.data()[i]).margin(2e-4));
    REQUIRE(after.layers[0].value.weight(5, 0) != before.layers[0].value.weight(5, 0));
  }
}

TEST_CASE("both transforms take the loud channel's range from context", "[quant][transforms]") {
  const Batch batch = make_batch(test::random_examples({4, 9, 16}), {0, 1, 2});
  const BertWeights before = network();
  const auto largest = [&](const BertWeights& weights) {
    const NetworkStatistics statistics = capture(weights, batch);
    const SiteStatistics& context = statistics.at("layer.0.context");
    return std::max(-context.min(), context.max());
  };
  for (const char* name : {"smoothquant", "hadamard"}) {
    INFO(name);
    BertWeights after = before;
    const NetworkStatistics statistics = capture(before, batch);
    make_transform(name, {})->apply(after, &statistics);
    REQUIRE(largest(after) < 0.6f * largest(before));
  }
  REQUIRE_ERROR(make_transform("hadamrd", {}), "transform 'hadamrd'", "'hadamard'");
}
