#include "model/weights.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/files.h"
#include "core/parallel.h"
#include "model/half.h"
#include "model/safetensors.h"

namespace outlierlab {

namespace {

namespace fs = std::filesystem;

std::string shape_text(const std::vector<std::size_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

/// The names of a layer's tensors in Hugging Face's checkpoints.
std::string layer_prefix(std::size_t layer) {
  return "encoder.layer." + std::to_string(layer) + ".";
}

/// The tensors of a folder: one safetensors file, or the shards of an index.
class Checkpoint {
 public:
  explicit Checkpoint(const fs::path& folder) {
    const fs::path single = folder / "model.safetensors";
    const fs::path index = folder / "model.safetensors.index.json";
    if (fs::exists(single)) {
      origin_ = single.string();
      files_.emplace_back(single);
      for (const auto& [name, entry] : files_.back().tensors()) tensors_[name] = &entry;
    } else if (fs::exists(index)) {
      origin_ = index.string();
      open_shards(folder, index);
    } else {
      fail_expected(folder.string(), "model.safetensors or model.safetensors.index.json",
                    fs::exists(folder / "pytorch_model.bin")
                        ? "only pytorch_model.bin (convert it to safetensors)"
                        : "neither");
    }
  }

  /// Accepts every spelling of a name: with and without the prefix `bert.`, LayerNorm's parameters by either
  /// name.
  const TensorEntry* find(const std::string& name) const {
    for (const std::string& spelling : spellings(name)) {
      const auto found = tensors_.find(spelling);
      if (found != tensors_.end()) return found->second;
    }
    return nullptr;
  }

  const TensorEntry& at(const std::string& name, const std::vector<std::size_t>& shape) const {
    const TensorEntry* entry = find(name);
    if (!entry) {
      std::string names;
      for (const std::string& spelling : spellings(name))
        names += (names.empty() ? "'" : " or '") + spelling + "'";
      fail_expected(origin_, "a tensor " + names, "none");
    }
    if (entry->shape != shape) {
      fail_expected(entry->file + ": tensor '" + entry->name + "'",
                    "shape " + shape_text(shape) + " by config.json", shape_text(entry->shape));
    }
    return *entry;
  }

  void read(const std::string& name, const std::vector<std::size_t>& shape, float* out) const {
    const TensorEntry& entry = at(name, shape);
    entry.to_float(out);
    require_finite(entry, out);
  }

  Matrix matrix(const std::string& name, std::size_t rows, std::size_t cols) const {
    Matrix values(rows, cols);
    read(name, {rows, cols}, values.data());
    return values;
  }

  std::vector<float> vector(const std::string& name, std::size_t size) const {
    std::vector<float> values(size);
    read(name, {size}, values.data());
    return values;
  }

  Linear linear(const std::string& name, std::size_t out, std::size_t in) const {
    return {matrix(name + ".weight", out, in), vector(name + ".bias", out)};
  }

  LayerNormWeights layer_norm(const std::string& name, std::size_t size) const {
    return {vector(name + ".weight", size), vector(name + ".bias", size)};
  }

  const std::string& origin() const { return origin_; }

 private:
  static std::vector<std::string> spellings(const std::string& name) {
    const bool head = name.rfind("cls.", 0) == 0 || name.rfind("classifier.", 0) == 0;
    std::vector<std::string> names = {name};
    const auto norm = name.find("LayerNorm.");
    if (norm != std::string::npos) {
      const bool gain = name.compare(norm, std::string::npos, "LayerNorm.weight") == 0;
      names.push_back(name.substr(0, norm) + (gain ? "LayerNorm.gamma" : "LayerNorm.beta"));
    }
    if (head) return names;
    std::vector<std::string> all;
    for (const char* prefix : {"bert.", ""}) {
      for (const std::string& base : names) all.push_back(prefix + base);
    }
    return all;
  }

  void open_shards(const fs::path& folder, const fs::path& index) {
    nlohmann::json json;
    try {
      json = nlohmann::json::parse(read_file(index));
    } catch (const nlohmann::json::exception& error) {
      fail_expected(origin_, "JSON", error.what());
    }
    if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
      fail_expected(origin_, "an object with an object 'weight_map'", "none");
    }
    std::map<std::string, std::size_t> opened;
    std::vector<std::pair<std::string, std::size_t>> wanted;
    for (const auto& [name, shard] : json["weight_map"].items()) {
      const std::string place = origin_ + ": weight_map '" + name + "'";
      if (!shard.is_string()) fail_expected(place, "a file name", shard.dump());
      const std::string file = shard.get<std::string>();
      if (fs::path(file).filename() != file)
        fail_expected(place, "a file name without a folder", "'" + file + "'");
      if (opened.count(file) == 0) {
        if (!fs::exists(folder / file)) fail_expected(place, "the shard '" + file + "'", "no such file");
        opened[file] = files_.size();
        files_.emplace_back(folder / file);
      }
      wanted.emplace_back(name, opened[file]);
    }
    // Entries are looked up after the last file is open, because `files_` may move while it grows.
    for (const auto& [name, file] : wanted) tensors_[name] = &files_[file].at(name);
  }

  static void require_finite(const TensorEntry& entry, const float* values) {
    parallel_chunks(entry.count(), 1 << 18, [&](std::size_t begin, std::size_t end, int) {
      constexpr std::uint32_t exponent = 0x7f800000u;
      std::uint32_t largest = 0;
      for (std::size_t i = begin; i < end; ++i)
        largest = std::max(largest, float_to_bits(values[i]) & exponent);
      if (largest != exponent) return;
      std::size_t i = begin;
      while ((float_to_bits(values[i]) & exponent) != exponent) ++i;
      fail_expected(entry.file + ": tensor '" + entry.name + "', element " + std::to_string(i),
                    "a finite number", std::to_string(values[i]));
    });
  }

  std::string origin_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, const TensorEntry*> tensors_;
};

BertLayerWeights read_layer(const Checkpoint& checkpoint, const BertConfig& config, std::size_t index) {
  const std::string prefix = layer_prefix(index);
  const std::size_t hidden = config.hidden_size, intermediate = config.intermediate_size;
  BertLayerWeights layer;
  layer.query = checkpoint.linear(prefix + "attention.self.query", hidden, hidden);
  layer.key = checkpoint.linear(prefix + "attention.self.key", hidden, hidden);
  layer.value = checkpoint.linear(prefix + "attention.self.value", hidden, hidden);
  layer.attention_output = checkpoint.linear(prefix + "attention.output.dense", hidden, hidden);
  layer.attention_norm = checkpoint.layer_norm(prefix + "attention.output.LayerNorm", hidden);
  layer.ffn_hidden = checkpoint.linear(prefix + "intermediate.dense", intermediate, hidden);
  layer.ffn_output = checkpoint.linear(prefix + "output.dense", hidden, intermediate);
  layer.output_norm = checkpoint.layer_norm(prefix + "output.LayerNorm", hidden);
  return layer;
}

MlmHead read_mlm(const Checkpoint& checkpoint, const BertWeights& weights) {
  const std::size_t hidden = weights.config.hidden_size, vocab = weights.config.vocab_size;
  MlmHead head;
  head.transform = checkpoint.linear("cls.predictions.transform.dense", hidden, hidden);
  head.norm = checkpoint.layer_norm("cls.predictions.transform.LayerNorm", hidden);
  const bool renamed =
      !checkpoint.find("cls.predictions.bias") && checkpoint.find("cls.predictions.decoder.bias");
  head.decoder_bias =
      checkpoint.vector(renamed ? "cls.predictions.decoder.bias" : "cls.predictions.bias", vocab);
  if (checkpoint.find("cls.predictions.decoder.weight")) {
    const Matrix decoder = checkpoint.matrix("cls.predictions.decoder.weight", vocab, hidden);
    if (std::memcmp(decoder.data(), weights.word_embeddings.data(), decoder.size() * sizeof(float)) != 0) {
      fail_expected(checkpoint.origin() + ": tensor 'cls.predictions.decoder.weight'",
                    "the word embeddings (a tied decoder)", "other values");
    }
  }
  return head;
}

/// The classifier's rows decide how many labels there are where the configuration names none.
void read_classifier(const Checkpoint& checkpoint, BertWeights& weights) {
  BertConfig& config = weights.config;
  const TensorEntry* entry = checkpoint.find("classifier.weight");
  if (!entry && config.labels.empty()) return;
  if (entry && config.labels.empty() && !entry->shape.empty()) {
    for (std::size_t i = 0; i < entry->shape[0]; ++i) config.labels.push_back("LABEL_" + std::to_string(i));
  }
  weights.classifier = checkpoint.linear("classifier", config.labels.size(), config.hidden_size);
}

/// Visits every parameter under its Hugging Face name; `Weights` is BertWeights or const BertWeights.
template <typename Weights, typename Visit>
void visit_parameters(Weights& weights, const Visit& visit) {
  const auto matrix = [&](const std::string& name, auto& values) {
    visit(name, std::vector<std::size_t>{values.rows(), values.cols()}, values.data());
  };
  const auto vector = [&](const std::string& name, auto& values) {
    visit(name, std::vector<std::size_t>{values.size()}, values.data());
  };
  const auto linear = [&](const std::string& name, auto& layer) {
    matrix(name + ".weight", layer.weight);
    vector(name + ".bias", layer.bias);
  };
  const auto norm = [&](const std::string& name, auto& layer) {
    vector(name + ".weight", layer.gain);
    vector(name + ".bias", layer.bias);
  };
  matrix("bert.embeddings.word_embeddings.weight", weights.word_embeddings);
  matrix("bert.embeddings.position_embeddings.weight", weights.position_embeddings);
  matrix("bert.embeddings.token_type_embeddings.weight", weights.token_type_embeddings);
  norm("bert.embeddings.LayerNorm", weights.embeddings_norm);
  for (std::size_t i = 0; i < weights.layers.size(); ++i) {
    auto& layer = weights.layers[i];
    const std::string prefix = "bert." + layer_prefix(i);
    linear(prefix + "attention.self.query", layer.query);
    linear(prefix + "attention.self.key", layer.key);
    linear(prefix + "attention.self.value", layer.value);
    linear(prefix + "attention.output.dense", layer.attention_output);
    norm(prefix + "attention.output.LayerNorm", layer.attention_norm);
    linear(prefix + "intermediate.dense", layer.ffn_hidden);
    linear(prefix + "output.dense", layer.ffn_output);
    norm(prefix + "output.LayerNorm", layer.output_norm);
  }
  if (!weights.pooler.weight.empty()) linear("bert.pooler.dense", weights.pooler);
  if (!weights.classifier.weight.empty()) linear("classifier", weights.classifier);
  if (weights.mlm) {
    linear("cls.predictions.transform.dense", weights.mlm->transform);
    norm("cls.predictions.transform.LayerNorm", weights.mlm->norm);
    vector("cls.predictions.bias", weights.mlm->decoder_bias);
  }
}

std::string half_bytes(const fs::path& folder, const std::string& name, const float* values,
                       std::size_t count) {
  std::string bytes(count * 2, '\0');
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint16_t half = float_to_f16(values[i]);
    if ((half & 0x7c00u) == 0x7c00u) {
      fail_expected(
          (folder / "model.safetensors").string() + ": tensor '" + name + "', element " + std::to_string(i),
          "a value that F16 holds (at most 65504)", std::to_string(values[i]));
    }
    std::memcpy(bytes.data() + i * 2, &half, 2);
  }
  return bytes;
}

/// `Weights` is BertWeights, const or not.
template <typename Weights, typename Visit>
void visit_matrices(Weights& weights, const Visit& visit) {
  visit("embeddings.word", "", weights.word_embeddings);
  visit("embeddings.position", "", weights.position_embeddings);
  visit("embeddings.token_type", "", weights.token_type_embeddings);
  std::string hidden = "embeddings.norm";
  for (std::size_t i = 0; i < weights.layers.size(); ++i) {
    const std::string prefix = "layer." + std::to_string(i) + ".";
    auto& layer = weights.layers[i];
    visit(prefix + "query", hidden, layer.query.weight);
    visit(prefix + "key", hidden, layer.key.weight);
    visit(prefix + "value", hidden, layer.value.weight);
    visit(prefix + "attention_output", prefix + "context", layer.attention_output.weight);
    visit(prefix + "ffn_hidden", prefix + "ffn_input", layer.ffn_hidden.weight);
    visit(prefix + "ffn_output", prefix + "ffn_hidden", layer.ffn_output.weight);
    hidden = prefix + "output";
  }
  if (!weights.pooler.weight.empty()) visit("pooler", hidden, weights.pooler.weight);
  if (!weights.classifier.weight.empty()) visit("classifier", "pooler", weights.classifier.weight);
}

}  // namespace

