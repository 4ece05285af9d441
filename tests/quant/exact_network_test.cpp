#include "quant/exact_network.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "app/resources.h"
#include "catch.h"
#include "core/parallel.h"
#include "model/runner.h"
#include "support/tiny_bert.h"

using namespace outlierlab;

namespace {

using Row = std::vector<long double>;

Scheme scheme(const std::string& name, const std::vector<std::string>& overrides = {}) {
  return Scheme::load(name, resource_root() / "configs" / "schemes", overrides);
}

struct Network {
  BertWeights weights;
  BertRunner runner;
  NetworkStatistics statistics;
  Batch batch;

  explicit Network(BertWeights w) : weights(std::move(w)), runner(weights) {
    StatisticsCollector collector(runner.sites());
    for (const Batch& part : make_batches(test::random_examples({12, 30, 7, 22, 40}, 5), 2))
      runner.logits(part, &collector);
    statistics = collector.finish();
    const auto examples = test::random_examples({9, 1, 17, 26, 4, 13}, 6);
    batch = make_batches(examples, examples.size())[0];
  }
  ActivationQuantizer quantizer(const Scheme& s) const {
    return ActivationQuantizer(s, runner.sites(), &statistics);
  }
  ExactNetwork exact(const Scheme& s) const { return ExactNetwork(weights, s, quantizer(s), &statistics); }
};

const Network& tiny() {
  static const Network network(test::tiny_bert());
  return network;
}

/// Values by site, example and head (0 without heads), row by row.
using Key = std::tuple<std::size_t, std::size_t, int>;
using Values = std::map<Key, std::vector<double>>;

Values values_of(const ExactNetwork& network, const Batch& batch) {
  std::mutex mutex;
  Values values;
  network.logits(batch, [&](std::size_t site, std::size_t example, int head, const double* v, std::size_t n) {
    const std::lock_guard<std::mutex> lock(mutex);
    REQUIRE(values.emplace(Key{site, example, std::max(head, 0)}, std::vector<double>(v, v + n)).second);
  });
  return values;
}

/// What the simulation in float32 has at the sites.
class Simulated : public SiteHook {
 public:
  Simulated(const Batch& batch, ActivationQuantizer& quantizer) : batch_(batch), quantizer_(quantizer) {}
  void visit(const SiteTile& tile, int thread) override {
    quantizer_.visit(tile, thread);
    const std::lock_guard<std::mutex> lock(mutex_);
    for (std::size_t r = 0; r < tile.rows; ++r) {
      const auto found = std::find(batch_.examples.begin(), batch_.examples.end(), tile.tokens[r].example);
      const auto example = static_cast<std::size_t>(found - batch_.examples.begin());
      std::vector<double>& to = values[{tile.site, example, std::max(tile.channel, 0)}];
      const std::size_t end = (tile.tokens[r].position + 1) * tile.cols;
      if (to.size() < end) to.resize(end);
      std::copy_n(tile.data + r * tile.stride, tile.cols, to.data() + end - tile.cols);
    }
  }
  Values values;

