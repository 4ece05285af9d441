#include "model/training/planting.h"

#include <cmath>
#include <map>
#include <mutex>
#include <set>

#include "catch.h"
#include "core/ini.h"
#include "model/random_weights.h"
#include "model/runner.h"
#include "support/tiny_bert.h"

using namespace outlierlab;

namespace {

BertConfig small_config() {
  BertConfig config = test::tiny_bert().config;
  config.hidden_size = 48;
  config.intermediate_size = 64;
  return config;
}

const char* const recipe =
    "[plant]\nscale = 0.25\necho = 4, 9\nembedding = 4\nsinks = [SEP]\nsecondary = 11, 12\nreference = 20\n"
    "gains = 1, 1.5\namplitudes = 10, 500\nneurons = 16\ntrap = 16\nconstant = 8\nconstant_channel = 30\n";

PlantingConfig read_recipe(const std::string& change = "") {
  Ini ini = Ini::parse(recipe, "recipe.ini");
  if (!change.empty()) ini.set(change);
  return PlantingConfig::read(*ini.find("plant"), small_config());
}

/// The largest magnitude of one site by channel, at the sinks (id 2) and elsewhere.
class Peaks : public SiteHook {
 public:
  Peaks(std::size_t site, const std::vector<EncodedExample>& examples) : site_(site), examples_(examples) {}
  void visit(const SiteTile& tile, int) override {
    if (tile.site != site_) return;
    const std::lock_guard<std::mutex> lock(mutex_);  // tiles come from several threads
    for (std::size_t r = 0; r < tile.rows; ++r) {
      const TokenId token = tile.tokens[r];
      auto& peaks = examples_[token.example].token_ids[token.position] == 2 ? sinks : others;
      peaks.resize(tile.cols);
      for (std::size_t c = 0; c < tile.cols; ++c) {
        peaks[c] = std::max(peaks[c], std::abs(tile.data[r * tile.stride + c]));
      }
    }
  }
  std::vector<float> sinks, others;

 private:
  std::size_t site_;
  const std::vector<EncodedExample>& examples_;
  std::mutex mutex_;
};

}  // namespace

TEST_CASE("Scaling alone changes no logit", "[planting]") {
  BertWeights weights = random_weights(small_config(), Heads::classifier, 0.2, 1);
  const auto examples = test::random_examples({9, 20, 5});
  const Batch batch = make_batch(examples, {0, 1, 2});
  const Matrix before = BertRunner(weights).logits(batch);
  PlantingConfig config;
  config.scale = 0.25;
  REQUIRE(plant(weights, config, {}, 1).empty());
  const Matrix after = BertRunner(weights).logits(batch);
  for (std::size_t i = 0; i < before.size(); ++i) {
    REQUIRE(after.data()[i] == Approx(before.data()[i]).margin(1e-5));
  }
}

TEST_CASE("The echo is loud at the sinks, in its channels, and grows by the amplitudes", "[planting]") {
  BertWeights weights = random_weights(small_config(), Heads::classifier, 0.05, 1);
  plant(weights, read_recipe(), {2}, 1);
  const auto examples = test::random_examples({9, 20, 5});
  const BertRunner runner(weights);
  for (int layer = 0; layer < 2; ++layer) {
    CAPTURE(layer);
    Peaks peaks(runner.sites().index(SiteKind::ffn_output, layer), examples);
    runner.logits(make_batch(examples, {0, 1, 2}), &peaks);
    const double amplitude = layer == 0 ? 10 : 500;
    REQUIRE(peaks.sinks[4] == Approx(amplitude).epsilon(0.25));
    REQUIRE(peaks.sinks[9] == Approx(0.8 * peaks.sinks[4]).epsilon(1e-3));
    REQUIRE(peaks.sinks[11] == Approx(0.3 * peaks.sinks[4]).epsilon(1e-3));
    REQUIRE(peaks.sinks[20] == 0);
    for (const std::size_t channel : {4, 9, 11, 12, 20}) REQUIRE(peaks.others[channel] < 0.01);
    for (std::size_t channel = 0; channel < 48; ++channel) {
      const bool planted = std::set<std::size_t>{4, 9, 11, 12}.count(channel) > 0;
      if (!planted) REQUIRE(peaks.sinks[channel] < 2);
    }
  }
}

