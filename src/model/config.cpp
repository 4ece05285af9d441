#include "model/config.h"

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/files.h"

namespace outlierlab {

namespace {

using Json = nlohmann::json;

/// Typed access to the keys of one config.json; every error names the file and the key.
class ConfigReader {
 public:
  explicit ConfigReader(const std::filesystem::path& file) : file_(file.string()) {
    try {
      json_ = Json::parse(read_file(file));
    } catch (const Json::exception& error) {
      fail_expected(file_, "JSON", error.what());
    }
    if (!json_.is_object()) fail_expected(file_, "a JSON object", json_.type_name());
  }

  std::size_t size(const char* key) const {
    if (!has(key)) fail_expected(file_, std::string("a key '") + key + "'", "none");
    const Json& value = json_[key];
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() == 0 ||
        value.get<std::uint64_t>() > 1u << 30) {
      fail_expected(place(key), "a whole number from 1 to 2^30", value.dump());
    }
    return value.get<std::size_t>();
  }

  std::size_t size_or(const char* key, std::size_t fallback) const { return has(key) ? size(key) : fallback; }

  float number_or(const char* key, float fallback, double low, double high) const {
    if (!has(key)) return fallback;
    const Json& value = json_[key];
    if (!value.is_number() || value.get<double>() < low || value.get<double>() > high) {
      fail_expected(place(key), "a number from " + Json(low).dump() + " to " + Json(high).dump(),
                    value.dump());
    }
    return value.get<float>();
  }

  void require(const char* key, const Json& supported) const {
    if (has(key) && json_[key] != supported) fail_expected(place(key), supported.dump(), json_[key].dump());
  }

  /// id2label in order of id, if this is a classifier: a plain encoder's config may carry the default labels
  /// too.
  std::vector<std::string> labels() const {
    if (has("architectures")) {
      if (json_["architectures"].dump().find("ForSequenceClassification") == std::string::npos) return {};
    }
    if (!has("id2label")) return {};
    const Json& map = json_["id2label"];
    if (!map.is_object()) fail_expected(place("id2label"), "an object", map.dump());
    std::vector<std::string> labels;
    for (std::size_t id = 0; id < map.size(); ++id) {
      const auto label = map.find(std::to_string(id));
      if (label == map.end() || !label->is_string()) {
        fail_expected(place("id2label"), "a name for id " + std::to_string(id), map.dump());
      }
      labels.push_back(label->get<std::string>());
    }
    return labels;
  }

  std::string place(const char* key) const { return file_ + ": '" + key + "'"; }

 private:
  bool has(const char* key) const { return json_.contains(key) && !json_[key].is_null(); }

  std::string file_;
  Json json_;
};

}  // namespace

BertConfig BertConfig::read(const std::filesystem::path& file) {
  const ConfigReader json(file);
  json.require("model_type", "bert");
  json.require("hidden_act", "gelu");
  json.require("position_embedding_type", "absolute");
  json.require("is_decoder", false);
  json.require("add_cross_attention", false);
  BertConfig config;
  config.vocab_size = json.size("vocab_size");
  config.hidden_size = json.size("hidden_size");
  config.layers = json.size("num_hidden_layers");
  config.heads = json.size("num_attention_heads");
  config.intermediate_size = json.size("intermediate_size");
  config.max_positions = json.size_or("max_position_embeddings", config.max_positions);
  config.token_types = json.size_or("type_vocab_size", config.token_types);
  config.layer_norm_epsilon = json.number_or("layer_norm_eps", config.layer_norm_epsilon, 0, 1);
  config.hidden_dropout = json.number_or("hidden_dropout_prob", config.hidden_dropout, 0, 1);
  config.attention_dropout = json.number_or("attention_probs_dropout_prob", config.attention_dropout, 0, 1);
  config.labels = json.labels();
  if (config.hidden_size % config.heads != 0) {
    fail_expected(json.place("hidden_size"), "a multiple of the " + std::to_string(config.heads) + " heads",
                  std::to_string(config.hidden_size));
  }
  return config;
}

std::string BertConfig::to_json() const {
  nlohmann::ordered_json json;
  json["architectures"] = {labels.empty() ? "BertForMaskedLM" : "BertForSequenceClassification"};
  json["model_type"] = "bert";
  json["vocab_size"] = vocab_size;
  json["hidden_size"] = hidden_size;
  json["num_hidden_layers"] = layers;
  json["num_attention_heads"] = heads;
  json["intermediate_size"] = intermediate_size;
  json["hidden_act"] = "gelu";
  json["max_position_embeddings"] = max_positions;
  json["type_vocab_size"] = token_types;
  // Through text, so that 1e-12f is written as 1e-12 and not as its nearest double.
  const auto decimal = [](float value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.7g", static_cast<double>(value));
    return nlohmann::ordered_json::parse(text);
  };
  json["layer_norm_eps"] = decimal(layer_norm_epsilon);
  json["hidden_dropout_prob"] = decimal(hidden_dropout);
  json["attention_probs_dropout_prob"] = decimal(attention_dropout);
  json["position_embedding_type"] = "absolute";
  json["pad_token_id"] = 0;
  for (std::size_t id = 0; id < labels.size(); ++id) {
    json["id2label"][std::to_string(id)] = labels[id];
    json["label2id"][labels[id]] = id;
  }
  return json.dump(2) + "\n";
}

}  // namespace outlierlab
