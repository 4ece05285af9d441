#include "model/training/batch_order.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "core/random.h"

namespace outlierlab {

namespace {

constexpr std::size_t batches_per_pool = 16;

/// Fisher and Yates; std::shuffle differs between standard libraries.
template <typename T>
void shuffle(std::vector<T>& items, Random& random) {
  for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random.below(i)]);
}

}  // namespace

BatchOrder::BatchOrder(const std::vector<EncodedExample>& examples, std::size_t batch_size,
                       std::uint64_t seed)
    : batch_size_(batch_size), seed_(mix64(seed)) {
  if (examples.empty()) throw Error("training data: expected at least one example, found none");
  for (const EncodedExample& example : examples) lengths_.push_back(example.token_ids.size());
}

const std::vector<std::size_t>& BatchOrder::batch(std::size_t step) {
  if (step / batches_per_pool != pool_) fill_pool(step / batches_per_pool);
  return batches_[step % batches_per_pool];
}

const std::vector<std::size_t>& BatchOrder::permutation(std::size_t epoch) {
  if (epoch == epoch_) return permutation_;
  permutation_.resize(lengths_.size());
  std::iota(permutation_.begin(), permutation_.end(), std::size_t{0});
  Random random(seed_ ^ mix64(2 * epoch));
  shuffle(permutation_, random);
  epoch_ = epoch;
  return permutation_;
}

void BatchOrder::fill_pool(std::size_t pool) {
  const std::size_t count = batch_size_ * batches_per_pool;
  std::vector<std::size_t> drawn(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t position = pool * count + i;
    drawn[i] = permutation(position / lengths_.size())[position % lengths_.size()];
  }
  std::stable_sort(drawn.begin(), drawn.end(),
                   [&](std::size_t a, std::size_t b) { return lengths_[a] < lengths_[b]; });
  batches_.assign(batches_per_pool, {});
  for (std::size_t i = 0; i < count; ++i) batches_[i / batch_size_].push_back(drawn[i]);
  Random random(seed_ ^ mix64(2 * pool + 1));
  shuffle(batches_, random);
  pool_ = pool;
}

}  // namespace outlierlab