 private:
  const Batch& batch_;
  ActivationQuantizer& quantizer_;
  std::mutex mutex_;
};

// The same network once more, value by value in long double and as the scheme's definition has it.

/// Ties to even; what long double leaves of a tie counts as one.
long double rounded(long double v) {
  const long double below = std::floor(v), rest = v - below;
  if (std::abs(rest - 0.5L) < 1e-10L) return std::fmod(below, 2.0L) == 0 ? below : below + 1;
  return rest < 0.5L ? below : below + 1;
}

struct PlainGrid {
  long double scale, zero, qmin, qmax;
  long double operator()(long double v) const {
    if (scale == 0) return 0;
    return scale * (std::min(std::max(rounded(v / scale) + zero, qmin), qmax) - zero);
  }
};

PlainGrid grid_of_range(long double lo, long double hi, const SiteLayout& layout) {
  if (layout.symmetric) {
    const long double largest = std::exp2(layout.bits - 1.0L) - 1;
    return {std::max(-lo, hi) / largest, 0, -largest, largest};
  }
  const long double steps = std::exp2(static_cast<long double>(layout.bits)) - 1, scale = (hi - lo) / steps;
  return {scale, scale > 0 ? rounded(-lo / scale) : 0, 0, steps};
}

void plain_quantize(const SiteLayout& layout, Row& row, int head) {
  if (layout.bits == 32) return;
  if (layout.scale.empty()) {
    const std::size_t block = layout.granularity == Granularity::block ? layout.block : row.size();
    for (std::size_t first = 0; first < row.size(); first += block) {
      const std::size_t end = std::min(row.size(), first + block);
      long double lo = 0, hi = 0;
      for (std::size_t c = first; c < end; ++c) {
        if (std::abs(row[c]) > layout.outlier_threshold) continue;
        lo = std::min(lo, row[c]);
        hi = std::max(hi, row[c]);
      }
      const PlainGrid grid = grid_of_range(lo, hi, layout);
      for (std::size_t c = first; c < end; ++c)
        if (!(std::abs(row[c]) > layout.outlier_threshold)) row[c] = grid(row[c]);
    }
    return;
  }
  for (std::size_t c = 0; c < row.size(); ++c) {
    const std::size_t i = !layout.by_channel ? 0 : head >= 0 ? static_cast<std::size_t>(head) : c;
    if (layout.scale[i] < 0) continue;
    PlainGrid grid = grid_of_range(0, 1, layout);
    grid.scale = layout.scale[i];
    grid.zero = layout.zero[i];
    row[c] = grid(row[c]);
  }
}

class Plain {
 public:
  Plain(const Network& network, const Scheme& s)
      : weights_(network.weights), sites_(network.runner.sites()), batch_(network.batch) {
    const ActivationQuantizer quantizer = network.quantizer(s);
    for (std::size_t i = 0; i < sites_.size(); ++i) layouts_.push_back(quantizer.layout(i));
    const BertWeights in_float = quantize_weights(weights_, s, &network.statistics);
    in_float.for_each_matrix([&](const std::string& name, const std::string&, const Matrix& dequantized) {
      const WeightRule rule = WeightRule::read(s.weight_rule(name));
      exact_[name] = exact_weight(rule, original(name), dequantized);
    });
  }

  Values values;

  std::vector<double> logits() {
    std::vector<double> all;
    for (example_ = 0; example_ < batch_.size(); ++example_) {
      for (const long double v : run()) all.push_back(static_cast<double>(v));
    }
    return all;
  }

 private:
  using Rows = std::vector<Row>;

  const Matrix& original(const std::string& wanted) const {
    const Matrix* found = nullptr;
    weights_.for_each_matrix([&](const std::string& name, const std::string&, const Matrix& matrix) {
      if (name == wanted) found = &matrix;
    });
    return *found;
  }
  /// absmax's grids per tensor or row; what other grids give stays as it is.
  static Rows exact_weight(const WeightRule& rule, const Matrix& original, const Matrix& dequantized) {
    Rows rows;
    float all = 0;
    for (std::size_t i = 0; i < original.size(); ++i) all = std::max(all, std::abs(original.data()[i]));
    for (std::size_t r = 0; r < original.rows(); ++r) {
      float own = 0;
      for (std::size_t c = 0; c < original.cols(); ++c) own = std::max(own, std::abs(original(r, c)));
      const auto levels = static_cast<float>((1 << (rule.is_float() ? 0 : rule.bits - 1)) - 1);
      const float scale = (rule.granularity == Granularity::tensor ? all : own) / levels;
      Row row;
      for (std::size_t c = 0; c < original.cols(); ++c) {
        const bool stays = rule.is_float() || rule.granularity == Granularity::block;
        row.push_back(stays ? static_cast<long double>(dequantized(r, c))
                            : static_cast<long double>(scale) * std::nearbyint(original(r, c) / scale));
      }
      rows.push_back(row);
    }
    return rows;
  }

