#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/batch.h"
#include "model/weights.h"

namespace outlierlab {

/// A padded batch: ids, types [examples, width] int64, mask [examples, width] bool (true = a token),
/// labels [examples] int64.
struct PaddedBatch {
  torch::Tensor ids, types, mask, labels;
};

/// Pads the examples whose positions in `all` are given to the longest among them, on the right.
PaddedBatch pad_batch(const std::vector<EncodedExample>& all, const std::vector<std::size_t>& which,
                      std::int32_t pad_id);

/// How a forward pass of ReferenceBert is run.
struct ForwardOptions {
  /// Called at every site (docs/design.md, section 4) with its padded values: [examples, width, channels];
  /// scores and probs [examples, heads, queries, keys]; pooler [examples, hidden]. What it returns takes the
  /// values' place.
  std::function<torch::Tensor(const std::string& site, const torch::Tensor& values)> visit;
  /// Dropout is on if set; the masks are a function of the key alone.
  std::optional<std::uint64_t> dropout_key;
  float head_dropout = 0;  ///< between pooler and classifier
};

/// BERT (Devlin et al. 2018) written with libtorch's operators and nothing else: padded batches, a mask,
/// dropout, GELU by erf, gradients by autograd. It is the network that is trained, and the oracle against
/// which the suite's own kernels are tested.
class ReferenceBert {
 public:
  /// Where a parameter lies in values() and gradients().
  struct Parameter {
    std::string name;  ///< Hugging Face's
    std::vector<std::size_t> shape;
    std::size_t offset, count;
  };

  explicit ReferenceBert(const BertWeights& weights);
  ReferenceBert(const ReferenceBert&) = delete;
  ReferenceBert& operator=(const ReferenceBert&) = delete;

  const BertConfig& config() const { return config_; }

  /// Last hidden states, [examples, width, hidden].
  torch::Tensor encode(const PaddedBatch& batch, const ForwardOptions& options = {}) const;
  /// Class logits [examples, labels] of encode()'s result.
  torch::Tensor classify(const torch::Tensor& hidden, const ForwardOptions& options = {}) const;
  torch::Tensor logits(const PaddedBatch& batch, const ForwardOptions& options = {}) const {
    return classify(encode(batch, options), options);
  }
  /// Vocabulary logits [..., vocab] of hidden states [..., hidden]; needs the MLM head.
  torch::Tensor mlm_logits(const torch::Tensor& hidden) const;

  /// The parameters in BertWeights::for_each_parameter's order.
  const std::vector<Parameter>& parameters() const { return parameters_; }
  /// All parameters and their gradients, end to end; the network computes on views of them.
  float* values() { return values_.data_ptr<float>(); }
  float* gradients() { return gradients_.data_ptr<float>(); }
  std::size_t size() const { return static_cast<std::size_t>(values_.numel()); }

  /// The current parameters as a copy.
  BertWeights weights() const;

 private:
  const torch::Tensor& at(const std::string& name) const;
  torch::Tensor linear(const std::string& name, const torch::Tensor& x) const;
  torch::Tensor layer_norm(const std::string& name, const torch::Tensor& x) const;

  BertConfig config_;
  BertWeights skeleton_;
  torch::Tensor values_, gradients_;
  std::vector<Parameter> parameters_;
  std::map<std::string, torch::Tensor> views_;
};

}  // namespace outlierlab
