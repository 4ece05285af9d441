#pragma once

#include <cstdint>
#include <vector>

#include "data/batch.h"

namespace outlierlab {

/// Which examples make up the batch of a step. Epochs are random permutations laid end to end; of every 16
/// batches' worth the examples are sorted by length, cut into batches, and the batches shuffled: little
/// padding, yet a random order. A function of the seed and the step alone.
class BatchOrder {
 public:
  BatchOrder(const std::vector<EncodedExample>& examples, std::size_t batch_size, std::uint64_t seed);
  /// Positions in `examples`; valid until the next call.
  const std::vector<std::size_t>& batch(std::size_t step);

 private:
  void fill_pool(std::size_t pool);
  const std::vector<std::size_t>& permutation(std::size_t epoch);

  std::vector<std::size_t> lengths_;
  std::size_t batch_size_;
  std::uint64_t seed_;
  std::size_t pool_ = static_cast<std::size_t>(-1), epoch_ = static_cast<std::size_t>(-1);
  std::vector<std::vector<std::size_t>> batches_;
  std::vector<std::size_t> permutation_;
};

}  // namespace outlierlab
