#pragma once

#include <cstddef>

#include "data/batch.h"

namespace outlierlab {

/// A tile of one site's values while it is still in the cache.
///
/// Token sites: `rows` tokens x `cols` channels. Scores and probs: `rows` query tokens x `cols` key tokens of
/// one example and one head; `channel` is then the head, to which all the values belong. Padding never
/// appears. The pooler's rows are [CLS] tokens.
struct SiteTile {
  std::size_t site;  ///< index in the SiteTable
  float* data;       ///< row r starts at data + r * stride
  std::size_t rows;
  std::size_t cols;
  std::size_t stride;
  int channel;            ///< -1: column c is channel c; otherwise the channel of all values
  const TokenId* tokens;  ///< [rows] the token of each row
};

/// What a forward pass calls at every site. A hook may read the values (statistics) or replace them
/// (quantization).
class SiteHook {
 public:
  virtual ~SiteHook() = default;
  /// Called concurrently from several threads with disjoint tiles; `thread` < threads(). How a site is cut
  /// into tiles is not specified: a hook's outcome must not depend on it.
  virtual void visit(const SiteTile& tile, int thread) = 0;
  /// Called around every matrix product, on the thread that runs it (profiles).
  virtual void product_begins(int /*thread*/) {}
  virtual void product_ends(int /*thread*/) {}
  /// Whether it must see every row. If not, a pass that ends in a classifier leaves out what no logit depends
  /// on: the last layer then has keys and values of every token, and all else of each example's first alone.
  virtual bool needs_all_rows() const { return true; }
  /// How high tiles should be where the forward pass can choose; 0: as low as suits the caches best.
  virtual std::size_t preferred_rows() const { return 0; }
};

}  // namespace outlierlab