  void site(SiteKind kind, int layer, Rows& rows, int head = -1) {
    const std::size_t index = sites_.index(kind, layer);
    std::vector<double>& kept = values[{index, example_, std::max(head, 0)}];
    for (Row& row : rows) {
      plain_quantize(layouts_[index], row, head);
      for (const long double v : row) kept.push_back(static_cast<double>(v));
    }
  }
  Rows product(const Rows& rows, const std::string& name, const std::vector<float>& bias) const {
    const Rows& weight = exact_.at(name);
    Rows result(rows.size(), Row(weight.size()));
    for (std::size_t r = 0; r < rows.size(); ++r) {
      for (std::size_t j = 0; j < weight.size(); ++j) {
        result[r][j] = bias[j];
        for (std::size_t k = 0; k < rows[r].size(); ++k) result[r][j] += rows[r][k] * weight[j][k];
      }
    }
    return result;
  }
  void normalize(Rows& rows, const LayerNormWeights& norm) const {
    for (Row& row : rows) {
      long double mean = 0, variance = 0;
      for (const long double v : row) mean += v / static_cast<long double>(row.size());
      for (const long double v : row)
        variance += (v - mean) * (v - mean) / static_cast<long double>(row.size());
      const long double deviation =
          std::sqrt(variance + static_cast<long double>(weights_.config.layer_norm_epsilon));
      for (std::size_t c = 0; c < row.size(); ++c)
        row[c] = (row[c] - mean) / deviation * norm.gain[c] + norm.bias[c];
    }
  }
  static void add(const Rows& from, Rows& to) {
    for (std::size_t r = 0; r < to.size(); ++r)
      for (std::size_t c = 0; c < to[r].size(); ++c) to[r][c] += from[r][c];
  }

  Rows attend(int layer, const Rows& query, const Rows& key, const Rows& value) {
    const std::size_t depth = weights_.config.head_size(), tokens = query.size();
    Rows context(tokens, Row(query[0].size(), 0));
    for (std::size_t head = 0; head < weights_.config.heads; ++head) {
      Rows scores(tokens, Row(tokens, 0));
      for (std::size_t i = 0; i < tokens; ++i) {
        for (std::size_t j = 0; j < tokens; ++j) {
          for (std::size_t k = head * depth; k < (head + 1) * depth; ++k)
            scores[i][j] += query[i][k] * key[j][k] / std::sqrt(static_cast<long double>(depth));
        }
      }
      site(SiteKind::scores, layer, scores, static_cast<int>(head));
      for (Row& row : scores) {
        long double sum = 0;
        for (const long double v : row) sum += std::exp(v);
        for (long double& v : row) v = std::exp(v) / sum;
      }
      site(SiteKind::probs, layer, scores, static_cast<int>(head));
      for (std::size_t i = 0; i < tokens; ++i) {
        for (std::size_t j = 0; j < tokens; ++j) {
          for (std::size_t k = head * depth; k < (head + 1) * depth; ++k)
            context[i][k] += scores[i][j] * value[j][k];
        }
      }
    }
    return context;
  }

