// The network that autograd trains and the suite's own runner are two independent implementations: they must
// agree at every site.
#include "model/training/reference.h"

#include <map>
#include <mutex>

#include "catch.h"
#include "core/parallel.h"
#include "model/random_weights.h"
#include "model/runner.h"
#include "support/tiny_bert.h"

using namespace outlierlab;

namespace {

const std::vector<std::size_t> lengths = {5, 40, 17, 3, 28, 2};

std::vector<std::size_t> all_of(const std::vector<EncodedExample>& examples) {
  std::vector<std::size_t> which(examples.size());
  for (std::size_t i = 0; i < which.size(); ++i) which[i] = i;
  return which;
}

/// Compares each tile with the padded tensors of the reference.
class Comparer : public SiteHook {
 public:
  Comparer(const SiteTable& sites, std::map<std::string, torch::Tensor> expected)
      : sites_(sites), expected_(std::move(expected)) {}

  void visit(const SiteTile& tile, int) override {
    const std::lock_guard<std::mutex> lock(mutex_);  // tiles come from several threads
    const Site& site = sites_[tile.site];
    const torch::Tensor& expected = expected_.at(site.name);
    for (std::size_t r = 0; r < tile.rows; ++r) {
      const auto example = static_cast<std::int64_t>(tile.tokens[r].example);
      const auto position = static_cast<std::int64_t>(tile.tokens[r].position);
      torch::Tensor row = expected[example];
      if (site.kind != SiteKind::pooler) row = tile.channel < 0 ? row[position] : row[tile.channel][position];
      for (std::size_t c = 0; c < tile.cols; ++c) {
        const float found = tile.data[r * tile.stride + c],
                    wanted = row[static_cast<std::int64_t>(c)].item<float>();
        worst = std::max(worst, std::abs(found - wanted) / (1e-3 + std::abs(wanted)));
      }
    }
    ++seen[site.name];
  }
  double worst = 0;
  std::map<std::string, int> seen;

 private:
  const SiteTable& sites_;
  std::map<std::string, torch::Tensor> expected_;
  std::mutex mutex_;
};

}  // namespace

TEST_CASE("Reference and runner agree at every site", "[reference]") {
  const torch::NoGradGuard no_gradients;
  const BertWeights weights = test::tiny_bert();
  const auto examples = test::random_examples(lengths);
  const BertRunner runner(weights);
  const ReferenceBert reference(weights);

  std::map<std::string, torch::Tensor> values;
  ForwardOptions options;
  options.visit = [&](const std::string& site, const torch::Tensor& tensor) {
    REQUIRE(values.emplace(site, tensor).second);
    return tensor;
  };
  const torch::Tensor expected = reference.logits(pad_batch(examples, all_of(examples), 0), options);
  REQUIRE(values.size() == runner.sites().size());

  set_threads(1);  // the comparer keeps no locks
  Comparer comparer(runner.sites(), values);
  const Matrix logits = runner.logits(make_batch(examples, all_of(examples)), &comparer);
  set_threads(0);
  REQUIRE(comparer.seen.size() == values.size());
  REQUIRE(comparer.worst < 2e-2);  // relative to 1e-3 + |value|: absolute errors stay near 1e-5
  for (std::size_t i = 0; i < logits.rows(); ++i) {
    for (std::size_t c = 0; c < logits.cols(); ++c) {
      const auto row = static_cast<std::int64_t>(i), col = static_cast<std::int64_t>(c);
      REQUIRE(logits(i, c) == Approx(expected[row][col].item<float>()).margin(2e-5));
    }
  }
}

TEST_CASE("Reference and runner agree on masked-language-model logits", "[reference]") {
  const torch::NoGradGuard no_gradients;
  BertWeights weights = test::tiny_bert();
  Random random(5);
  weights.mlm = random_mlm_head(weights.config, 0.3, random);
  weights.mlm->decoder_bias = test::random_vector(50, 0, 1, random);
  weights.mlm->norm.gain = test::random_vector(30, 1, 0.2f, random);
  weights.mlm->norm.bias = test::random_vector(30, 0, 0.2f, random);
  const auto examples = test::random_examples({7});
  const ReferenceBert reference(weights);
  const torch::Tensor expected = reference.mlm_logits(reference.encode(pad_batch(examples, {0}, 0)))[0];
  const Matrix logits = BertRunner(weights).mlm_logits(make_batch(examples, {0}));
  REQUIRE(logits.rows() == 7);
  for (std::size_t i = 0; i < 7; ++i) {
    for (std::size_t v = 0; v < 50; ++v) {
      const auto row = static_cast<std::int64_t>(i), col = static_cast<std::int64_t>(v);
      REQUIRE(logits(i, v) == Approx(expected[row][col].item<float>()).margin(5e-5));
    }
  }
}

