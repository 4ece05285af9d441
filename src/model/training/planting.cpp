#include "model/training/planting.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/error.h"
#include "core/random.h"

namespace outlierlab {

namespace {

std::size_t channel(const IniSection& section, const std::string& key, const std::string& text,
                    std::size_t limit) {
  std::size_t used = 0;
  unsigned long value = limit;
  try {
    value = std::stoul(text, &used);
  } catch (const std::exception&) {
  }
  if (used != text.size() || value >= limit) {
    throw UsageError(section.place + ": [plant] " + key + ": expected a channel below " +
                     std::to_string(limit) + ", found '" + text + "'");
  }
  return value;
}

std::array<std::size_t, 2> channel_pair(const IniSection& section, const std::string& key,
                                        std::size_t limit) {
  const std::vector<std::string> items = section.list(key);
  if (items.size() != 2) {
    throw UsageError(section.place + ": [plant] " + key + ": expected two channels, found " +
                     std::to_string(items.size()));
  }
  return {channel(section, key, items[0], limit), channel(section, key, items[1], limit)};
}

std::vector<double> per_layer(const IniSection& section, const std::string& key, std::size_t layers) {
  std::vector<double> values;
  for (const std::string& item : section.list(key)) {
    std::size_t used = 0;
    double value = 0;
    try {
      value = std::stod(item, &used);
    } catch (const std::exception&) {
    }
    if (used != item.size()) {
      throw UsageError(section.place + ": [plant] " + key + ": expected numbers, found '" + item + "'");
    }
    values.push_back(value);
  }
  if (!values.empty() && values.size() != layers) {
    throw UsageError(section.place + ": [plant] " + key + ": expected one number per layer (" +
                     std::to_string(layers) + "), found " + std::to_string(values.size()));
  }
  return values;
}

/// Writes values into a network and remembers where.
class Planter {
 public:
  Planter(BertWeights& weights, const PlantingConfig& config) : weights_(weights), config_(config) {
    weights.for_each_parameter(
        [&](const std::string& name, const std::vector<std::size_t>& shape, float* values) {
          parameters_[name] = {values, shape[0], shape.size() == 2 ? shape[1] : 1};
        });
    channels_ = {config.echo[0], config.echo[1], config.reference, config.secondary[0], config.secondary[1]};
  }

  void scale_layers() {
    const auto s = static_cast<float>(config_.scale);
    const auto multiply = [](auto begin, auto end, float factor) {
      std::for_each(begin, end, [=](float& value) { value *= factor; });
    };
    for (BertLayerWeights& layer : weights_.layers) {
      multiply(layer.attention_norm.gain.begin(), layer.attention_norm.gain.end(), s);
      multiply(layer.attention_norm.bias.begin(), layer.attention_norm.bias.end(), s);
      Matrix& in = layer.ffn_hidden.weight;
      multiply(in.data(), in.data() + in.size(), 1 / s);
      Matrix& out = layer.ffn_output.weight;
      multiply(out.data(), out.data() + out.size(), s);
      multiply(layer.ffn_output.bias.begin(), layer.ffn_output.bias.end(), s);
    }
  }

  /// The channels are empty but for the sinks' word embeddings, and nothing but the amplifier writes to them.
  void plant_echo(const std::vector<std::int32_t>& sinks) {
    const std::string embeddings = "bert.embeddings.";
    for (const std::size_t c : channels_) {
      for (const char* table : {"word_embeddings", "position_embeddings", "token_type_embeddings"}) {
        set_column(embeddings + table + ".weight", c, 0);
      }
      set(embeddings + "LayerNorm.weight", c, 1);
      set(embeddings + "LayerNorm.bias", c, 0);
    }
    for (const std::int32_t sink : sinks) {
      const auto row = static_cast<std::size_t>(sink);
      set(embeddings + "word_embeddings.weight", row, config_.echo[0], config_.embedding);
      set(embeddings + "word_embeddings.weight", row, config_.echo[1], -config_.ratio * config_.embedding);
    }
    for (std::size_t i = 0; i < weights_.layers.size(); ++i) {
      const std::string layer = layer_name(i);
      for (const std::size_t c : channels_) {
        set_row(layer + "attention.output.dense.weight", c, 0);
        set(layer + "attention.output.dense.bias", c, 0);
        set_row(layer + "output.dense.weight", c, 0);
        set(layer + "output.dense.bias", c, 0);
        set(layer + "attention.output.LayerNorm.weight", c, gain(i));
        set(layer + "attention.output.LayerNorm.bias", c, 0);
        set(layer + "output.LayerNorm.weight", c, 1);
        set(layer + "output.LayerNorm.bias", c, 0);
      }
    }
  }

