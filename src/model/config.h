#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace outlierlab {

/// The shape of a BERT (Devlin et al. 2018) as Hugging Face's config.json states it.
struct BertConfig {
  std::size_t vocab_size = 0;
  std::size_t hidden_size = 0;
  std::size_t layers = 0;             ///< num_hidden_layers
  std::size_t heads = 0;              ///< num_attention_heads
  std::size_t intermediate_size = 0;  ///< width of the feed-forward network
  std::size_t max_positions = 512;    ///< max_position_embeddings
  std::size_t token_types = 2;        ///< type_vocab_size
  float layer_norm_epsilon = 1e-12f;
  float hidden_dropout = 0.1f;
  float attention_dropout = 0.1f;
  std::vector<std::string> labels;  ///< id2label in order of id; empty for a plain encoder

  std::size_t head_size() const { return hidden_size / heads; }

  /// Reads config.json. Throws Error (file, key, expected, found) for missing keys, wrong types, sizes that
  /// do not divide, or what this suite does not run: hidden_act other than "gelu", relative positions,
  /// decoders.
  static BertConfig read(const std::filesystem::path& file);
  /// config.json that `transformers` opens (BertForSequenceClassification, or BertForMaskedLM without
  /// labels).
  std::string to_json() const;
};

}  // namespace outlierlab
