// The integer engine against the simulated scheme, site by site.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "app/resources.h"
#include "catch.h"
#include "core/parallel.h"
#include "data/batch.h"
#include "engine/cpu/cpu_executor.h"
#include "engine/refusal.h"
#include "lower/lower.h"
#include "lower/tokens.h"
#include "model/random_weights.h"
#include "quant/scheme.h"
#include "support/emulated_cuda.h"
#include "support/tiny_bert.h"

using namespace outlierlab;

namespace {

/// How far the engine may be from the simulation at a site: the share of values that differ by more than so
/// many steps of the site's grid. Up to the first projections only sums that fall on a boundary between
/// codes differ, by one code; behind it, each such code has changed what the following sums are made of, and
/// the pooler hangs on all channels of one row.
struct Tolerance {
  double steps, share;
};
constexpr Tolerance early = {0.51, 0.002}, late = {1.51, 0.06}, at_pooler = {1.51, 0.4};

std::vector<EncodedExample> examples(std::size_t count, const BertConfig& config, std::uint64_t seed) {
  Random random(seed);
  std::vector<EncodedExample> all(count);
  for (std::size_t i = 0; i < count; ++i) {
    all[i].index = static_cast<std::uint32_t>(i);
    const std::size_t length = 1 + random.below(config.max_positions);
    for (std::size_t t = 0; t < length; ++t) {
      all[i].token_ids.push_back(static_cast<std::int32_t>(random.below(config.vocab_size)));
      all[i].token_types.push_back(static_cast<std::uint8_t>(t > length / 2));
    }
    all[i].label = 0;
  }
  return all;
}

/// A network whose sizes are multiples of the vectors' width, with one loud channel.
BertWeights smooth_bert() {
  BertWeights w = test::tiny_bert();
  Random random(3);
  w.config.hidden_size = 64;
  w.config.heads = 2;
  w.config.intermediate_size = 128;
  const auto linear = [&](std::size_t out, std::size_t in) {
    return Linear{test::random_matrix(out, in, 0.15f, random), test::random_vector(out, 0, 0.1f, random)};
  };
  const auto norm = [&] {
    return LayerNormWeights{test::random_vector(64, 1, 0.1f, random),
                            test::random_vector(64, 0, 0.1f, random)};
  };
  w.word_embeddings = test::random_matrix(50, 64, 0.5f, random);
  w.position_embeddings = test::random_matrix(40, 64, 0.2f, random);
  w.token_type_embeddings = test::random_matrix(2, 64, 0.2f, random);
  w.embeddings_norm = norm();
  for (BertLayerWeights& layer : w.layers) {
    layer = {linear(64, 64), linear(64, 64),  linear(64, 64),  linear(64, 64),
             norm(),         linear(128, 64), linear(64, 128), norm()};
    layer.ffn_output.bias[7] = 6.0f;
  }
  w.pooler = linear(64, 64);
  w.classifier = linear(2, 64);
  return w;
}

/// With activations beyond what float16 holds, before and behind GELU's product.
BertWeights loud_bert() {
  BertWeights w = smooth_bert();
  for (BertLayerWeights& layer : w.layers) {
    layer.ffn_hidden.bias[5] = 1e5f;
    layer.ffn_output.bias[7] = 2e5f;
  }
  return w;
}

/// Keeps what passes each site, by the batch's rows; scores and probs by head.
class Recorder : public SiteHook, public engine::SiteObserver {
 public:
  Recorder(const SiteTable& sites, const Batch& batch, SiteHook* inner)
      : sites_(sites), batch_(batch), inner_(inner), values_(sites.size()) {
    for (std::size_t i = 0; i < sites.size(); ++i)
      values_[i].assign(batch.token_count() * width(i), std::nanf(""));
  }
  void visit(const SiteTile& tile, int thread) override {
    if (inner_) inner_->visit(tile, thread);
    std::size_t row = 0;
    for (std::size_t e = 0; e < batch_.size(); ++e) {
      if (batch_.examples[e] == tile.tokens[0].example) row = batch_.offsets[e] + tile.tokens[0].position;
    }
    if (sites_[tile.site].kind == SiteKind::pooler) {
      row = 0;
      while (batch_.examples[row] != tile.tokens[0].example) ++row;
    }
    keep(tile.site, tile.data, row, tile.rows, tile.cols, tile.stride, tile.channel);
  }
  void visit(std::size_t site, const float* values, std::size_t first_row, std::size_t rows, std::size_t cols,
             std::size_t stride, int head) override {
    keep(site, values, first_row, rows, cols, stride, head);
  }
  const std::vector<float>& operator[](std::size_t site) const { return values_[site]; }