TEST_CASE("A site's visitor can replace its values", "[reference]") {
  const torch::NoGradGuard no_gradients;
  const auto examples = test::random_examples({9, 4});
  const ReferenceBert reference(test::tiny_bert());
  ForwardOptions options;
  options.visit = [](const std::string& site, const torch::Tensor& tensor) {
    return site == "pooler" ? torch::zeros_like(tensor) : tensor;
  };
  const torch::Tensor logits = reference.logits(pad_batch(examples, {0, 1}, 0), options);
  const std::vector<float> bias = test::tiny_bert().classifier.bias;
  REQUIRE(logits[1][0].item<float>() == bias[0]);
  REQUIRE(logits[0][1].item<float>() == bias[1]);
}

TEST_CASE("Weights go into the reference and come back unchanged", "[reference]") {
  BertWeights weights = test::tiny_bert();
  Random random(5);
  weights.mlm = random_mlm_head(weights.config, 0.3, random);
  ReferenceBert reference(weights);
  REQUIRE(reference.size() == weights.parameter_count());
  const BertWeights again = reference.weights();
  std::vector<float> first, second;
  const auto collect = [](std::vector<float>& all) {
    return [&all](const std::string&, const std::vector<std::size_t>& shape, const float* values) {
      all.insert(all.end(), values, values + shape[0] * (shape.size() == 2 ? shape[1] : 1));
    };
  };
  weights.for_each_parameter(collect(first));
  again.for_each_parameter(collect(second));
  REQUIRE(first == second);
}

TEST_CASE("Gradients agree with differences of the loss", "[reference]") {
  const auto examples = test::random_examples({6, 9, 3});
  ReferenceBert reference(test::tiny_bert());
  const PaddedBatch batch = pad_batch(examples, {0, 1, 2}, 0);
  const auto loss = [&] {
    return torch::nn::functional::cross_entropy(reference.logits(batch), batch.labels);
  };
  loss().backward();
  // Twice, so that gradients are seen to add up in the flat buffer.
  loss().backward();
  const std::vector<float> gradients(reference.gradients(), reference.gradients() + reference.size());
  Random random(1);
  for (const ReferenceBert::Parameter& parameter : reference.parameters()) {
    CAPTURE(parameter.name);
    // Along the gradient itself, where the difference is largest against rounding.
    const float* gradient = gradients.data() + parameter.offset;
    double square = 0;
    for (std::size_t i = 0; i < parameter.count; ++i)
      square += static_cast<double>(gradient[i]) * gradient[i] / 4;
    if (square < 1e-12) continue;  // the key's bias changes nothing
    const auto step = static_cast<float>(1e-2 / std::sqrt(square));
    const auto moved_loss = [&](float sign) {
      float* values = reference.values() + parameter.offset;
      const std::vector<float> kept(values, values + parameter.count);
      for (std::size_t i = 0; i < parameter.count; ++i) values[i] += sign * step * gradient[i] / 2;
      const torch::NoGradGuard no_gradients;
      const double value = loss().item<double>();
      std::copy(kept.begin(), kept.end(), values);
      return value;
    };
    const double slope = (moved_loss(1) - moved_loss(-1)) / (2 * static_cast<double>(step));
    REQUIRE(slope == Approx(square).epsilon(0.05).margin(2e-5));
  }
}

TEST_CASE("Dropout is a function of its key and keeps the mean", "[reference]") {
  const torch::NoGradGuard no_gradients;
  const auto examples = test::random_examples({30, 30, 30, 30});
  const ReferenceBert reference(test::tiny_bert());
  const PaddedBatch batch = pad_batch(examples, {0, 1, 2, 3}, 0);
  const auto encode = [&](std::optional<std::uint64_t> key) {
    ForwardOptions options;
    options.dropout_key = key;
    torch::Tensor probs;
    options.visit = [&](const std::string& site, const torch::Tensor& values) {
      if (site == "layer.0.query") probs = values.clone();
      return values;
    };
    reference.encode(batch, options);
    return probs;
  };
  REQUIRE(torch::equal(encode(3), encode(3)));
  REQUIRE_FALSE(torch::equal(encode(3), encode(4)));
  torch::Tensor mean = torch::zeros_like(encode(0));
  for (std::uint64_t key = 0; key < 200; ++key) mean += encode(key) / 200;
  // The first query is linear in what was dropped, so its mean is the value without dropout.
  const torch::Tensor plain = encode(std::nullopt);
  REQUIRE((mean - plain).abs().mean().item<double>() < 0.1 * plain.abs().mean().item<double>());
}