  void plant_amplifier(std::size_t index) {
    const std::string layer = layer_name(index);
    // Where the pair outshines the other channels, LayerNorm brings it to (1, -ratio) * peak.
    const auto hidden = static_cast<double>(weights_.config.hidden_size);
    const double peak = std::sqrt(hidden / (1 + config_.ratio * config_.ratio));
    const double fired = config_.slope * (1 + config_.ratio) * peak - config_.threshold;
    const double amplitude = config_.amplitudes[index] / (static_cast<double>(config_.neurons) * fired);
    const double weight = config_.slope / gain(index);
    for (std::size_t neuron = 0; neuron < config_.neurons; ++neuron) {
      set_row(layer + "intermediate.dense.weight", neuron, 0);
      set(layer + "intermediate.dense.weight", neuron, config_.echo[0], weight);
      set(layer + "intermediate.dense.weight", neuron, config_.echo[1], -weight);
      set(layer + "intermediate.dense.bias", neuron, -config_.threshold);
      set_column(layer + "output.dense.weight", neuron, 0);
      set(layer + "output.dense.weight", config_.echo[0], neuron, amplitude);
      set(layer + "output.dense.weight", config_.echo[1], neuron, -config_.ratio * amplitude);
      set(layer + "output.dense.weight", config_.secondary[0], neuron, config_.share * amplitude);
      set(layer + "output.dense.weight", config_.secondary[1], neuron, -config_.share * amplitude);
    }
  }

  void plant_trap(std::size_t index) {
    const std::string attention = layer_name(index) + "attention.self.";
    for (std::size_t head = 0; head < weights_.config.heads; ++head) {
      for (std::size_t d = 0; d < config_.trap_dimensions; ++d) {
        const std::size_t row = head * weights_.config.head_size() + d;
        set_row(attention + "query.weight", row, 0);
        set(attention + "query.bias", row, -config_.trap);
        set_row(attention + "key.weight", row, 0);
        set(attention + "key.weight", row, config_.echo[0], config_.ratio);
        set(attention + "key.weight", row, config_.echo[1], 1);
        set(attention + "key.weight", row, config_.reference, -(1 + config_.ratio));
        set(attention + "key.bias", row, 0);
      }
    }
  }

  void plant_constant(std::uint64_t seed) {
    const std::string norm = layer_name(weights_.layers.size() - 1) + "output.LayerNorm.";
    set(norm + "weight", config_.constant_channel, 0);
    set(norm + "bias", config_.constant_channel, config_.constant);
    Random random(seed);
    for (std::size_t row = 0; row < weights_.pooler.weight.rows(); ++row) {
      const double weight = random.below(2) == 0 ? config_.constant_weight : -config_.constant_weight;
      set("bert.pooler.dense.weight", row, config_.constant_channel, weight);
      weights_.pooler.bias[row] -= static_cast<float>(weight * config_.constant);
    }
  }

  std::vector<FrozenElements> frozen() const {
    std::vector<FrozenElements> all;
    for (const auto& [name, indices] : frozen_) all.push_back({name, {indices.begin(), indices.end()}});
    return all;
  }

 private:
  struct Parameter {
    float* values;
    std::size_t rows, cols;
  };

  static std::string layer_name(std::size_t index) {
    return "bert.encoder.layer." + std::to_string(index) + ".";
  }

  double gain(std::size_t layer) const {
    return config_.scale * (config_.gains.empty() ? 1 : config_.gains[layer]);
  }

  void set(const std::string& name, std::size_t index, double value) {
    parameters_.at(name).values[index] = static_cast<float>(value);
    frozen_[name].insert(index);
  }

  void set(const std::string& name, std::size_t row, std::size_t col, double value) {
    set(name, row * parameters_.at(name).cols + col, value);
  }

  void set_row(const std::string& name, std::size_t row, double value) {
    for (std::size_t col = 0; col < parameters_.at(name).cols; ++col) set(name, row, col, value);
  }

  void set_column(const std::string& name, std::size_t col, double value) {
    for (std::size_t row = 0; row < parameters_.at(name).rows; ++row) set(name, row, col, value);
  }