 private:
  bool by_head(std::size_t site) const {
    return sites_[site].kind == SiteKind::scores || sites_[site].kind == SiteKind::probs;
  }
  std::size_t width(std::size_t site) const {
    return by_head(site) ? sites_[site].channels * 40 : sites_[site].channels;
  }
  // Tiles of several examples lie in consecutive rows.
  void keep(std::size_t site, const float* values, std::size_t first, std::size_t rows, std::size_t cols,
            std::size_t stride, int head) {
    for (std::size_t r = 0; r < rows; ++r) {
      float* to = values_[site].data() + (first + r) * width(site) +
                  (head < 0 ? 0 : static_cast<std::size_t>(head) * 40);
      std::copy_n(values + r * stride, cols, to);
    }
  }
  const SiteTable& sites_;
  const Batch& batch_;
  SiteHook* inner_;
  std::vector<std::vector<float>> values_;
};

struct Network {
  BertWeights weights;
  BertRunner runner;
  std::vector<EncodedExample> calibration, evaluated;
  NetworkStatistics statistics;

  explicit Network(BertWeights w)
      : weights(std::move(w)),
        runner(weights),
        calibration(examples(40, weights.config, 11)),
        evaluated(examples(30, weights.config, 12)) {
    StatisticsCollector collector(runner.sites());
    for (const Batch& batch : make_batches(calibration, 8)) runner.logits(batch, &collector);
    statistics = collector.finish();
  }
};

const Network& smooth() {
  static const Network network(smooth_bert());
  return network;
}
const Network& odd() {
  static const Network network(test::tiny_bert());
  return network;
}

const Network& loud() {
  static const Network network(loud_bert());
  return network;
}

Scheme scheme(const std::string& name, const std::vector<std::string>& overrides = {}) {
  return Scheme::load(name, resource_root() / "configs" / "schemes", overrides);
}

std::shared_ptr<const engine::Model> lowered(const Network& network, const Scheme& s) {
  return std::make_shared<const engine::Model>(
      lower(network.weights, s, ActivationQuantizer(s, network.runner.sites(), &network.statistics),
            &network.statistics));
}

Matrix engine_logits(engine::Executor& executor, const Batch& batch) {
  Matrix out(batch.size(), executor.shape().labels);
  executor.logits(tokens_of(batch), out.data());
  return out;
}

/// The step of a site's coarsest grid, or of an 8-bit grid over its range where that is finer (float and 16
/// bits): 8-bit codes upstream decide what arrives there.
double step_of(const engine::SiteFormat& format, double largest) {
  double step = 0;
  for (const float s : format.scale) step = std::max<double>(step, s);
  return std::max(step, 2 * largest / (format.bits < 8 ? format.qmax() : 255));
}

/// An executor of the model; with an observer, one that runs every step by itself.
using MakeExecutor = std::function<std::unique_ptr<engine::Executor>(std::shared_ptr<const engine::Model>,
                                                                     engine::SiteObserver*)>;

/// Simulated, observed and fused execution of one scheme, site by site, on `batches` batches. The logits of
/// the last two may differ by `logit_margin`.
void compare(const Network& network, const Scheme& s, const MakeExecutor& make, double logit_margin,
             std::size_t batches = std::numeric_limits<std::size_t>::max()) {
  INFO("scheme " << s.name());
  const SiteTable& sites = network.runner.sites();
  const auto model = lowered(network, s);
  const BertWeights quantized = quantize_weights(network.weights, s, &network.statistics);
  const BertRunner simulated(quantized);
  ActivationQuantizer quantizer(s, sites, &network.statistics);
  std::size_t different_predictions = 0, total = 0;
  double squares = 0, norm = 0;
  for (const Batch& batch : make_batches(network.evaluated, 6)) {
    if (batches-- == 0) break;
    Recorder expected(sites, batch, &quantizer), found(sites, batch, nullptr);
    const Matrix simulated_logits = simulated.logits(batch, &expected);
    const Matrix slow_logits = engine_logits(*make(model, &found), batch),
                 fast_logits = engine_logits(*make(model, nullptr), batch);
    for (std::size_t i = 0; i < sites.size(); ++i) {
      INFO("site " << sites[i].name);
      double largest = 0;
      for (const float v : expected[i])
        largest = std::isnan(v) ? largest : std::max<double>(largest, std::abs(v));
      const double step = step_of(model->site(i), largest);
      const Tolerance tolerance = i < 5 ? early : i + 1 == sites.size() ? at_pooler : late;
      std::size_t seen = 0, apart = 0, unlike = 0;  // unlike: a value that only one of the two has
      for (std::size_t k = 0; k < expected[i].size(); ++k) {
        unlike += std::isnan(expected[i][k]) != std::isnan(found[i][k]);
        if (std::isnan(found[i][k])) continue;
        ++seen;
        apart += std::abs(expected[i][k] - found[i][k]) > tolerance.steps * step;
      }
      REQUIRE(unlike == 0);
      REQUIRE(seen > 0);
      REQUIRE(static_cast<double>(apart) <= tolerance.share * static_cast<double>(seen) + 1);
    }
    for (std::size_t e = 0; e < batch.size(); ++e) {
      const auto chosen = [e](const Matrix& m) { return m(e, 1) > m(e, 0); };
      different_predictions += chosen(simulated_logits) != chosen(fast_logits);
      ++total;
    }
    for (std::size_t k = 0; k < fast_logits.size(); ++k) {
      // Fused and observed runs are the same arithmetic, though only observed ones compute all rows.
      REQUIRE(std::abs(fast_logits.data()[k] - slow_logits.data()[k]) <= logit_margin);
      squares += std::pow(fast_logits.data()[k] - simulated_logits.data()[k], 2);
      norm += std::pow(simulated_logits.data()[k], 2);
    }
  }
  REQUIRE(std::sqrt(squares / norm) < 0.03);
  REQUIRE(different_predictions <= total / 10);
}

/// Every kind of scheme that the engine executes.
std::vector<Scheme> executable_schemes() {
  std::vector<Scheme> all;
  for (const char* name : {"w8a8", "w8a8-token", "w8a8-channel-weights", "percentile-99.99", "peg-6-permuted",
                           "peg-4", "mp-xhy", "mp-xhy-16", "mp-channel-1", "w8", "w8a8-mse", "clip-6sigma"}) {
    all.push_back(scheme(name));
  }
  all.push_back(scheme("w8a8", {"activations.grid=symmetric"}));
  all.push_back(scheme("w8a8-token", {"activations.grid=symmetric"}));
  all.push_back(scheme("w8a8", {"activations.granularity=channel"}));
  all.push_back(scheme("w8a8", {"activations.bits=6"}));
  all.push_back(scheme("w8a8-token", {"activations.bits=12"}));
  // Sites before products in other forms than the last one's.
  all.push_back(scheme("w8a8", {"activations.layer.1.output.bits=32"}));
  all.push_back(scheme("w8a8", {"activations.*.output.bits=32"}));
  all.push_back(scheme("w8a8", {"activations.embeddings.norm.bits=16"}));
  all.push_back(scheme("w8a8-token-linear"));
  return all;
}

/// Schemes that keep outliers in float beside the codes: from hardly any outlier to almost nothing else; at
/// attention's sites, too, whose products then run in float; in two planes of bytes.
std::vector<Scheme> schemes_with_outliers() {
  return {scheme("llm-int8"), scheme("llm-int8", {"activations.outlier_threshold=2.5"}),
          scheme("llm-int8", {"activations.outlier_threshold=0.3"}),
          scheme("w8a8-token", {"activations.outlier_threshold=0.7"}),
          scheme("w8a8-token", {"activations.outlier_threshold=1", "activations.bits=12"})};
}

std::unique_ptr<engine::Executor> on_cpu(std::shared_ptr<const engine::Model> model,
                                         engine::SiteObserver* observer) {
  engine::CpuOptions options;
  options.observer = observer;
  options.threads = observer ? 1 : 0;
  return std::make_unique<engine::CpuExecutor>(std::move(model), options);
}

/// In float32 where a product is not one of codes, as the CPU; each executor by another way of integer
/// products.
std::unique_ptr<engine::Executor> on_emulated_cuda(std::shared_ptr<const engine::Model> model,
                                                   engine::SiteObserver* observer) {
  engine::CudaOptions options;
  options.real = engine::RealPrecision::float32;
  options.observer = observer;
  options.tune = false;
  static int executors = 0;
  options.way = executors++ % static_cast<int>(test::emulated_cuda_ways().size());
  return test::emulated_cuda_executor(std::move(model), options);
}

}  // namespace

