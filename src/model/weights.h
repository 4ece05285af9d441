#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/matrix.h"
#include "model/config.h"

namespace outlierlab {

struct Linear {
  Matrix weight;            ///< [out, in]
  std::vector<float> bias;  ///< [out]
};

struct LayerNormWeights {
  std::vector<float> gain, bias;  ///< [hidden]
};

struct BertLayerWeights {
  Linear query, key, value, attention_output;
  LayerNormWeights attention_norm;
  Linear ffn_hidden;  ///< [intermediate, hidden]
  Linear ffn_output;  ///< [hidden, intermediate]
  LayerNormWeights output_norm;
};

/// Masked-language-model head: dense + GELU + LayerNorm, then the word embeddings as decoder.
struct MlmHead {
  Linear transform;
  LayerNormWeights norm;
  std::vector<float> decoder_bias;  ///< [vocab]
};

/// Throws Error unless a checkpoint has what logits need: a pooler and a classifier.
void require_classifier(bool is_there);

/// The parameters of a BERT in float32.
struct BertWeights {
  BertConfig config;
  Matrix word_embeddings, position_embeddings, token_type_embeddings;
  LayerNormWeights embeddings_norm;
  std::vector<BertLayerWeights> layers;
  Linear pooler, classifier;  ///< empty where the checkpoint has none
  std::optional<MlmHead> mlm;

  bool has_classifier() const { return !pooler.weight.empty() && !classifier.weight.empty(); }

  /// Visits every 2-D weight with its short name: embeddings.word, embeddings.position,
  /// embeddings.token_type, layer.i.{query,key,value,attention_output,ffn_hidden,ffn_output}, pooler,
  /// classifier. Biases and LayerNorms are not visited: they stay in float. `site` is the site whose values
  /// the weight multiplies (its input), or an empty string for embeddings.
  void for_each_matrix(
      const std::function<void(const std::string& name, const std::string& input_site, Matrix&)>&);
  void for_each_matrix(const std::function<void(const std::string& name, const std::string& input_site,
                                                const Matrix&)>&) const;

  /// Visits every parameter (the MLM head included) with its Hugging Face name, its shape and its values in
  /// row-major order, in a fixed order. Absent heads are not visited.
  void for_each_parameter(
      const std::function<void(const std::string& name, const std::vector<std::size_t>& shape, float*)>&);
  void for_each_parameter(
      const std::function<void(const std::string& name, const std::vector<std::size_t>& shape,
                               const float*)>&) const;

  /// Reads config.json and model.safetensors (or model.safetensors.index.json with its shards) of a Hugging
  /// Face folder. The prefix `bert.` is optional; LayerNorm parameters may be called weight/bias or
  /// gamma/beta; F32, F16 and BF16 are read. Missing tensors, shapes that disagree with the configuration,
  /// and NaN or Inf are Errors that name file and tensor (with expected and found).
  static BertWeights load(const std::filesystem::path& folder);

  /// Writes config.json and model.safetensors; `half` stores F16. The caller adds the vocabulary.
  void save(const std::filesystem::path& folder, bool half = false) const;

  std::size_t parameter_count() const;
};

}  // namespace outlierlab
