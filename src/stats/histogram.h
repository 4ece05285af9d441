#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace outlierlab {

/// A histogram of floats over the whole float range at constant relative resolution: a value's bin is its sign, its
/// exponent and the top 8 bits of its mantissa, that is, the top 17 bits of its representation. Each bin is 2^-8 to
/// 2^-9 of its value wide. The range never has to grow, whatever comes; counting is one shift and one increment; two
/// histograms merge by adding; the result does not depend on the order of the values.
///
/// Memory: 2^17 counters of 8 bytes, taken from the operating system page by page as they are first touched (a site
/// touches a few dozen of its 256 pages).
class Histogram {
 public:
  static constexpr int mantissa_bits = 8;
  static constexpr std::size_t bins = std::size_t{1} << (9 + mantissa_bits);

  Histogram();
  // (copyable and movable; storage is calloc'ed so that untouched pages cost nothing)

  /// Counts a tile; NaN and Inf are counted in their own bins and make finite() false.
  void add(const float* data, std::size_t rows, std::size_t cols, std::size_t stride);
  void add(float value, std::uint64_t count = 1);
  void merge(const Histogram& other);

  std::uint64_t total() const;
  bool finite() const;

  /// A run of equal-sign values: [lower, upper) in value order and its count.
  struct Bin {
    float lower, upper;
    std::uint64_t count;
  };
  /// The non-empty bins in ascending order of value. +0 and -0 share a bin [0, 0].
  std::vector<Bin> sorted() const;

  /// The p-th percentile, p in [0, 100], linear between the bin's edges; `min` and `max` (exact) bound the ends.
  float percentile(double p, float min, float max) const;

  // Storage access for src/store: (bin index, count) of the non-empty bins.
  std::vector<std::pair<std::uint32_t, std::uint64_t>> nonzero() const;
};

}  // namespace outlierlab
