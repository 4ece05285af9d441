#include "quant/exact_network.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "core/error.h"
#include "core/parallel.h"
#include "kernels/double_kernels.h"
#include "kernels/kernels.h"

namespace outlierlab {

namespace {

using Doubles = AlignedVector<double>;

std::vector<double> widened(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

/// A weight as its quantizer stores it.
class ExactWeight {
 public:
  ExactWeight(const Matrix& matrix, const WeightRule& rule, const std::string& name,
              const std::string& input_site, const NetworkStatistics* statistics) {
    if (rule.is_float() || matrix.empty()) {
      stored_.values = matrix;
      return;
    }
    bits_ = rule.bits;
    stored_ = quantize_weight(matrix, rule, name, input_site, statistics);
    uniform_ = on_uniform_grids();
  }
  std::size_t rows() const { return stored_.values.rows(); }
  std::size_t cols() const { return stored_.values.cols(); }

  void row(std::size_t r, double* out) const {
    const float* const values = stored_.values.row(r);
    for (std::size_t c = 0; c < cols(); ++c)
      out[c] = uniform_ ? static_cast<double>(scale(r)) * *symmetric_code(values[c], scale(r), bits_)
                        : static_cast<double>(values[c]);
  }

 private:
  float scale(std::size_t r) const { return stored_.scales[stored_.scales.size() == 1 ? 0 : r]; }
  bool on_uniform_grids() const {
    if (stored_.scales.size() != 1 && stored_.scales.size() != rows()) return false;
    for (std::size_t r = 0; r < rows(); ++r) {
      const float* const values = stored_.values.row(r);
      for (std::size_t c = 0; c < cols(); ++c)
        if (!symmetric_code(values[c], scale(r), bits_)) return false;
    }
    return true;
  }

  QuantizedWeight stored_;
  int bits_ = 32;
  bool uniform_ = false;  ///< scale times code, per tensor or row
};

struct ExactLinear {
  std::size_t in = 0, out = 0;
  Doubles panels;
  std::vector<double> bias;

  ExactLinear(const ExactWeight& weight, const std::vector<float>& offsets)
      : in(weight.cols()), out(weight.rows()), panels(packed_size(out, in)), bias(widened(offsets)) {
    parallel_chunks(out, panel_width, [&](std::size_t begin, std::size_t end, int) {
      Doubles rows((end - begin) * in);
      for (std::size_t r = begin; r < end; ++r) weight.row(r, rows.data() + (r - begin) * in);
      pack_doubles(rows.data(), 1, in, end - begin, in, panels.data() + begin * in);
    });
  }
  Doubles operator()(const double* values, std::size_t rows) const {
    Doubles result(rows * out);
    double_gemm()(values, in, rows, in, panels.data(), out, bias.empty() ? nullptr : bias.data(),
                  result.data(), out);
    return result;
  }
};

struct ExactNorm {
  std::vector<double> gain, bias;
  double epsilon;

  ExactNorm(const LayerNormWeights& norm, float added)
      : gain(widened(norm.gain)), bias(widened(norm.bias)), epsilon(added) {}
  void operator()(Doubles& values) const {
    double_layer_norm(values.data(), values.size() / gain.size(), gain.size(), gain.data(), bias.data(),
                      epsilon);
  }
};

/// To a whole number, ties to even, of a magnitude up to 2^17. Ties are no rarity: a head that attends to one
/// token alone has its context on a multiple of that token's grid. What double precision leaves of a tie
/// counts as one; adding and taking away 1.5 * 2^19 rounds to a multiple of 2^-33, 1.5 * 2^52 to a multiple
/// of 1.
double round_even(double v) {
  const double close = (v + 0x1.8p19) - 0x1.8p19;
  return (close + 0x1.8p52) - 0x1.8p52;
}

/// A grid by its steps from 0.
struct Steps {
  double scale, lowest, highest;

  double round_trip(double v) const {
    if (!(scale > 0)) return scale < 0 ? v : 0;
    // The bounds are whole numbers, so that clamping can come first.
    return scale * round_even(std::min(std::max(v / scale, lowest), highest));
  }
};

/// What a site does to its values.
class ExactSite {
 public:
  explicit ExactSite(SiteLayout layout) : layout_(std::move(layout)) {
    for (std::size_t i = 0; i < layout_.scale.size(); ++i) {
      const double zero = layout_.zero[i];
      grids_.push_back({layout_.scale[i], qmin() - zero, qmax() - zero});
    }
  }

  /// All values are of one head, or (-1) column c is channel c.
  void quantize(double* values, std::size_t rows, std::size_t cols, int head) const {
    if (layout_.bits == 32) return;
    if (grids_.empty()) {
      const std::size_t block = layout_.block == 0 ? cols : layout_.block;
      for (std::size_t r = 0; r < rows; ++r) {
        for (std::size_t c = 0; c < cols; c += block)
          quantize_run(values + r * cols + c, std::min(block, cols - c));
      }
    } else if (layout_.by_channel && head < 0) {
      for (std::size_t r = 0; r < rows; ++r) {
        for (std::size_t c = 0; c < cols; ++c)
          values[r * cols + c] = grids_[c].round_trip(values[r * cols + c]);
      }
    } else {
      const Steps grid = grids_[layout_.by_channel ? static_cast<std::size_t>(head) : 0];
      for (std::size_t i = 0; i < rows * cols; ++i) values[i] = grid.round_trip(values[i]);
    }
  }

 private:
  double qmax() const { return (1 << (layout_.symmetric ? layout_.bits - 1 : layout_.bits)) - 1; }
  double qmin() const { return layout_.symmetric ? -qmax() : 0; }

  Steps grid_of(double lo, double hi) const {
    if (layout_.symmetric) return {std::max(-lo, hi) / qmax(), qmin(), qmax()};
    const double scale = (hi - lo) / qmax();
    const double zero = scale > 0 ? round_even(std::clamp(-lo / scale, 0.0, qmax())) : 0;
    return {scale, -zero, qmax() - zero};
  }
  /// On the grid of the run's own range.
  void quantize_run(double* values, std::size_t count) const {
    const auto kept = [limit = static_cast<double>(layout_.outlier_threshold)](double v) {
      return std::abs(v) > limit;
    };
    double lo = 0, hi = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (kept(values[i])) continue;
      lo = std::min(lo, values[i]);
      hi = std::max(hi, values[i]);
    }
    const Steps grid = grid_of(lo, hi);
    for (std::size_t i = 0; i < count; ++i)
      if (!kept(values[i])) values[i] = grid.round_trip(values[i]);
  }

  SiteLayout layout_;
  std::vector<Steps> grids_;  ///< of a static site
};

struct ExactLayer {
  ExactLinear query, key, value, attention_output, ffn_hidden, ffn_output;
  ExactNorm attention_norm, output_norm;
};

/// Of `from` as many as `to` has.
void add(const Doubles& from, Doubles& to) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

/// All weights of a network, by their short names.
class ExactWeights {
 public:
  ExactWeights(const BertWeights& network, const Scheme& scheme, const NetworkStatistics* statistics) {
    network.for_each_matrix(
        [&](const std::string& name, const std::string& input_site, const Matrix& matrix) {
          const WeightRule rule = WeightRule::read(scheme.weight_rule(name));
          weights_.emplace(name, ExactWeight(matrix, rule, name, input_site, statistics));
        });
  }
  const ExactWeight& operator[](const std::string& name) const { return weights_.at(name); }
  ExactLinear linear(const std::string& name, const Linear& linear) const {
    return ExactLinear(weights_.at(name), linear.bias);
  }