TEST_CASE("The integer engine agrees with the simulated scheme at every site", "[engine]") {
  for (const Network* network : {&smooth(), &odd()}) {
    for (const Scheme& s : executable_schemes()) compare(*network, s, on_cpu, 0);
    for (const Scheme& s : schemes_with_outliers()) compare(*network, s, on_cpu, 0);
  }
}

TEST_CASE("The CUDA back end, emulated, agrees with the simulated scheme at every site", "[engine][cuda]") {
  for (const Scheme& s : executable_schemes()) {
    compare(smooth(), s, on_emulated_cuda, 1e-5, 2);
    compare(odd(), s, on_emulated_cuda, 1e-5, 1);
  }
  for (const Scheme& s : schemes_with_outliers()) {
    compare(smooth(), s, on_emulated_cuda, 1e-5, 2);
    compare(odd(), s, on_emulated_cuda, 1e-5, 1);
  }
}

TEST_CASE("The engine's logits depend on neither batch nor threads", "[engine]") {
  const int before = threads();
  for (const char* name : {"w8a8", "w8a8-token", "peg-6-permuted", "mp-xhy", "llm-int8"}) {
    const bool decomposed = name == std::string("llm-int8");
    const auto model =
        lowered(smooth(), decomposed ? scheme(name, {"activations.outlier_threshold=2"}) : scheme(name));
    const std::vector<EncodedExample>& all = smooth().evaluated;
    Matrix expected;
    for (const int count : {1, 2, 3}) {
      for (const std::size_t size : {1u, 7u, 30u}) {
        set_threads(count);
        engine::CpuExecutor executor(model);
        Matrix logits(all.size(), 2);
        for (const Batch& batch : make_batches(all, size)) {
          const Matrix part = engine_logits(executor, batch);
          for (std::size_t e = 0; e < batch.size(); ++e)
            std::copy_n(part.row(e), 2, logits.row(batch.examples[e]));
        }
        if (expected.empty()) expected = logits;
        INFO(name << ", " << count << " threads, batches of " << size);
        for (std::size_t k = 0; k < logits.size(); ++k) REQUIRE(logits.data()[k] == expected.data()[k]);
      }
    }
  }
  set_threads(before);
}

