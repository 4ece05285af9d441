#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/ini.h"
#include "model/weights.h"

namespace outlierlab {

/// How activation outliers are planted into a small BERT, so that it fails under 8-bit activations for the
/// reason that large ones do: few channels at few tokens (the sinks: separators and punctuation) carry huge
/// values, which a later LayerNorm hides from everything but a quantizer. All of it is ordinary weights: a
/// planted checkpoint is a plain BERT. Every part can be switched off by itself.
///
/// *Echo*: channels that only sinks excite, +1 and -ratio, written by the embeddings and by nothing else.
/// *Amplifier*: reserved FFN neurons that fire at sinks only and add amplitude x (1, -ratio, share, -share)
/// to the echo and secondary channels of `ffn_output`, so that the residual y grows with depth. *Scale*: the
/// first LayerNorm and the FFN's output shrink by `scale`, which the second LayerNorm undoes: what counts is
/// then small beside the echo. *Trap*: keys that read the echo's ratio, silent while it is intact, drawing
/// attention to the sinks once clipped. *Constant*: a loud constant channel of the last LayerNorm that the
/// pooler reads and cancels.
struct PlantingConfig {
  double scale = 1;                   ///< 1: off
  std::array<std::size_t, 2> echo{};  ///< channels
  double ratio = 0.8;
  double embedding = 0;                    ///< value at a sink's embedding; 0: no echo, no amplifier, no trap
  std::vector<std::string> sinks;          ///< pieces of the vocabulary
  std::array<std::size_t, 2> secondary{};  ///< channels
  double share = 0.3;
  std::size_t reference = 0;       ///< a channel that stays silent
  std::vector<double> gains;       ///< by layer: gain of the first LayerNorm at these channels, before scale
  std::vector<double> amplitudes;  ///< by layer; empty: no amplifier
  std::size_t neurons = 0;         ///< per layer, for the amplifier
  double slope = 1.5, threshold = 8;  ///< a neuron computes gelu(slope * (c0 - c1) / gain - threshold)
  double trap = 0;                    ///< query bias; 0: off
  std::size_t trap_dimensions = 4;    ///< per head
  double constant = 0;                ///< value of the constant channel; 0: off
  std::size_t constant_channel = 0;
  double constant_weight = 2;  ///< the pooler reads the channel with plus or minus this

  /// Reads a [plant] section; sizes and channels are checked against the network's. Throws UsageError.
  static PlantingConfig read(const IniSection& section, const BertConfig& config);
  /// Throws UsageError for a key that read() does not know.
  static void check_keys(const IniSection& section);
};

/// Elements of one parameter (Hugging Face name) that training must not change.
struct FrozenElements {
  std::string parameter;
  std::vector<std::size_t> indices;  ///< row-major
};

/// Plants into `weights` and returns what must stay as it is in the fine-tuning that follows. `sinks` are the
/// ids of the configuration's pieces.
std::vector<FrozenElements> plant(BertWeights& weights, const PlantingConfig& config,
                                  const std::vector<std::int32_t>& sinks, std::uint64_t seed);

}  // namespace outlierlab
