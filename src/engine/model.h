#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/format_kind.h"

namespace outlierlab::engine {

/// Read-only values that may lie in a vector of their own or in a mapped file; whoever holds the array keeps
/// that alive.
template <typename T>
class Array {
 public:
  Array() = default;
  Array(std::vector<T> values) {  // NOLINT: a vector is an array
    auto owner = std::make_shared<const std::vector<T>>(std::move(values));
    data_ = owner->data();
    size_ = owner->size();
    owner_ = std::move(owner);
  }
  Array(std::shared_ptr<const void> owner, const T* data, std::size_t size)
      : owner_(std::move(owner)), data_(data), size_(size) {}

  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

 private:
  std::shared_ptr<const void> owner_;
  const T* data_ = nullptr;
  std::size_t size_ = 0;
};

/// How the values of one site are represented. A code q stands for scale * (q - zero); codes lie in [qmin(),
/// qmax()].
struct SiteFormat {
  using Kind = FormatKind;
  Kind kind = Kind::real;
  int bits = 32;             ///< 2-16; 32 for real
  bool symmetric = false;    ///< codes +-(2^(bits-1) - 1) and zero = 0; else 0..2^bits - 1
  std::vector<float> scale;  ///< tensor: 1 value; columns: one per channel, < 0 where the channel stays float
  std::vector<std::int32_t> zero;  ///< as scale
  /// rows: values of a larger magnitude stay in float beside the codes and leave the row's range
  /// (LLM.int8()).
  float outlier_threshold = std::numeric_limits<float>::infinity();

  bool keeps_outliers() const { return outlier_threshold < std::numeric_limits<float>::infinity(); }
  std::int32_t qmax() const { return symmetric ? (1 << (bits - 1)) - 1 : (1 << bits) - 1; }
  std::int32_t qmin() const { return symmetric ? -qmax() : 0; }
  /// What is added to symmetric codes where they are stored, so that they are not negative.
  std::int32_t shift() const { return symmetric ? 1 << (bits - 1) : 0; }
};

/// A weight [rows, cols], row-major, either as codes with symmetric scales or in float (then `codes` is
/// empty).
struct Weight {
  std::size_t rows = 0, cols = 0;
  int bits = 32;             ///< 2-8 for codes
  Array<std::int8_t> codes;  ///< value = scale * code
  Array<float> scales;       ///< 1 (per tensor) or `rows` (per output channel)
  Array<float> values;       ///< float weights

  bool is_integer() const { return !codes.empty(); }
  float scale(std::size_t row) const { return scales[scales.size() == 1 ? 0 : row]; }
  /// The float that element (row, col) stands for.
  float value(std::size_t row, std::size_t col) const {
    const std::size_t i = row * cols + col;
    return is_integer() ? scale(row) * static_cast<float>(codes[i]) : values[i];
  }
};

/// y = W x + b; W is [out, in].
struct Linear {
  Weight weight;
  Array<float> bias;  ///< [out]
};

struct LayerNorm {
  Array<float> gain, bias;  ///< [hidden]
};

/// The sites of a layer in the order in which a forward pass reaches them (docs/design.md, section 4).
enum LayerSite : std::size_t {
  query,
  key,
  value,
  scores,
  probs,
  context,
  attention_output,
  attention_residual,
  ffn_input,
  ffn_hidden,
  ffn_output,
  ffn_residual,
  output,
  layer_sites
};

/// "ffn_output" for LayerSite::ffn_output.
const char* to_string(LayerSite site);

/// Whether a weight is multiplied with its left site's codes: both have some, and those of a grid per channel
/// are bytes, with four channels or more to a grid on average. What the site keeps in float beside codes
/// (channels, outliers) is a float product beside it.
bool multiplies_codes(const SiteFormat& left, const Weight& weight);

struct Layer {
  Linear query, key, value, attention_output, ffn_hidden, ffn_output;
  LayerNorm attention_norm, output_norm;
  SiteFormat sites[layer_sites];

  /// Whether attention multiplies codes: queries with keys, where both have one grid, or one per row, of
  /// bytes without outliers; probabilities of bytes with values of one grid of bytes (grids per row would
  /// stand inside the sum). Otherwise it is a float product.
  bool integer_scores() const;
  bool integer_context() const;
};

struct Shape {
  std::size_t vocabulary = 0, hidden = 0, layers = 0, heads = 0, intermediate = 0;
  std::size_t positions = 512, token_types = 2, labels = 0;
  float epsilon = 1e-12f;  ///< of the LayerNorms
  std::size_t head_size() const { return hidden / heads; }
};

/// A BERT classifier as an executor runs it: what `src/lower` makes of weights and a scheme, and what a
/// packed file holds.
struct Model {
  Shape shape;
  Weight word_embeddings, position_embeddings, token_type_embeddings;  ///< [rows, hidden]
  LayerNorm embeddings_norm;
  SiteFormat embeddings_sum_site, embeddings_norm_site, pooler_site;
  std::vector<Layer> layers;
  Linear pooler, classifier;
  /// Facts that travel with the model: the scheme's text, label names, digests, the program's version.
  std::map<std::string, std::string> facts;

  /// Bytes of all parameters as held here.
  std::size_t weight_bytes() const;
  /// How many of the layers' products multiply codes, of 8 per layer: query, key, value, scores, context,
  /// attention_output, ffn_hidden, ffn_output.
  std::size_t integer_products() const;
  /// Number of sites: embeddings.sum, embeddings.norm, the layers', pooler, numbered in this order.
  std::size_t site_count() const { return 3 + shape.layers * layer_sites; }
  std::size_t site_index(std::size_t layer, LayerSite site) const { return 2 + layer * layer_sites + site; }
  const SiteFormat& site(std::size_t index) const;

  /// Throws Error naming the first part whose sizes disagree with `shape`, whose scales are not finite, whose
  /// codes or bits are out of range, or of which a sum of products could leave int32.
  void check() const;
};

}  // namespace outlierlab::engine