TEST_CASE("LLM.int8(): 6 of a layer's 8 products in integers, outliers exactly where float has them",
          "[engine]") {
  const auto model = lowered(smooth(), scheme("llm-int8"));
  REQUIRE(model->integer_products() == 6 * model->shape.layers);
  REQUIRE(model->layers[0].sites[engine::context].outlier_threshold == 6.0f);
  REQUIRE_FALSE(model->classifier.weight.is_integer());
  REQUIRE(lowered(smooth(), scheme("w8a8-token", {"activations.outlier_threshold=6"}))->integer_products() ==
          6 * model->shape.layers);
  // With every value an outlier nothing is left for the codes: the float network on rounded weights.
  const Scheme all = scheme("llm-int8", {"activations.outlier_threshold=1e-30"});
  const Batch batch = make_batches(smooth().evaluated, 10)[0];
  const Matrix expected = BertRunner(quantize_weights(smooth().weights, all, nullptr)).logits(batch);
  for (const MakeExecutor& make : {MakeExecutor(on_cpu), MakeExecutor(on_emulated_cuda)}) {
    const Matrix found = engine_logits(*make(lowered(smooth(), all), nullptr), batch);
    for (std::size_t k = 0; k < found.size(); ++k)
      REQUIRE(found.data()[k] == Approx(expected.data()[k]).margin(2e-4));
  }
}

TEST_CASE("Products that multiply codes: values per token and attention's wide sites are float products",
          "[engine]") {
  const auto products = [](const char* name, const std::vector<std::string>& overrides = {}) {
    const auto model = lowered(smooth(), scheme(name, overrides));
    REQUIRE(model->integer_products() % model->shape.layers == 0);
    return model->integer_products() / model->shape.layers;
  };
  REQUIRE(products("w8a8") == 8);
  REQUIRE(products("peg-4") == 8);
  REQUIRE(products("w8a8-token") == 7);
  REQUIRE(products("w8a8", {"activations.*.value.bits=16"}) == 7);
  REQUIRE(products("w8a8", {"activations.*.query.bits=16"}) == 7);
  REQUIRE(products("w8a8", {"activations.*.probs.bits=32"}) == 7);
  REQUIRE(products("w8a8", {"activations.*.context.bits=16"}) == 8);
  REQUIRE(products("fp32") == 0);
}

TEST_CASE("A float scheme runs through the engine; bfloat16 is close to it", "[engine]") {
  const auto model = lowered(smooth(), scheme("fp32"));
  REQUIRE(model->integer_products() == 0);
  REQUIRE(lowered(smooth(), scheme("w8a8"))->integer_products() == 8 * model->shape.layers);
  const Batch batch = make_batches(smooth().evaluated, 30)[0];
  const Matrix expected = smooth().runner.logits(batch);
  engine::CpuExecutor exact(model);
  engine::CpuOptions half;
  half.real = engine::RealPrecision::bfloat16;
  engine::CpuExecutor rounded(model, half);
  const Matrix a = engine_logits(exact, batch), b = engine_logits(rounded, batch);
  double worst = 0;
  for (std::size_t k = 0; k < a.size(); ++k) {
    REQUIRE(a.data()[k] == Approx(expected.data()[k]).margin(2e-4));
    worst = std::max<double>(worst, std::abs(b.data()[k] - expected.data()[k]));
  }
  REQUIRE(worst < 0.1);
  REQUIRE(worst > 1e-6);
}

TEST_CASE("A profile books products and quantization, attention's too, and nothing twice", "[engine]") {
  const auto start = std::chrono::steady_clock::now();
  engine::CpuOptions options;
  options.profile = true;
  options.threads = 1;
  engine::CpuExecutor executor(lowered(smooth(), scheme("w8a8-token")), options);
  const Batch batch = make_batches(smooth().evaluated, 30)[0];
  engine_logits(executor, batch);
  const engine::Profile p = executor.take_profile();
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  REQUIRE(p.gemm > 0);
  REQUIRE(p.quantize > 0);
  REQUIRE(p.rest > 0);
  REQUIRE(p.repeated > 0);
  REQUIRE(p.gemm + p.quantize + p.dequantize + p.rest + p.repeated < wall);
  REQUIRE(executor.take_profile().gemm == 0);
}