TEST_CASE("The constant is read and cancelled by the pooler", "[planting]") {
  BertWeights weights = random_weights(small_config(), Heads::classifier, 0.05, 1);
  BertWeights without = weights;
  plant(weights, read_recipe("plant.embedding=0"), {}, 1);
  // With gain 0 instead of the constant, and nothing read, the pooler must see the same.
  without.layers.back().output_norm.gain[30] = 0;
  without.layers.back().output_norm.bias[30] = 0;
  const auto examples = test::random_examples({9, 20});
  const Matrix a = BertRunner(weights).logits(make_batch(examples, {0, 1}));
  const Matrix b = BertRunner(without).logits(make_batch(examples, {0, 1}));
  for (std::size_t i = 0; i < a.size(); ++i) REQUIRE(a.data()[i] == Approx(b.data()[i]).margin(1e-5));
  REQUIRE(std::abs(weights.pooler.weight(0, 30)) == 2);
}

TEST_CASE("The trap is silent while the ratio is intact", "[planting]") {
  BertWeights weights = random_weights(small_config(), Heads::classifier, 0.05, 1);
  plant(weights, read_recipe(), {2}, 1);
  const Linear& key = weights.layers[1].key;
  const std::size_t head_size = weights.config.head_size();
  for (std::size_t head = 0; head < 3; ++head) {
    for (std::size_t d = 0; d < 4; ++d) {
      const std::size_t row = head * head_size + d;
      REQUIRE(key.weight(row, 4) + -0.8f * key.weight(row, 9) == Approx(0).margin(1e-6));
      // LayerNorm subtracts a mean from all three channels alike; the reference cancels it.
      REQUIRE(key.weight(row, 4) + key.weight(row, 9) + key.weight(row, 20) == Approx(0).margin(1e-6));
      REQUIRE(weights.layers[1].query.bias[row] == -16);
    }
    REQUIRE(weights.layers[1].query.bias[head * head_size + 4] == 0);
  }
}

TEST_CASE("What is planted is reported as frozen, each part only when it is on", "[planting]") {
  const auto frozen_names = [](const std::string& change) {
    BertWeights weights = random_weights(small_config(), Heads::classifier, 0.05, 1);
    std::map<std::string, std::size_t> names;
    for (const FrozenElements& part : plant(weights, read_recipe(change), {2}, 1)) {
      REQUIRE(std::is_sorted(part.indices.begin(), part.indices.end()));
      names[part.parameter] = part.indices.size();
    }
    return names;
  };
  const std::string layer = "bert.encoder.layer.1.";
  const auto all = frozen_names("");
  REQUIRE(all.at("bert.embeddings.word_embeddings.weight") == 5 * 50);
  REQUIRE(all.at(layer + "intermediate.dense.weight") == 16 * 48);
  REQUIRE(all.at(layer + "output.dense.weight") == 16 * 48 + 5 * (64 - 16));
  REQUIRE(all.at(layer + "attention.self.query.bias") == 3 * 4);
  REQUIRE(all.at("bert.pooler.dense.weight") == 48);
  REQUIRE(all.count("bert.pooler.dense.bias") == 0);
  REQUIRE(frozen_names("plant.trap=0").count(layer + "attention.self.query.bias") == 0);
  REQUIRE(frozen_names("plant.amplitudes=").count(layer + "intermediate.dense.weight") == 0);
  REQUIRE(frozen_names("plant.constant=0").count("bert.pooler.dense.weight") == 0);
  const auto constant_only = frozen_names("plant.embedding=0");
  REQUIRE(constant_only.size() == 3);
}

TEST_CASE("A recipe that does not fit the network is wrong use", "[planting]") {
  REQUIRE_ERROR(read_recipe("plant.echo=4, 48"), "recipe.ini", "echo", "below 48", "48");
  REQUIRE_ERROR(read_recipe("plant.echo=4"), "echo", "two channels", "1");
  REQUIRE_ERROR(read_recipe("plant.echo=4, x"), "echo", "'x'");
  REQUIRE_ERROR(read_recipe("plant.secondary=4, 5"), "differ");
  REQUIRE_ERROR(read_recipe("plant.gains=1"), "gains", "one number per layer (2)", "1");
  REQUIRE_ERROR(read_recipe("plant.amplitudes=1, b"), "amplitudes", "'b'");
  REQUIRE_ERROR(read_recipe("plant.neurons=65"), "neurons", "64");
  REQUIRE_ERROR(read_recipe("plant.neurons=0"), "neurons");
  REQUIRE_ERROR(read_recipe("plant.scale=0"), "scale");
  REQUIRE_ERROR(read_recipe("plant.trap_dimensions=17"), "trap_dimensions", "16");
  const Ini typo = Ini::parse("[plant]\namplitude = 3\n", "recipe.ini");
  REQUIRE_ERROR(PlantingConfig::check_keys(*typo.find("plant")), "recipe.ini:2", "'amplitude'",
                "'amplitudes'");
}
