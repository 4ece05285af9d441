#include "lower/lower.h"

#include <optional>

#include "core/error.h"
#include "engine/refusal.h"

namespace outlierlab {

namespace {

using engine::SiteFormat;

[[noreturn]] void refuse(const Scheme& scheme, const std::string& place, const std::string& expected,
                         const std::string& found) {
  throw Refusal("scheme " + scheme.name() + ", " + place + ": expected " + expected +
                " to run in integers, found " + found);
}

SiteFormat format_of(const Scheme& scheme, const std::string& site, const SiteLayout& layout) {
  SiteFormat format;
  if (layout.bits == 32) return format;
  format.bits = layout.bits;
  format.symmetric = layout.symmetric;
  if (layout.granularity == Granularity::block) {
    refuse(scheme, "site " + site, "granularity tensor, channel, group or token",
           "block (products would need a scale for every block of their sum)");
  }
  if (layout.granularity == Granularity::token) {
    format.kind = SiteFormat::Kind::rows;
    format.outlier_threshold = layout.outlier_threshold;
    return format;
  }
  format.kind = layout.by_channel ? SiteFormat::Kind::columns : SiteFormat::Kind::tensor;
  format.scale = layout.scale;
  format.zero = layout.zero;
  return format;
}

engine::Weight float_weight(const Matrix& matrix) {
  engine::Weight weight;
  weight.rows = matrix.rows();
  weight.cols = matrix.cols();
  weight.values = std::vector<float>(matrix.data(), matrix.data() + matrix.size());
  return weight;
}

/// The codes of a weight on the grids that its quantizer reports.
engine::Weight integer_weight(const Scheme& scheme, const std::string& name, const QuantizedWeight& quantized,
                              int bits) {
  const Matrix& values = quantized.values;
  engine::Weight weight;
  weight.rows = values.rows();
  weight.cols = values.cols();
  weight.bits = bits;
  const std::vector<float>& scales = quantized.scales;
  if (scales.size() != 1 && scales.size() != values.rows())
    refuse(scheme, "weight " + name, "one scale per tensor or per row",
           std::to_string(scales.size()) + " scales");
  std::vector<std::int8_t> codes(values.size());
  for (std::size_t r = 0; r < values.rows(); ++r) {
    const float scale = scales[scales.size() == 1 ? 0 : r];
    for (std::size_t c = 0; c < values.cols(); ++c) {
      const float value = values(r, c);
      const std::optional<std::int32_t> code = symmetric_code(value, scale, bits);
      if (!code)
        refuse(scheme, "weight " + name, "a uniform grid of " + std::to_string(bits) + " bits",
               "a value of " + std::to_string(value) + " at scale " + std::to_string(scale));
      codes[r * values.cols() + c] = static_cast<std::int8_t>(*code);
    }
  }
  weight.codes = std::move(codes);
  weight.scales = scales;
  return weight;
}

/// Lowers weights one by one.
struct WeightLowering {
  const Scheme& scheme;
  const NetworkStatistics* statistics;

  engine::Weight operator()(const Matrix& matrix, const std::string& name,
                            const std::string& input_site) const {
    const WeightRule rule = WeightRule::read(scheme.weight_rule(name));
    if (rule.is_float()) return float_weight(matrix);
    if (rule.granularity == Granularity::block)
      refuse(scheme, "weight " + name, "granularity tensor or channel",
             "block (products would need a scale for every block of their sum)");
    if (rule.bits > 8)
      refuse(scheme, "weight " + name, "at most 8 bits, or 32 for float", std::to_string(rule.bits));
    return integer_weight(scheme, name, quantize_weight(matrix, rule, name, input_site, statistics),
                          rule.bits);
  }

  engine::Linear operator()(const Linear& linear, const std::string& name,
                            const std::string& input_site) const {
    return {(*this)(linear.weight, name, input_site), linear.bias};
  }
};

engine::LayerNorm norm_of(const LayerNormWeights& norm) {
  return {norm.gain, norm.bias};
}

}  // namespace

engine::Model lower_weights(const BertWeights& weights, const Scheme& scheme,
                            const NetworkStatistics* statistics) {
  const BertConfig& config = weights.config;
  require_classifier(weights.has_classifier());
  const WeightLowering lowered{scheme, statistics};
  engine::Model model;
  model.shape = {config.vocab_size,  config.hidden_size,       config.layers,
                 config.heads,       config.intermediate_size, config.max_positions,
                 config.token_types, config.labels.size(),     config.layer_norm_epsilon};
  model.word_embeddings = lowered(weights.word_embeddings, "embeddings.word", "");
  model.position_embeddings = lowered(weights.position_embeddings, "embeddings.position", "");
  model.token_type_embeddings = lowered(weights.token_type_embeddings, "embeddings.token_type", "");
  model.embeddings_norm = norm_of(weights.embeddings_norm);
  std::string input = "embeddings.norm";
  for (std::size_t i = 0; i < weights.layers.size(); ++i) {
    const BertLayerWeights& from = weights.layers[i];
    const std::string name = "layer." + std::to_string(i) + ".";
    engine::Layer layer;
    layer.query = lowered(from.query, name + "query", input);
    layer.key = lowered(from.key, name + "key", input);
    layer.value = lowered(from.value, name + "value", input);
    layer.attention_output = lowered(from.attention_output, name + "attention_output", name + "context");
    layer.ffn_hidden = lowered(from.ffn_hidden, name + "ffn_hidden", name + "ffn_input");
    layer.ffn_output = lowered(from.ffn_output, name + "ffn_output", name + "ffn_hidden");
    layer.attention_norm = norm_of(from.attention_norm);
    layer.output_norm = norm_of(from.output_norm);
    model.layers.push_back(std::move(layer));
    input = name + "output";
  }
  model.pooler = lowered(weights.pooler, "pooler", input);
  model.classifier = lowered(weights.classifier, "classifier", "pooler");
  for (std::size_t i = 0; i < config.labels.size(); ++i)
    model.facts["label_" + std::to_string(i)] = config.labels[i];
  return model;
}

engine::Model lower_sites(engine::Model model, const SiteTable& sites, const Scheme& scheme,
                          const ActivationQuantizer& calibrated) {
  const auto site = [&](SiteKind kind, int layer = -1) {
    const std::size_t index = sites.index(kind, layer);
    return format_of(scheme, sites[index].name, calibrated.layout(index));
  };
  model.embeddings_sum_site = site(SiteKind::embeddings_sum);
  model.embeddings_norm_site = site(SiteKind::embeddings_norm);
  const SiteKind kinds[] = {SiteKind::query,
                            SiteKind::key,
                            SiteKind::value,
                            SiteKind::scores,
                            SiteKind::probs,
                            SiteKind::context,
                            SiteKind::attention_output,
                            SiteKind::attention_residual,
                            SiteKind::ffn_input,
                            SiteKind::ffn_hidden,
                            SiteKind::ffn_output,
                            SiteKind::ffn_residual,
                            SiteKind::output};
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    for (std::size_t k = 0; k < engine::layer_sites; ++k)
      model.layers[i].sites[k] = site(kinds[k], static_cast<int>(i));
  }
  model.pooler_site = site(SiteKind::pooler);
  model.facts["scheme"] = scheme.name();
  model.facts["scheme_text"] = scheme.ini().to_string();
  model.check();
  return model;
}

engine::Model lower(const BertWeights& weights, const Scheme& scheme, const ActivationQuantizer& calibrated,
                    const NetworkStatistics* statistics) {
  return lower_sites(lower_weights(weights, scheme, statistics), SiteTable(weights.config), scheme,
                     calibrated);
}

}  // namespace outlierlab