TEST_CASE("What a profile runs again changes no result, and sums take longer when something is made of them",
          "[engine]") {
  const Batch batch = make_batches(smooth().evaluated, 30)[0];
  engine::CpuOptions plain, profiled;
  plain.threads = profiled.threads = 1;
  profiled.profile = true;
  std::vector<Scheme> schemes = schemes_with_outliers();
  for (const char* name : {"w8a8", "w8a8-token", "peg-6-permuted", "mp-xhy-16", "mp-channel-1", "w8", "fp32"})
    schemes.push_back(scheme(name));
  for (const Scheme& s : schemes) {
    INFO("scheme " << s.name());
    const auto model = lowered(smooth(), s);
    engine::CpuExecutor without(model, plain), with(model, profiled);
    const Matrix expected = engine_logits(without, batch);
    double dequantize = 0;
    for (int pass = 0; pass < 5; ++pass) {
      const Matrix found = engine_logits(with, batch);
      for (std::size_t k = 0; k < expected.size(); ++k) REQUIRE(found.data()[k] == expected.data()[k]);
      dequantize += with.take_profile().dequantize;
    }
    REQUIRE((dequantize > 0) == (model->integer_products() > 0));
  }
}

TEST_CASE("Float models on the CUDA back end, emulated: float32, and the shorter formats close to it",
          "[engine][cuda]") {
  using engine::RealPrecision;
  for (const std::string name : {"fp32", "w8", "mp-channel-1", "mp-xhy", "llm-int8"}) {
    const auto model = lowered(smooth(), scheme(name));
    const Batch batch = make_batches(smooth().evaluated, 10)[0];
    const Matrix expected = engine_logits(*on_cpu(model, nullptr), batch);
    double previous = 0;
    // Two-byte operands differ by 2^-12 or 2^-9 of their size, which rounds some codes to a neighbour.
    const double margin = name != "fp32" && name != "w8" ? 0.1 : 0;
    const std::pair<RealPrecision, double> precisions[] = {{RealPrecision::float32, 2e-4},
                                                           {RealPrecision::float16, 0.02},
                                                           {RealPrecision::bfloat16, 0.15},
                                                           {RealPrecision::float8, 0.5}};
    for (const auto& [real, tolerance] : precisions) {
      INFO(name << ", precision " << static_cast<int>(real));
      engine::CudaOptions options;
      options.real = real;
      options.tune = false;
      const Matrix found = engine_logits(*test::emulated_cuda_executor(model, options), batch);
      double worst = 0;
      for (std::size_t k = 0; k < found.size(); ++k) {
        REQUIRE(std::isfinite(found.data()[k]));
        worst = std::max<double>(worst, std::abs(found.data()[k] - expected.data()[k]));
      }
      REQUIRE(worst < tolerance + margin);
      if (margin == 0) REQUIRE(worst > previous);  // another precision is another computation
      previous = worst;
    }
  }
}

TEST_CASE(
    "On the CUDA back end, emulated, the precision of real products is none of integer products' business",
    "[engine][cuda]") {
  const std::vector<std::string> real_sums = {"activations.h.bits=32",
                                              "activations.*.attention_output.bits=32"};
  for (const Network* network : {&smooth(), &loud()}) {
    for (const char* name : {"w8a8", "w8a8-channel-weights"}) {
      const Scheme s = scheme(name, real_sums);
      const auto model = lowered(*network, s);
      REQUIRE(model->integer_products() == 8 * model->shape.layers);
      REQUIRE(model->layers[0].sites[engine::ffn_output].kind == engine::SiteFormat::Kind::real);
      const Batch batch = make_batches(network->evaluated, 6)[0];
      Matrix expected;
      for (const auto real : {engine::RealPrecision::float32, engine::RealPrecision::float16,
                              engine::RealPrecision::bfloat16, engine::RealPrecision::float8}) {
        INFO(name << ", precision " << static_cast<int>(real) << (network == &loud() ? ", loud" : ""));
        engine::CudaOptions options;
        options.real = real;
        options.tune = false;
        const Matrix found = engine_logits(*test::emulated_cuda_executor(model, options), batch);
        if (expected.empty()) expected = found;
        for (std::size_t k = 0; k < found.size(); ++k) REQUIRE(found.data()[k] == expected.data()[k]);
      }
    }
  }
}

TEST_CASE("On the CUDA back end, emulated, outliers beyond float16's range survive beside codes",
          "[engine][cuda]") {
  for (const Scheme& s : {scheme("mp-xhy"), scheme("mp-xhy", {"activations.x.bits=8"}), scheme("llm-int8"),
                          scheme("w8a8", {"activations.x.bits=32"})}) {
    const auto model = lowered(loud(), s);
    const Batch batch = make_batches(loud().evaluated, 6)[0];
    const Matrix expected = engine_logits(*on_cpu(model, nullptr), batch);
    engine::CudaOptions options;
    options.real = engine::RealPrecision::float16;
    options.tune = false;
    const Matrix found = engine_logits(*test::emulated_cuda_executor(model, options), batch);
    INFO(s.name());
    for (std::size_t k = 0; k < found.size(); ++k) {
      REQUIRE(std::isfinite(found.data()[k]));
      REQUIRE(found.data()[k] == Approx(expected.data()[k]).margin(0.05));
    }
  }
}