 private:
  std::map<std::string, ExactWeight> weights_;
};

}  // namespace

struct ExactNetwork::Parts {
  BertConfig config;
  SiteTable sites;
  std::vector<ExactSite> grids;  ///< by site
  ExactWeight word, position, token_type;
  ExactNorm embeddings_norm;
  std::vector<ExactLayer> layers;
  ExactLinear pooler, classifier;

  Parts(const BertWeights& network, const ExactWeights& exact, const ActivationQuantizer& calibrated);

  /// One example on its way.
  class Pass;
};

ExactNetwork::Parts::Parts(const BertWeights& network, const ExactWeights& exact,
                           const ActivationQuantizer& calibrated)
    : config(network.config),
      sites(network.config),
      word(exact["embeddings.word"]),
      position(exact["embeddings.position"]),
      token_type(exact["embeddings.token_type"]),
      embeddings_norm(network.embeddings_norm, config.layer_norm_epsilon),
      pooler(exact.linear("pooler", network.pooler)),
      classifier(exact.linear("classifier", network.classifier)) {
  for (std::size_t s = 0; s < sites.size(); ++s) grids.emplace_back(calibrated.layout(s));
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const BertLayerWeights& from = network.layers[i];
    const std::string name = "layer." + std::to_string(i) + ".";
    layers.push_back({exact.linear(name + "query", from.query), exact.linear(name + "key", from.key),
                      exact.linear(name + "value", from.value),
                      exact.linear(name + "attention_output", from.attention_output),
                      exact.linear(name + "ffn_hidden", from.ffn_hidden),
                      exact.linear(name + "ffn_output", from.ffn_output),
                      ExactNorm(from.attention_norm, config.layer_norm_epsilon),
                      ExactNorm(from.output_norm, config.layer_norm_epsilon)});
  }
}