  Row run() {
    Rows hidden;
    for (std::size_t t = batch_.offsets[example_]; t < batch_.offsets[example_ + 1]; ++t) {
      Row row = exact_["embeddings.word"][static_cast<std::size_t>(batch_.token_ids[t])];
      for (std::size_t c = 0; c < row.size(); ++c) {
        row[c] += exact_["embeddings.token_type"][batch_.token_types[t]][c] +
                  exact_["embeddings.position"][static_cast<std::size_t>(batch_.positions[t])][c];
      }
      hidden.push_back(row);
    }
    site(SiteKind::embeddings_sum, -1, hidden);
    normalize(hidden, weights_.embeddings_norm);
    site(SiteKind::embeddings_norm, -1, hidden);
    for (std::size_t i = 0; i < weights_.layers.size(); ++i) {
      const BertLayerWeights& w = weights_.layers[i];
      const std::string name = "layer." + std::to_string(i) + ".";
      const int layer = static_cast<int>(i);
      Rows query = product(hidden, name + "query", w.query.bias);
      site(SiteKind::query, layer, query);
      Rows key = product(hidden, name + "key", w.key.bias);
      site(SiteKind::key, layer, key);
      Rows value = product(hidden, name + "value", w.value.bias);
      site(SiteKind::value, layer, value);
      Rows context = attend(layer, query, key, value);
      site(SiteKind::context, layer, context);
      Rows x = product(context, name + "attention_output", w.attention_output.bias);
      site(SiteKind::attention_output, layer, x);
      add(hidden, x);
      site(SiteKind::attention_residual, layer, x);
      normalize(x, w.attention_norm);
      site(SiteKind::ffn_input, layer, x);
      Rows wide = product(x, name + "ffn_hidden", w.ffn_hidden.bias);
      for (Row& row : wide)
        for (long double& v : row) v = v / 2 * (1 + std::erf(v / std::sqrt(2.0L)));
      site(SiteKind::ffn_hidden, layer, wide);
      hidden = product(wide, name + "ffn_output", w.ffn_output.bias);
      site(SiteKind::ffn_output, layer, hidden);
      add(x, hidden);
      site(SiteKind::ffn_residual, layer, hidden);
      normalize(hidden, w.output_norm);
      site(SiteKind::output, layer, hidden);
    }
    Rows pooled = product({hidden[0]}, "pooler", weights_.pooler.bias);
    for (long double& v : pooled[0]) v = std::tanh(v);
    site(SiteKind::pooler, -1, pooled);
    return product(pooled, "classifier", weights_.classifier.bias)[0];
  }

  const BertWeights& weights_;
  const SiteTable& sites_;
  const Batch& batch_;
  std::vector<SiteLayout> layouts_;
  std::map<std::string, Rows> exact_;
  std::size_t example_ = 0;
};

std::vector<Scheme> schemes() {
  return {scheme("w8a8"),
          scheme("w8a8", {"activations.grid=symmetric", "activations.bits=6"}),
          scheme("w8a8-channel-weights", {"activations.granularity=channel"}),
          scheme("w8a8-token"),
          scheme("w8a8-token", {"activations.grid=symmetric", "activations.bits=4"}),
          scheme("w8a8-token", {"activations.outlier_threshold=1.5", "weights.bits=16"}),
          scheme("peg-4", {"activations.granularity=group", "activations.groups=3"}),
          scheme("mp-channel-1"),
          scheme("mp-xhy-16"),
          scheme("w8a8", {"activations.granularity=block", "activations.block=8", "weights.granularity=block",
                          "weights.block=8"})};
}

Scheme all_float() {
  return Scheme::parse(Ini::parse("", "float"), "float");
}

double largest_of(const std::vector<double>& values) {
  double largest = 0;
  for (const double v : values) largest = std::max(largest, std::abs(v));
  return largest;
}

}  // namespace

TEST_CASE("The exact network is what long double and plain loops give, at every site of every scheme",
          "[quant][exact]") {
  std::vector<Scheme> all = schemes();
  all.push_back(all_float());
  for (const Scheme& s : all) {
    INFO("scheme " << s.ini().to_string());
    const ExactNetwork network = tiny().exact(s);
    Plain plain(tiny(), s);
    const std::vector<double> expected = plain.logits(), found = network.logits(tiny().batch);
    const Values values = values_of(network, tiny().batch);
    REQUIRE(values.size() == plain.values.size());
    for (const auto& [key, ours] : values) {
      const std::vector<double>& theirs = plain.values.at(key);
      INFO("site " << tiny().runner.sites()[std::get<0>(key)].name << ", example " << std::get<1>(key));
      REQUIRE(ours.size() == theirs.size());
      // Float32 would be off by 6e-8 of a value after any one rounding.
      const double margin = 1e-11 * largest_of(theirs);
      for (std::size_t i = 0; i < ours.size(); ++i) REQUIRE(std::abs(ours[i] - theirs[i]) <= margin);
    }
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) REQUIRE(found[i] == Approx(expected[i]).margin(1e-11));
  }
}