TEST_CASE(
    "On the CUDA back end, emulated, all ways of integer products give the same logits, whatever the batch",
    "[engine][cuda]") {
  // With a low threshold, tiles of other rows have other channels in float.
  for (const Scheme& s : {scheme("w8a8"), scheme("peg-6-permuted"), scheme("mp-channel-1"),
                          scheme("llm-int8", {"activations.outlier_threshold=2.5"})}) {
    const std::string name = s.name();
    const auto model = lowered(smooth(), s);
    const std::vector<EncodedExample> all(smooth().evaluated.begin(), smooth().evaluated.begin() + 6);
    const Batch batch = make_batches(all, 6)[0];
    engine::CudaOptions tuned;
    const auto executor = test::emulated_cuda_executor(model, tuned);
    const Matrix expected = engine_logits(*executor, batch);
    // Tuning compares the results of all ways, too.
    REQUIRE(executor->dropped().empty());
    REQUIRE(!executor->product_times().empty());
    const std::size_t ways = test::emulated_cuda_ways().size();
    for (std::size_t way = 0; way < ways; ++way) {
      engine::CudaOptions options;
      options.way = static_cast<int>(way);
      INFO(name << ", " << test::emulated_cuda_ways()[way]);
      const auto fixed = test::emulated_cuda_executor(model, options);
      for (const Batch& part : make_batches(all, way % 2 == 0 ? 6 : 4)) {
        const Matrix found = engine_logits(*fixed, part);
        for (std::size_t e = 0; e < part.size(); ++e) {
          const auto same = std::find(batch.examples.begin(), batch.examples.end(), part.examples[e]);
          const auto row = static_cast<std::size_t>(same - batch.examples.begin());
          REQUIRE(std::equal(found.row(e), found.row(e) + found.cols(), expected.row(row)));
        }
      }
    }
    engine::CudaOptions unknown;
    unknown.way = static_cast<int>(ways);
    REQUIRE_THROWS_AS(test::emulated_cuda_executor(model, unknown), Error);
    unknown = {};
    unknown.device = 1;
    REQUIRE_THROWS_AS(test::emulated_cuda_executor(model, unknown), Error);
  }
}

namespace {

/// Passes of one batch are its first one's, whatever came between: the second is captured as a graph, which
/// all others replay.
void replay(engine::Executor& executor, const std::vector<Batch>& batches) {
  std::vector<Matrix> first;
  for (const Batch& batch : batches) first.push_back(engine_logits(executor, batch));
  for (int round = 0; round < 3; ++round) {
    for (std::size_t b = 0; b < batches.size(); ++b) {
      const Matrix again = engine_logits(executor, batches[b]);
      REQUIRE(std::equal(again.data(), again.data() + again.size(), first[b].data()));
    }
  }
}

/// Small batches, then larger ones, for which memory moves.
std::vector<Batch> growing_batches() {
  std::vector<Batch> batches;
  for (const std::size_t size : {1, 2, 6}) {
    const std::vector<EncodedExample> some(smooth().evaluated.begin(), smooth().evaluated.begin() + 6);
    for (const Batch& batch : make_batches(some, size)) batches.push_back(batch);
  }
  return batches;
}

}  // namespace

namespace {

using KernelSize = std::pair<std::string, int>;  ///< name, rows
/// Bytes, operations of attention's products of codes and of reals.
using Traffic = std::tuple<double, double, double>;

struct DeviceProfile {
  engine::Profile parts;
  std::map<KernelSize, Traffic> kernels;
};

/// Of a batch's second pass.
DeviceProfile device_profile(const std::shared_ptr<const engine::Model>& model, const Batch& batch) {
  const Matrix expected = engine_logits(*test::emulated_cuda_executor(model), batch);
  engine::CudaOptions options;
  options.profile = true;
  const auto executor = test::emulated_cuda_executor(model, options);
  DeviceProfile profile;
  for (int pass = 0; pass < 2; ++pass) {
    // What is timed runs again, and leaves the same logits.
    const Matrix logits = engine_logits(*executor, batch);
    REQUIRE(std::equal(logits.data(), logits.data() + logits.size(), expected.data()));
    const engine::Profile parts = executor->take_profile();
    if (pass > 0) REQUIRE((parts.gemm == profile.parts.gemm && parts.rest == profile.parts.rest));
    profile = {parts, {}};
    for (const engine::KernelTime& k : executor->take_kernel_times()) {
      REQUIRE(k.columns == (k.kernel == "gelu" ? 128 : 64));
      REQUIRE(k.seconds == Approx(test::emulated_launch_seconds));
      REQUIRE(k.launches >= 1);
      const Traffic traffic(k.bytes, k.integer_operations, k.real_operations);
      REQUIRE(profile.kernels.emplace(KernelSize(k.kernel, k.rows), traffic).second);
    }
    REQUIRE(executor->take_kernel_times().empty());
  }
  return profile;
}

}  // namespace

