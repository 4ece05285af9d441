#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace outlierlab {

/// One example after tokenization: [CLS] a [SEP] or [CLS] a [SEP] b [SEP], cut to the maximum length.
struct EncodedExample {
  std::uint32_t index = 0;  ///< row of the example in its split
  std::vector<std::int32_t> token_ids;
  std::vector<std::uint8_t> token_types;
  int label = -1;  ///< index into the task's label names; -1 if the split carries no labels
};

/// The identity of one token, independent of how examples were batched.
struct TokenId {
  std::uint32_t example;   ///< EncodedExample::index
  std::uint32_t position;  ///< 0 is [CLS]
};

/// Examples laid end to end without padding. Token t of example e is row offsets[e] + t of every activation.
struct Batch {
  std::vector<std::int32_t> token_ids;    ///< [tokens]
  std::vector<std::uint8_t> token_types;  ///< [tokens]
  std::vector<std::int32_t> positions;    ///< [tokens] row of the position embedding
  std::vector<TokenId> tokens;            ///< [tokens]
  std::vector<std::size_t> offsets;       ///< [examples + 1]
  std::vector<std::uint32_t> examples;    ///< [examples] EncodedExample::index
  std::vector<int> labels;                ///< [examples]

  std::size_t size() const { return examples.size(); }
  std::size_t token_count() const { return token_ids.size(); }
  std::size_t length(std::size_t example) const { return offsets[example + 1] - offsets[example]; }

  /// Throws Error naming the first token that a model with so many embeddings does not have.
  void require_tokens(std::size_t vocabulary, std::size_t position_count, std::size_t type_count) const;
};

/// Packs the examples whose positions in `all` are given, in that order.
Batch make_batch(const std::vector<EncodedExample>& all, const std::vector<std::size_t>& which);

/// A padded batch as other frameworks have it: [examples, width] row-major ids, types and a 0/1 mask; padding
/// may stand on either side. Positions count columns, as Hugging Face's BERT does. Masked columns are
/// dropped.
Batch make_batch_from_padded(const std::vector<std::int32_t>& ids, const std::vector<std::uint8_t>& types,
                             const std::vector<std::uint8_t>& mask, std::size_t width);

/// Sorts by length (ties by index, so that the order is fixed) and cuts into batches of `batch_size`
/// examples.
std::vector<Batch> make_batches(const std::vector<EncodedExample>& examples, std::size_t batch_size);

}  // namespace outlierlab
