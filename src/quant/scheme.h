#pragma once

#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "core/ini.h"
#include "model/runner.h"
#include "model/sites.h"
#include "model/weights.h"
#include "quant/calibrator.h"
#include "quant/transform.h"
#include "quant/weight_quantizer.h"

namespace outlierlab {

/// What is done at every site and weight; an INI file (docs/design.md, section 6):
///
///     base = w8a8                      # optional: another scheme, whose keys this one overrides
///     description = ...
///     [calibration]
///     order = parallel                 # or sequential
///     [transforms]
///     apply = smoothquant, hadamard    # rewrites of the float network, in this order; or none
///     [transforms.smoothquant]         # a transform's own keys
///     alpha = 0.5
///     [weights]                        # every 2-D weight; bits = 32 is float
///     bits = 8
///     quantizer = absmax
///     granularity = tensor             # tensor, channel, block (with block = N)
///     [weights.layer.0.*]              # a pattern over weight names overrides keys
///     [activations]
///     bits = 8
///     calibrator = minmax              # with its own keys, such as percentile = 99.99
///     grid = affine                    # or symmetric
///     granularity = tensor             # tensor, channel, token, group (with groups = K and
///                                      # permute = none or range), block (with block = N)
///     keep_channels = 0                # share of channels, by absmax, that stays in float
///     outlier_threshold = 6.0          # of token: see below
///     [activations.*.ffn_output]       # a pattern over sites (or x, h, y) overrides keys
///
/// `outlier_threshold` T decomposes a row as LLM.int8() does (Dettmers et al. 2022, arXiv 2208.07339): values
/// with |v| > T stay in float, the others share a grid over their own range. The original keeps a whole
/// column of the batch in float once one of its values exceeds T, so that what it computes for one example
/// depends on the others beside it. Here every value is judged alone: what is kept is part of what the
/// original keeps, and an example's logits do not depend on its batch.
///
/// Layers, each over the last: base, the file, overrides; within one, [activations], then the patterns in
/// file order. Some keys belong to the value of another: a calibrator's or quantizer's own, `groups` and
/// `permute` to group, `block` to block, `outlier_threshold` to token. A layer or section that names another
/// calibrator, quantizer or granularity drops the keys that belonged to the former; such a key beside a value
/// that does not have it is an error. Likewise a layer with `apply` drops the options of transforms that it
/// does not name, and options of a transform that is not applied are an error.
///
/// Unknown sections and keys, patterns that match nothing, bits other than 2-16 and 32, K of 0 or more than
/// the channels, and combinations without meaning (a calibrator for token or block, which take each row's own
/// range) are UsageErrors with file and line.
class Scheme {
 public:
  /// A name in `folder` (configs/schemes) or the path of an INI file; `base` is resolved in the same folder.
  static Scheme load(const std::string& name_or_path, const std::filesystem::path& folder,
                     const std::vector<std::string>& overrides = {});
  static Scheme parse(const Ini& ini, const std::string& name);
  /// This scheme with further "section.key=value" overrides.
  Scheme with(const std::vector<std::string>& overrides) const;

  const std::string& name() const { return name_; }
  const std::string& description() const { return description_; }
  bool sequential() const { return sequential_; }
  const Ini& ini() const { return ini_; }

  bool has_transforms() const { return !transforms_.empty(); }
  const std::vector<std::shared_ptr<const Transform>>& transforms() const { return transforms_; }
  /// The transforms in order with their options, one line each; empty without any. Schemes of the same text
  /// rewrite a network alike.
  std::string transforms_text() const;

  /// The effective section of a site or weight: defaults, then each matching pattern in file order.
  IniSection activation_rule(const SiteTable& sites, std::size_t site) const;
  IniSection weight_rule(const std::string& weight_name) const;
  bool quantizes_activations(const SiteTable& sites) const;
  bool quantizes_weights() const;
  /// Checks every rule against the network: patterns, keys, values. Called by load once the network is known.
  void check(const SiteTable& sites, const std::vector<std::string>& weight_names) const;

 private:
  std::string name_, description_;
  bool sequential_ = false;
  std::vector<std::shared_ptr<const Transform>> transforms_;
  Ini ini_;
};

/// An effective section of Scheme::activation_rule, read and checked.
struct ActivationRule {
  int bits = 32;  ///< 32: float
  bool symmetric = false;
  Granularity granularity = Granularity::tensor;
  std::size_t groups = 0, block = 0;
  bool permute_by_range = false;
  double keep_channels = 0;  ///< share of the channels
  /// Granularity token: values of a larger magnitude stay in float and leave the row's range.
  float outlier_threshold = std::numeric_limits<float>::infinity();
  std::shared_ptr<const Calibrator> calibrator;  ///< null in float

