#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace outlierlab {

/// A histogram of floats over the whole float range at constant relative resolution: a value's bin is its
/// sign, its exponent and the top 8 bits of its mantissa, that is, the top 17 bits of its representation.
/// Each bin is 2^-8 to 2^-9 of its value wide. The range never has to grow, whatever comes; counting is one
/// shift and one increment; two histograms merge by adding; the result does not depend on the order of the
/// values.
///
/// Memory: at rest the list of non-empty bins (a site has a few thousand). While tiles are counted there is
/// besides a table of 2^17 counters of 4 bytes, taken zeroed from the operating system page by page as they
/// are first touched; it is emptied into the list before a counter could overflow, on settle(), and for every
/// copy.
class Histogram {
 public:
  static constexpr int mantissa_bits = 8;
  static constexpr std::size_t bins = std::size_t{1} << (9 + mantissa_bits);
  /// (bin index, count): the index is the value's top 17 bits; -0 counts as +0.
  using BinCount = std::pair<std::uint32_t, std::uint64_t>;

  Histogram() = default;
  Histogram(const Histogram& other);
  Histogram& operator=(const Histogram& other);
  Histogram(Histogram&&) noexcept = default;
  Histogram& operator=(Histogram&&) noexcept = default;

  /// Counts a tile; NaN and Inf are counted in their own bins and make finite() false.
  void add(const float* data, std::size_t rows, std::size_t cols, std::size_t stride);
  void add(float value, std::uint64_t count = 1);
  void merge(const Histogram& other);

  std::uint64_t total() const;
  bool finite() const { return infinities() == 0 && nans() == 0; }
  std::uint64_t infinities() const;
  std::uint64_t nans() const;

  /// A run of equal-sign values: [lower, upper) in value order and its count.
  struct Bin {
    float lower, upper;
    std::uint64_t count;
  };
  /// The non-empty bins of finite values in ascending order of value. +0 and -0 (and what is closer to them
  /// than 5e-41) share a bin [0, 0].
  std::vector<Bin> sorted() const;
  /// The indices of the same bins, in the same order.
  std::vector<std::uint32_t> sorted_indices() const;

  /// The p-th percentile, p in [0, 100]: linear between order statistics (as numpy's default), each of which
  /// is placed linearly between its bin's edges; `min` and `max` (exact) are the first and the last. 0
  /// without values.
  float percentile(double p, float min, float max) const;

  /// The non-empty bins in ascending order of index, NaN and Inf included.
  std::vector<BinCount> nonzero() const;
  /// A histogram with these bins; indices need not be in order. Throws std::out_of_range for an index >=
  /// bins.
  static Histogram from_bins(std::vector<BinCount> counts);
  /// A histogram of few values, without a table of counters.
  static Histogram of(const std::vector<float>& values);

  /// Moves the counters into the list of bins and gives their memory back.
  void settle();
  /// For kernels: a table of `bins` counters for the next `values` values (at most 2^31), one increment each.
  std::uint32_t* counters(std::uint64_t values);

 private:
  struct Free {
    void operator()(std::uint32_t* table) const;
  };
  std::uint64_t count_if_index(bool (*wanted)(std::uint32_t)) const;

  std::unique_ptr<std::uint32_t[], Free> table_;
  std::uint64_t in_table_ = 0;     ///< values counted there
  std::vector<BinCount> settled_;  ///< ascending by index
};

}  // namespace outlierlab
