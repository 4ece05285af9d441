#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/ini.h"
#include "model/sites.h"
#include "model/weights.h"
#include "stats/statistics.h"

namespace outlierlab {

/// A rewrite of a float network into one that computes the same function with other ranges, before it is
/// quantized. One small file each in src/quant/transforms/, one line in registry.cpp
/// (docs/add-a-transform.md).
///
/// A post-LN BERT can be rewritten exactly, with no operation added, where a linear map meets a linear map:
///
/// - query against key, channel by channel or by a rotation within a head: only their inner product is used;
/// - value against attention_output's columns, likewise: `context` is linear in `value`, each head by itself;
/// - the last layer's output against the pooler's columns (and the MLM head's): nothing else reads it.
///
/// Elsewhere it cannot. Other LayerNorm outputs (embeddings.norm, ffn_input, earlier layers' output) also
/// enter the residual sum, so that a factor in gain and bias would reach the next LayerNorm, whose mean and
/// variance mix the channels; SmoothQuant's own pairs are these, in pre-LN networks, where the residual
/// leaves before the LayerNorm. The residual sums and their summands (attention_output, ffn_output) meet a
/// LayerNorm for the same reason. ffn_hidden comes from GELU, pooler from tanh: neither commutes with a
/// factor. An exact rewrite there would have to multiply at run time.
class Transform {
 public:
  virtual ~Transform() = default;
  /// False if it reads no statistics, whose capture costs a pass over the calibration set.
  virtual bool needs_statistics() const { return true; }
  /// UsageError if it cannot rewrite such a network.
  virtual void check(const SiteTable&) const {}
  /// Rewrites `weights`, which passed check(). `statistics` are those of the network as it is given; null
  /// unless needs_statistics().
  virtual void apply(BertWeights& weights, const NetworkStatistics* statistics) const = 0;
};

/// A registered transform: `make` reads its own keys from the scheme's section [transforms.NAME] (UsageError
/// on a bad value); the section is empty if the scheme has none.
struct TransformEntry {
  std::string name;
  std::string summary;            ///< one line for `outlierlab list`
  std::vector<std::string> keys;  ///< the keys it reads
  std::function<std::unique_ptr<Transform>(const IniSection&)> make;
};

const std::vector<TransformEntry>& transforms();
/// Unknown names throw UsageError with the nearest one.
std::unique_ptr<Transform> make_transform(const std::string& name, const IniSection& options);

}  // namespace outlierlab
