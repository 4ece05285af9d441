#pragma once

#include <memory>
#include <vector>

#include "core/matrix.h"
#include "data/batch.h"
#include "model/hook.h"
#include "model/sites.h"
#include "model/weights.h"

namespace outlierlab {

/// Runs a BERT for inference on packed (unpadded) batches with the suite's own kernels; every activation
/// passes through its named site's hook while it is in the cache.
///
/// Reproducible to the bit: each output element is computed by a chain of operations that depends neither on
/// the batch, nor on the number of threads, nor on the width of the CPU's vectors.
class BertRunner {
 public:
  /// Packs the weights; `weights` may be discarded afterwards.
  explicit BertRunner(const BertWeights& weights);
  /// As above, and takes the embeddings over.
  explicit BertRunner(BertWeights&& weights);
  ~BertRunner();
  BertRunner(BertRunner&&) noexcept;
  BertRunner& operator=(BertRunner&&) noexcept;

  /// With packed weights and embeddings of its own.
  BertRunner copy() const;

  const BertConfig& config() const;
  const SiteTable& sites() const;

  /// Class logits, [examples, labels]. `hook` may be null, and then, or if it does not need all rows, the
  /// last layer computes for each example's first token what the classifier reads, and no more. Throws Error
  /// for token ids or lengths that the model does not have.
  Matrix logits(const Batch& batch, SiteHook* hook = nullptr) const;

  /// Masked-language-model logits, [tokens, vocabulary]; needs a checkpoint with the MLM head.
  Matrix mlm_logits(const Batch& batch, SiteHook* hook = nullptr) const;

  /// The parts of logits(), for studies that re-use a prefix: hidden states are [tokens, hidden], and
  /// logits_from() takes those before layer `index` (after the last, if it is the number of layers).
  Matrix embed(const Batch& batch, SiteHook* hook = nullptr) const;
  Matrix layer(std::size_t index, const Batch& batch, const Matrix& hidden, SiteHook* hook = nullptr) const;
  Matrix classify(const Batch& batch, const Matrix& hidden, SiteHook* hook = nullptr) const;
  Matrix logits_from(std::size_t index, const Batch& batch, const Matrix& hidden,
                     SiteHook* hook = nullptr) const;

 private:
  BertRunner() = default;
  struct Packed;
  std::unique_ptr<Packed> packed_;
};

}  // namespace outlierlab