  bool is_float() const { return bits == 32; }
  /// Has ranges from statistics, not from each row at run time.
  bool is_static() const {
    return !is_float() && granularity != Granularity::token && granularity != Granularity::block;
  }
  static ActivationRule read(const IniSection& rule);
};

/// An effective section of Scheme::weight_rule, read and checked.
struct WeightRule {
  int bits = 32;  ///< 32: float
  Granularity granularity = Granularity::tensor;
  std::size_t block = 0;
  std::shared_ptr<const WeightQuantizer> quantizer;  ///< null in float

  bool is_float() const { return bits == 32; }
  static WeightRule read(const IniSection& rule);
};

/// Groups of channels for PEG: K groups, equal in size (the first C mod K get one more); with `by_range` the
/// channels are first sorted by (max - min), ties by index.
std::vector<std::vector<std::size_t>> peg_groups(const ChannelStatistics& channels, std::size_t groups,
                                                 bool by_range);

/// How one site's values are quantized, for those who execute it.
struct SiteLayout {
  int bits = 32;  ///< 32: float (also a site that is switched off)
  bool symmetric = false;
  Granularity granularity = Granularity::tensor;
  /// Static sites: one grid, or with `by_channel` one per channel; scale < 0: the channel stays in float.
  bool by_channel = false;
  std::vector<float> scale;
  std::vector<std::int32_t> zero;
  std::size_t block = 0;  ///< granularity block: values that share a grid
  /// Granularity token: values of a larger magnitude stay in float.
  float outlier_threshold = std::numeric_limits<float>::infinity();
};

/// A scheme made ready for one network: per-site grids, computed from statistics.
class ActivationQuantizer : public SiteHook {
 public:
  /// `statistics` may be null if no site needs calibration (token, block, or float everywhere), and for a
  /// sequential scheme, whose sites then pass values unchanged until they are calibrated.
  ActivationQuantizer(const Scheme& scheme, const SiteTable& sites, const NetworkStatistics* statistics);
  ~ActivationQuantizer() override;
  ActivationQuantizer(ActivationQuantizer&&) noexcept;

  void visit(const SiteTile& tile, int thread) override;
  bool needs_all_rows() const override { return false; }  // no grid depends on another row's values

  /// Recomputes one site from new statistics (sequential calibration).
  void calibrate(std::size_t site, const SiteStatistics& statistics);
  /// Switches a site to float and back (sensitivity studies).
  void enable(std::size_t site, bool on);
  bool enabled(std::size_t site) const;  ///< quantizes at all
  /// Has grids from statistics: calibrate() means something for it.
  bool is_static(std::size_t site) const;
  /// Throws Error naming the first site at which a NaN or Inf was seen (of values that a logit depends on),
  /// or that ran without having been calibrated.
  void require_finite() const;
  /// The grids of a site: one per tensor, group or channel; empty for float and dynamic sites.
  std::vector<Grid> grids(std::size_t site) const;
  /// Throws Error for a static site without grids.
  SiteLayout layout(std::size_t site) const;

 private:
  struct Plan;
  std::unique_ptr<Plan> plan_;
};

/// The float network that the scheme's transforms make of `weights`: the same function, to be calibrated and
/// quantized in its place. `capture` gives the statistics of a float network on the calibration set; it is
/// called before each transform that needs them, with the network as the transforms before have left it:
/// `weights` itself before the first. UsageError if a transform cannot rewrite such a network.
BertWeights apply_transforms(const BertWeights& weights, const Scheme& scheme,
                             const std::function<NetworkStatistics(const BertWeights&)>& capture);

/// One weight by a rule that is not float; `input_site` is that of BertWeights::for_each_matrix().
QuantizedWeight quantize_weight(const Matrix& matrix, const WeightRule& rule, const std::string& name,
                                const std::string& input_site, const NetworkStatistics* statistics);

/// Weights with the scheme's weight rules applied (fake-quantized copy). `statistics` serves quantizers that
/// need their input's statistics. `stored_bytes` (optional) receives the size of all parameters: quantized
/// matrices as they would be stored, everything else in float32.
BertWeights quantize_weights(const BertWeights& weights, const Scheme& scheme,
                             const NetworkStatistics* statistics, std::size_t* stored_bytes = nullptr);

/// `calibration.order = sequential`: re-estimates each site with everything before it quantized. `runner`
/// runs the quantized weights.
void calibrate_sequentially(ActivationQuantizer& quantizer, const BertRunner& runner,
                            const std::vector<Batch>& calibration);

}  // namespace outlierlab