TEST_CASE("Without grids the exact network is the runner's, but for float32's rounding", "[quant][exact]") {
  const Scheme s = all_float();
  ActivationQuantizer quantizer = tiny().quantizer(s);
  Simulated simulated(tiny().batch, quantizer);
  const Matrix in_float = tiny().runner.logits(tiny().batch, &simulated);
  const ExactNetwork network = tiny().exact(s);
  const std::vector<double> exact = network.logits(tiny().batch);
  REQUIRE(network.labels() == in_float.cols());
  REQUIRE(exact.size() == in_float.size());
  for (std::size_t i = 0; i < exact.size(); ++i) REQUIRE(in_float.data()[i] == Approx(exact[i]).margin(1e-5));
  std::size_t differ = 0, count = 0;
  for (const auto& [key, values] : values_of(network, tiny().batch)) {
    const std::vector<double>& floats = simulated.values.at(key);
    REQUIRE(floats.size() == values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      REQUIRE(floats[i] == Approx(values[i]).epsilon(1e-4).margin(1e-4));
      differ += static_cast<float>(values[i]) != floats[i];
      ++count;
    }
  }
  REQUIRE(differ > count / 10);  // the sums were not those of float32
}

TEST_CASE("The simulation in float32 has most of the exact network's values, and few a step away",
          "[quant][exact]") {
  for (const Scheme& s : schemes()) {
    INFO("scheme " << s.ini().to_string());
    const BertRunner runner(quantize_weights(tiny().weights, s, &tiny().statistics));
    ActivationQuantizer quantizer = tiny().quantizer(s);
    Simulated simulated(tiny().batch, quantizer);
    runner.logits(tiny().batch, &simulated);
    std::map<std::size_t, std::pair<std::size_t, std::size_t>> moved;  // by site: so many, of so many
    for (const auto& [key, values] : values_of(tiny().exact(s), tiny().batch)) {
      const std::vector<double>& floats = simulated.values.at(key);
      REQUIRE(floats.size() == values.size());
      const double margin = 1e-5 * largest_of(values);
      auto& [apart, count] = moved[std::get<0>(key)];
      for (std::size_t i = 0; i < values.size(); ++i) apart += !(std::abs(floats[i] - values[i]) <= margin);
      count += values.size();
    }
    for (const auto& [site, share] : moved) {
      INFO("site " << tiny().runner.sites()[site].name << ": " << share.first << " of " << share.second);
      REQUIRE(static_cast<double>(share.first) <= 0.05 * static_cast<double>(share.second));
    }
  }
}

TEST_CASE("Rows that no logit depends on change none where they are computed", "[quant][exact]") {
  for (const Scheme& s : schemes()) {
    INFO("scheme " << s.ini().to_string());
    const Batch& batch = tiny().batch;
    const BertRunner runner(quantize_weights(tiny().weights, s, &tiny().statistics));
    ActivationQuantizer quantizer = tiny().quantizer(s);
    Simulated all_rows(batch, quantizer);
    REQUIRE((all_rows.needs_all_rows() && !quantizer.needs_all_rows()));
    const Matrix expected = runner.logits(batch, &all_rows), found = runner.logits(batch, &quantizer);
    REQUIRE(std::equal(found.data(), found.data() + found.size(), expected.data()));
    const ExactNetwork network = tiny().exact(s);
    REQUIRE(network.logits(batch) ==
            network.logits(batch, [](std::size_t, std::size_t, int, const double*, std::size_t) {}));
  }
}