TEST_CASE("A profile of the CUDA back end, emulated, has each kernel between products and what it carries",
          "[engine][cuda]") {
  const std::vector<EncodedExample> few(smooth().evaluated.begin(), smooth().evaluated.begin() + 3);
  const Batch batch = make_batches(few, 3)[0];
  const auto plain = test::emulated_cuda_executor(lowered(smooth(), scheme("w8a8")));
  engine_logits(*plain, batch);
  REQUIRE(plain->take_kernel_times().empty());

  const double rows = static_cast<double>(batch.token_count()), hidden = 64, examples = 3;
  double pairs = 0;
  for (std::size_t e = 0; e < batch.size(); ++e)
    pairs += static_cast<double>(batch.length(e)) * static_cast<double>(batch.length(e));
  const int all = static_cast<int>(rows);
  // All is codes of one byte: words and 9 bytes that name them; queries, keys, values and context; a
  // product's result, the residual and what leaves. The pooler's result is float32.
  const std::map<KernelSize, Traffic> of_codes = {
      {{"embeddings", all}, {rows * (2 * hidden + 9), 0, 0}},
      {{"attention", all}, {rows * 4 * hidden, 4 * pairs * hidden, 0}},
      {{"attention norm", all}, {rows * 3 * hidden, 0, 0}},
      {{"output norm", all}, {rows * 3 * hidden, 0, 0}},
      {{"first rows", 3}, {2 * examples * hidden, 0, 0}},
      {{"attention", 3}, {(rows + examples) * 2 * hidden, 4 * rows * hidden, 0}},
      {{"attention norm", 3}, {examples * 3 * hidden, 0, 0}},
      {{"output norm", 3}, {examples * 3 * hidden, 0, 0}},
      {{"pooler", 3}, {examples * (4 * hidden + hidden), 0, 0}},
  };
  const DeviceProfile codes = device_profile(lowered(smooth(), scheme("w8a8")), batch);
  REQUIRE(codes.kernels == of_codes);
  // Four products of each of two layers, the pooler's and the classifier's; beside them each kernel once.
  REQUIRE(codes.parts.gemm == Approx(10 * test::emulated_launch_seconds));
  REQUIRE(codes.parts.rest == Approx(9 * test::emulated_launch_seconds));
  // float16 throughout, but for the words' table.
  const auto reals = device_profile(lowered(smooth(), scheme("fp32")), batch).kernels;
  for (const KernelSize& kernel : {KernelSize("attention", all), KernelSize("attention", 3),
                                   KernelSize("output norm", all), KernelSize("first rows", 3)}) {
    INFO(kernel.first << " of " << kernel.second);
    const auto [bytes, integer, real] = of_codes.at(kernel);
    REQUIRE(reals.at(kernel) == Traffic(2 * bytes, real, integer));
  }
  // Codes with a scale and a zero point per row and the number of its outliers; the product's result is
  // float32.
  const auto outliers = device_profile(lowered(smooth(), scheme("llm-int8")), batch).kernels;
  REQUIRE(std::get<0>(outliers.at({"output norm", all})) == rows * (4 * hidden + 2 * (hidden + 12)));
  // Scores of codes, a context of reals.
  const auto tokens = device_profile(lowered(smooth(), scheme("w8a8-token")), batch).kernels;
  const auto [bytes, integer, real] = tokens.at({"attention", all});
  REQUIRE(integer == 2 * pairs * hidden);
  REQUIRE(real == 2 * pairs * hidden);
}

TEST_CASE("CUDA graphs, emulated, replay what the first pass computed, whatever came between",
          "[engine][cuda]") {
  for (const char* name : {"fp32", "w8a8", "peg-6-permuted"}) {
    const auto model = lowered(smooth(), scheme(name));
    INFO(name);
    replay(*test::emulated_cuda_executor(model), growing_batches());
    // By cublasLt, whose sums move when a larger batch comes.
    engine::CudaOptions options;
    options.way = static_cast<int>(test::emulated_cuda_ways().size()) - 1;
    replay(*test::emulated_cuda_executor(model, options), growing_batches());
  }
}

TEST_CASE("A batch for which the CUDA device has too little memory is an Error, and the next one runs",
          "[engine][cuda]") {
  const auto model = lowered(smooth(), scheme("w8a8"));
  const std::vector<EncodedExample>& all = smooth().evaluated;
  const Batch small = make_batches(all, 1)[0], large = make_batches(all, all.size())[0];
  const Matrix expected_small = engine_logits(*test::emulated_cuda_executor(model), small),
               expected_large = engine_logits(*test::emulated_cuda_executor(model), large);
  const auto same = [](const Matrix& a, const Matrix& b) {
    return std::equal(a.data(), a.data() + a.size(), b.data());
  };
  const auto executor = test::emulated_cuda_executor(model);
  for (int pass = 0; pass < 3; ++pass) REQUIRE(same(engine_logits(*executor, small), expected_small));
  const std::size_t held = executor->bytes();
  // The first array that does not fit, and a later one.
  for (const std::size_t limit : {std::size_t{0}, held}) {
    const test::LittleMemory little(limit);
    REQUIRE_THROWS_AS(engine_logits(*executor, large), Error);
  }
  for (int pass = 0; pass < 3; ++pass) REQUIRE(same(engine_logits(*executor, small), expected_small));
  REQUIRE(executor->bytes() == held);
  for (int pass = 0; pass < 3; ++pass) REQUIRE(same(engine_logits(*executor, large), expected_large));
}