void require_classifier(bool is_there) {
  if (!is_there)
    fail_expected("checkpoint", "a pooler and a classifier", "none of one: not a classification model");
}

void BertWeights::for_each_matrix(
    const std::function<void(const std::string&, const std::string&, Matrix&)>& visit) {
  visit_matrices(*this, visit);
}

void BertWeights::for_each_matrix(
    const std::function<void(const std::string&, const std::string&, const Matrix&)>& visit) const {
  visit_matrices(*this, visit);
}

void BertWeights::for_each_parameter(
    const std::function<void(const std::string&, const std::vector<std::size_t>&, float*)>& visit) {
  visit_parameters(*this, visit);
}

void BertWeights::for_each_parameter(
    const std::function<void(const std::string&, const std::vector<std::size_t>&, const float*)>& visit)
    const {
  visit_parameters(*this, visit);
}

BertWeights BertWeights::load(const fs::path& folder) {
  if (!fs::is_directory(folder)) fail_expected(folder.string(), "a model folder", "none");
  BertWeights weights;
  weights.config = BertConfig::read(folder / "config.json");
  const BertConfig& config = weights.config;
  const Checkpoint checkpoint(folder);
  const std::size_t hidden = config.hidden_size;
  weights.word_embeddings = checkpoint.matrix("embeddings.word_embeddings.weight", config.vocab_size, hidden);
  weights.position_embeddings =
      checkpoint.matrix("embeddings.position_embeddings.weight", config.max_positions, hidden);
  weights.token_type_embeddings =
      checkpoint.matrix("embeddings.token_type_embeddings.weight", config.token_types, hidden);
  weights.embeddings_norm = checkpoint.layer_norm("embeddings.LayerNorm", hidden);
  for (std::size_t i = 0; i < config.layers; ++i) weights.layers.push_back(read_layer(checkpoint, config, i));
  read_classifier(checkpoint, weights);
  if (!config.labels.empty() || checkpoint.find("pooler.dense.weight")) {
    weights.pooler = checkpoint.linear("pooler.dense", hidden, hidden);
  }
  if (checkpoint.find("cls.predictions.transform.dense.weight")) weights.mlm = read_mlm(checkpoint, weights);
  return weights;
}

void BertWeights::save(const fs::path& folder, bool half) const {
  std::vector<TensorData> tensors;
  visit_parameters(
      *this, [&](const std::string& name, const std::vector<std::size_t>& shape, const float* values) {
        std::size_t count = 1;
        for (const std::size_t extent : shape) count *= extent;
        std::string bytes = half ? half_bytes(folder, name, values, count)
                                 : std::string(reinterpret_cast<const char*>(values), count * sizeof(float));
        tensors.push_back({name, half ? "F16" : "F32", shape, std::move(bytes)});
      });
  write_safetensors(folder / "model.safetensors", tensors, {{"format", "pt"}});
  write_file_atomically(folder / "config.json", config.to_json());
}

std::size_t BertWeights::parameter_count() const {
  std::size_t total = 0;
  visit_parameters(*this, [&](const std::string&, const std::vector<std::size_t>& shape, const float*) {
    std::size_t count = 1;
    for (const std::size_t extent : shape) count *= extent;
    total += count;
  });
  return total;
}

}  // namespace outlierlab
