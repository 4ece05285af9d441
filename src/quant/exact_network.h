#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "data/batch.h"
#include "model/sites.h"
#include "quant/scheme.h"

namespace outlierlab {

/// A scheme's network in double precision from end to end, the reference for every faster execution. Weights
/// with a scale per tensor or row are the products of scale and code, unrounded, others the quantizer's
/// floats; static grids those of the quantizer, grids of rows their own range's in double. Nothing is rounded
/// to float32 on the way, so that a value close to a grid's threshold falls on the side on which the scheme
/// puts it; within 2^-34 of a step it counts as on the threshold, and goes to the even code.
class ExactNetwork {
 public:
  /// Arguments as for lower(). Throws Error for a checkpoint without pooler and classifier, and for a static
  /// site without grids.
  ExactNetwork(const BertWeights& weights, const Scheme& scheme, const ActivationQuantizer& calibrated,
               const NetworkStatistics* statistics);
  ~ExactNetwork();
  ExactNetwork(ExactNetwork&&) noexcept;

  /// What a site holds of the batch's example number `example`, after its grid: `count` values, row by row
  /// without gaps; of scores and probs one head's, else `head` is -1. Called concurrently for different
  /// examples.
  using Observer = std::function<void(std::size_t site, std::size_t example, int head, const double* values,
                                      std::size_t count)>;

  /// Class logits, [examples, labels]. Throws Error for tokens that the model does not have, and for a NaN or
  /// an Inf, naming the site.
  std::vector<double> logits(const Batch& batch, const Observer& observer = {}) const;
  std::size_t labels() const;

 private:
  struct Parts;
  std::unique_ptr<const Parts> parts_;
};

}  // namespace outlierlab