TEST_CASE("A tie goes to the even code, whatever double precision leaves of it", "[quant][exact]") {
  BertWeights weights = test::tiny_bert();
  weights.position_embeddings = Matrix(40, 30, 0.0f);
  weights.token_type_embeddings = Matrix(2, 30, 0.0f);
  weights.embeddings_norm = {std::vector<float>(30, 1.0f), std::vector<float>(30, 0.0f)};
  // LayerNorm divides by what no number of bits holds; the largest of a row is 127 steps, an odd value a
  // half.
  Random random(1);
  for (std::size_t r = 0; r < 50; ++r) {
    for (std::size_t c = 0; c < 30; c += 2) {
      weights.word_embeddings(r, c) = c == 0 ? 254.0f : static_cast<float>(1 + 2 * random.below(127));
      weights.word_embeddings(r, c + 1) = -weights.word_embeddings(r, c);
    }
  }
  const Scheme s = Scheme::parse(Ini::parse("[weights]\nbits = 32\n[activations]\nbits = 32\n"
                                            "[activations.embeddings.norm]\nbits = 8\ngrid = symmetric\n"
                                            "granularity = token\n",
                                            "ties"),
                                 "ties");
  const Network network(std::move(weights));
  const std::size_t site = network.runner.sites().index(SiteKind::embeddings_norm);
  std::size_t ties = 0;
  for (const auto& [key, values] : values_of(network.exact(s), network.batch)) {
    if (std::get<0>(key) != site) continue;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i % 30 < 2) continue;
      const double code = values[i] / values[i / 30 * 30] * 127;
      REQUIRE(code == Approx(std::nearbyint(code)).margin(1e-9));
      REQUIRE(std::fmod(std::nearbyint(code), 2.0) == 0);
      ++ties;
    }
  }
  REQUIRE(ties == 28 * network.batch.token_count());
}

TEST_CASE("Exact logits depend neither on the batch nor on the number of threads", "[quant][exact]") {
  const ExactNetwork network = tiny().exact(scheme("w8a8"));
  const auto examples = test::random_examples({9, 1, 17, 26, 4, 13}, 6);
  const int before = threads();
  const std::vector<double> expected = network.logits(tiny().batch);
  set_threads(3);
  REQUIRE(network.logits(tiny().batch) == expected);
  for (std::size_t e = 0; e < tiny().batch.size(); ++e) {
    const std::vector<double> alone = network.logits(make_batch(examples, {tiny().batch.examples[e]}));
    REQUIRE(alone == std::vector<double>(expected.begin() + static_cast<std::ptrdiff_t>(2 * e),
                                         expected.begin() + static_cast<std::ptrdiff_t>(2 * e + 2)));
  }
  set_threads(before);
}

TEST_CASE("The exact network names what it cannot run", "[quant][exact]") {
  const ExactNetwork network = tiny().exact(scheme("w8a8"));
  Batch batch = tiny().batch;
  batch.token_ids[3] = 50;
  REQUIRE_ERROR(network.logits(batch), "token", "vocabulary's size 50");
  for (const float value : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    BertWeights spoilt = tiny().weights;
    spoilt.layers[1].ffn_hidden.bias[3] = value;
    const Scheme s = scheme("w8a8");
    const ExactNetwork broken(spoilt, s, tiny().quantizer(s), &tiny().statistics);
    REQUIRE_ERROR(broken.logits(tiny().batch), "site layer.1.ffn_hidden", "finite values", "NaN or Inf");
  }
  BertWeights encoder = tiny().weights;
  encoder.classifier = {};
  const Scheme s = all_float();
  REQUIRE_ERROR(ExactNetwork(encoder, s, tiny().quantizer(s), nullptr), "not a classification model");
}