class ExactNetwork::Parts::Pass {
 public:
  Pass(const Parts& network, const Batch& batch, std::size_t example, const Observer& observer)
      : net_(network),
        batch_(batch),
        example_(example),
        observer_(observer),
        length_(batch.length(example)),
        width_(network.config.hidden_size) {}

  Doubles logits() {
    Doubles hidden = embed();
    const std::size_t layers = net_.layers.size();
    // Of the last one the classifier reads the first token alone.
    for (std::size_t i = 0; i < layers; ++i)
      hidden = layer(static_cast<int>(i), hidden, i + 1 == layers && !observer_ ? 1 : length_);
    Doubles pooled = net_.pooler(hidden.data(), 1);
    double_tanh(pooled.data(), pooled.size());
    site(SiteKind::pooler, -1, pooled, 1);
    return net_.classifier(pooled.data(), 1);
  }

 private:
  void site(SiteKind kind, int layer, Doubles& values, std::size_t rows, int head = -1) const {
    const std::size_t index = net_.sites.index(kind, layer);
    if (!std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); }))
      fail_expected("site " + net_.sites[index].name, "finite values", "NaN or Inf");
    net_.grids[index].quantize(values.data(), rows, values.size() / rows, head);
    if (observer_) observer_(index, example_, head, values.data(), values.size());
  }

  Doubles embed() const {
    Doubles sum(length_ * width_);
    std::vector<double> type(width_), place(width_);
    for (std::size_t t = 0; t < length_; ++t) {
      const std::size_t token = batch_.offsets[example_] + t;
      double* const row = sum.data() + t * width_;
      net_.word.row(static_cast<std::size_t>(batch_.token_ids[token]), row);
      net_.token_type.row(batch_.token_types[token], type.data());
      net_.position.row(static_cast<std::size_t>(batch_.positions[token]), place.data());
      for (std::size_t c = 0; c < width_; ++c) row[c] += type[c] + place[c];
    }
    site(SiteKind::embeddings_sum, -1, sum, length_);
    net_.embeddings_norm(sum);
    site(SiteKind::embeddings_norm, -1, sum, length_);
    return sum;
  }

  Doubles attend(int layer, const Doubles& query, const Doubles& key, const Doubles& value) const {
    const std::size_t depth = net_.config.head_size(), rows = query.size() / width_;
    Doubles context(rows * width_), scores(rows * length_);
    Doubles keys(packed_size(length_, depth)), values(packed_size(depth, length_));
    for (std::size_t head = 0; head < net_.config.heads; ++head) {
      const std::size_t first = head * depth;
      pack_doubles(key.data() + first, 1, width_, length_, depth, keys.data());
      pack_doubles(value.data() + first, width_, 1, depth, length_, values.data());
      double_gemm()(query.data() + first, width_, rows, depth, keys.data(), length_, nullptr, scores.data(),
                    length_);
      for (double& v : scores) v /= std::sqrt(static_cast<double>(depth));
      site(SiteKind::scores, layer, scores, rows, static_cast<int>(head));
      double_softmax(scores.data(), rows, length_);
      site(SiteKind::probs, layer, scores, rows, static_cast<int>(head));
      double_gemm()(scores.data(), length_, rows, length_, values.data(), depth, nullptr,
                    context.data() + first, width_);
    }
    return context;
  }

  /// Of the first `rows` tokens, which attend to all.
  Doubles layer(int index, const Doubles& hidden, std::size_t rows) const {
    const ExactLayer& weights = net_.layers[static_cast<std::size_t>(index)];
    const auto product = [&](const ExactLinear& linear, const Doubles& values) {
      return linear(values.data(), rows);
    };
    const auto at = [&](SiteKind kind, Doubles& values) { site(kind, index, values, rows); };
    Doubles query = product(weights.query, hidden), key = weights.key(hidden.data(), length_),
            value = weights.value(hidden.data(), length_);
    at(SiteKind::query, query);
    site(SiteKind::key, index, key, length_);
    site(SiteKind::value, index, value, length_);
    Doubles context = attend(index, query, key, value);
    at(SiteKind::context, context);
    Doubles attended = product(weights.attention_output, context);
    at(SiteKind::attention_output, attended);
    add(hidden, attended);
    at(SiteKind::attention_residual, attended);
    weights.attention_norm(attended);
    at(SiteKind::ffn_input, attended);
    Doubles wide = product(weights.ffn_hidden, attended);
    double_gelu(wide.data(), wide.size());
    at(SiteKind::ffn_hidden, wide);
    Doubles out = product(weights.ffn_output, wide);
    at(SiteKind::ffn_output, out);
    add(attended, out);
    at(SiteKind::ffn_residual, out);
    weights.output_norm(out);
    at(SiteKind::output, out);
    return out;
  }

  const Parts& net_;
  const Batch& batch_;
  const std::size_t example_;
  const Observer& observer_;
  const std::size_t length_, width_;
};

ExactNetwork::ExactNetwork(const BertWeights& weights, const Scheme& scheme,
                           const ActivationQuantizer& calibrated, const NetworkStatistics* statistics) {
  require_classifier(weights.has_classifier());
  parts_ = std::make_unique<const Parts>(weights, ExactWeights(weights, scheme, statistics), calibrated);
}

ExactNetwork::~ExactNetwork() = default;
ExactNetwork::ExactNetwork(ExactNetwork&&) noexcept = default;

std::size_t ExactNetwork::labels() const {
  return parts_->classifier.out;
}

std::vector<double> ExactNetwork::logits(const Batch& batch, const Observer& observer) const {
  batch.require_tokens(parts_->word.rows(), parts_->position.rows(), parts_->token_type.rows());
  std::vector<double> all(batch.size() * labels());
  parallel_chunks(batch.size(), 1, [&](std::size_t example, std::size_t, int) {
    const Doubles logits = Parts::Pass(*parts_, batch, example, observer).logits();
    std::copy(logits.begin(), logits.end(), all.begin() + static_cast<std::ptrdiff_t>(example * labels()));
  });
  return all;
}

}  // namespace outlierlab