#ifdef OUTLIERLAB_CUDA
TEST_CASE("The CUDA back end agrees with the simulated scheme at every site", "[engine][cuda][device]") {
  if (engine::cuda_devices() == 0) {
    WARN("skipped: no CUDA device here; the emulated device has run the same test");
    return;
  }
  const auto on_cuda = [](std::shared_ptr<const engine::Model> model, engine::SiteObserver* observer) {
    engine::CudaOptions options;
    options.real = engine::RealPrecision::float32;
    options.observer = observer;
    return std::unique_ptr<engine::Executor>(engine::make_cuda_executor(std::move(model), options));
  };
  for (const Network* network : {&smooth(), &odd()}) {
    for (const Scheme& s : executable_schemes()) compare(*network, s, on_cuda, 1e-5);
    for (const Scheme& s : schemes_with_outliers()) compare(*network, s, on_cuda, 1e-5);
  }
}

TEST_CASE("CUDA graphs replay what the first pass computed", "[engine][cuda][device]") {
  if (engine::cuda_devices() == 0) {
    WARN("skipped: no CUDA device here; the emulated device has run the same test");
    return;
  }
  for (const char* name : {"fp32", "w8a8", "peg-6-permuted"}) {
    const auto model = lowered(smooth(), scheme(name));
    INFO(name);
    replay(*engine::make_cuda_executor(model), make_batches(smooth().evaluated, 10));
    replay(*engine::make_cuda_executor(model), growing_batches());
  }
}
#endif

TEST_CASE("What the engine cannot execute is refused by name, with what would be needed", "[engine]") {
  const struct {
    std::vector<std::string> set;
    const char *place, *needed;
  } refused[] = {
      {{"activations.granularity=block", "activations.block=8"},
       "site embeddings.sum",
       "granularity tensor, channel, group or token"},
      {{"weights.granularity=block", "weights.block=8"},
       "weight embeddings.word",
       "granularity tensor or channel"},
      {{"weights.bits=12"}, "weight", "at most 8 bits"},
  };
  for (const auto& r : refused) {
    std::string message = "nothing thrown";
    try {
      lowered(odd(), scheme("w8a8", r.set));
    } catch (const Refusal& error) {
      message = error.what();
    }
    INFO(message);
    for (const char* part : {"scheme w8a8", r.place, "expected", r.needed, "found"})
      REQUIRE(message.find(part) != std::string::npos);
  }
}

TEST_CASE("Executors refuse what they cannot run, and name what they can", "[engine][cuda]") {
  const auto refusal = [](const auto& make) {
    try {
      make();
    } catch (const Refusal& refused) {
      return std::string(refused.what());
    }
    return std::string("nothing thrown");
  };
  engine::CpuOptions half;
  half.real = engine::RealPrecision::float16;
  const std::string on_processor =
      refusal([&] { engine::CpuExecutor executor(lowered(odd(), scheme("w8a8")), half); });
  REQUIRE(on_processor.find("float32 or bfloat16") != std::string::npos);
  REQUIRE(on_processor.find("found float16") != std::string::npos);
  BertConfig wide = odd().weights.config;
  wide.intermediate_size = 4112;
  const Network network(random_weights(wide, Heads::classifier, 0.02, 1));
  const std::string on_device = refusal([&] { on_emulated_cuda(lowered(network, scheme("w8a8")), nullptr); });
  REQUIRE(on_device.find("at most 4096") != std::string::npos);
  REQUIRE(on_device.find("4112") != std::string::npos);
}

TEST_CASE("Tokens that the model does not have are errors", "[engine][cuda]") {
  for (const MakeExecutor& make : {MakeExecutor(on_cpu), MakeExecutor(on_emulated_cuda)}) {
    const auto executor = make(lowered(odd(), scheme("w8a8")), nullptr);
    Batch batch = make_batches(odd().evaluated, 4)[0];
    float logits[8];
    batch.token_ids[1] = 50;
    REQUIRE_THROWS_AS(executor->logits(tokens_of(batch), logits), Error);
    batch.token_ids[1] = -1;
    REQUIRE_THROWS_AS(executor->logits(tokens_of(batch), logits), Error);
    batch.token_ids[1] = 0;
    batch.positions[0] = 40;
    REQUIRE_THROWS_AS(executor->logits(tokens_of(batch), logits), Error);
  }
}
