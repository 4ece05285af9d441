#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "model/config.h"

namespace outlierlab {

/// The kinds of sites of a BERT, in the order in which a forward pass reaches them (docs/design.md, section
/// 4).
enum class SiteKind {
  embeddings_sum,
  embeddings_norm,
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
  pooler
};

/// A named place where an activation is observed or quantized.
struct Site {
  std::string name;  ///< "layer.3.ffn_output"
  SiteKind kind;
  int layer;             ///< -1 outside the layers
  std::size_t channels;  ///< hidden or intermediate size; for scores and probs the number of heads
};

/// Every site of a network in the order of the forward pass.
class SiteTable {
 public:
  explicit SiteTable(const BertConfig& config);
  std::size_t size() const { return sites_.size(); }
  const Site& operator[](std::size_t index) const { return sites_[index]; }
  const std::vector<Site>& all() const { return sites_; }
  /// Index by kind; `layer` is ignored for kinds outside the layers. Constant time.
  std::size_t index(SiteKind kind, int layer = -1) const;
  /// Index by name; an unknown name is a UsageError that names the nearest.
  std::size_t index(const std::string& name) const;
  /// Indices of the sites that a pattern names: `*` stands for any characters; `x`, `h`, `y` are the paper's
  /// letters for layer.*.ffn_input, layer.*.ffn_output and layer.*.ffn_residual. No match is a UsageError.
  std::vector<std::size_t> match(const std::string& pattern) const;

 private:
  std::vector<Site> sites_;
};

/// "ffn_output" for SiteKind::ffn_output.
const char* to_string(SiteKind kind);

}  // namespace outlierlab