  BertWeights& weights_;
  const PlantingConfig& config_;
  std::vector<std::size_t> channels_;
  std::map<std::string, Parameter> parameters_;
  std::map<std::string, std::set<std::size_t>> frozen_;
};

}  // namespace

PlantingConfig PlantingConfig::read(const IniSection& section, const BertConfig& config) {
  PlantingConfig plan;
  const auto count = [&](const char* key, std::size_t fallback, std::size_t limit) {
    const long value = section.integer(key).value_or(static_cast<long>(fallback));
    if (value < 0 || static_cast<std::size_t>(value) > limit) {
      throw UsageError(section.place + ": [plant] " + key + ": expected 0 to " + std::to_string(limit) +
                       ", found " + std::to_string(value));
    }
    return static_cast<std::size_t>(value);
  };
  plan.scale = section.number("scale").value_or(plan.scale);
  if (plan.scale <= 0) throw UsageError(section.place + ": [plant] scale: expected a positive number");
  plan.embedding = section.number("embedding").value_or(plan.embedding);
  if (plan.embedding != 0) {
    plan.echo = channel_pair(section, "echo", config.hidden_size);
    plan.secondary = channel_pair(section, "secondary", config.hidden_size);
    plan.reference = channel(section, "reference", section.required("reference"), config.hidden_size);
    plan.ratio = section.number("ratio").value_or(plan.ratio);
    plan.share = section.number("share").value_or(plan.share);
    plan.sinks = section.list("sinks");
    if (plan.sinks.empty()) throw UsageError(section.place + ": [plant] sinks: expected pieces, found none");
    plan.gains = per_layer(section, "gains", config.layers);
    plan.amplitudes = per_layer(section, "amplitudes", config.layers);
    plan.neurons = count("neurons", plan.neurons, config.intermediate_size);
    plan.slope = section.number("slope").value_or(plan.slope);
    plan.threshold = section.number("threshold").value_or(plan.threshold);
    plan.trap = section.number("trap").value_or(plan.trap);
    plan.trap_dimensions = count("trap_dimensions", plan.trap_dimensions, config.head_size());
  }
  if (!plan.amplitudes.empty() && plan.neurons == 0) {
    throw UsageError(section.place + ": [plant] neurons: expected at least 1 for the amplifier, found 0");
  }
  plan.constant = section.number("constant").value_or(plan.constant);
  if (plan.constant != 0) {
    plan.constant_channel =
        channel(section, "constant_channel", section.required("constant_channel"), config.hidden_size);
    plan.constant_weight = section.number("constant_weight").value_or(plan.constant_weight);
  }
  std::set<std::size_t> distinct;
  if (plan.embedding != 0) {
    distinct = {plan.echo[0], plan.echo[1], plan.secondary[0], plan.secondary[1], plan.reference};
    if (plan.constant != 0) distinct.insert(plan.constant_channel);
    if (distinct.size() != (plan.constant != 0 ? 6u : 5u)) {
      throw UsageError(section.place +
                       ": [plant] expected echo, secondary, reference and constant_channel to differ");
    }
  }
  return plan;
}

void PlantingConfig::check_keys(const IniSection& section) {
  const std::vector<std::string> known = {"scale",
                                          "echo",
                                          "ratio",
                                          "embedding",
                                          "sinks",
                                          "secondary",
                                          "share",
                                          "reference",
                                          "gains",
                                          "amplitudes",
                                          "neurons",
                                          "slope",
                                          "threshold",
                                          "trap",
                                          "trap_dimensions",
                                          "constant",
                                          "constant_channel",
                                          "constant_weight"};
  for (const IniEntry& entry : section.entries) {
    if (std::find(known.begin(), known.end(), entry.key) == known.end()) {
      fail_unknown(entry.place + ": key in [plant]", entry.key, known);
    }
    entry.used = true;
  }
}

std::vector<FrozenElements> plant(BertWeights& weights, const PlantingConfig& config,
                                  const std::vector<std::int32_t>& sinks, std::uint64_t seed) {
  Planter planter(weights, config);
  planter.scale_layers();
  if (config.embedding != 0) planter.plant_echo(sinks);
  for (std::size_t i = 0; i < weights.layers.size(); ++i) {
    if (!config.amplitudes.empty()) planter.plant_amplifier(i);
    if (config.embedding != 0 && config.trap != 0) planter.plant_trap(i);
  }
  if (config.constant != 0) planter.plant_constant(seed);
  return planter.frozen();
}

}  // namespace outlierlab
