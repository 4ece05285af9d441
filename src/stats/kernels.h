// The inner loops of the statistics, compiled once per instruction set (see core/simd.h). All versions give
// the same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/isa.h"

namespace outlierlab {

/// Row-major values; row r starts at data + r * stride.
struct TileValues {
  const float* data;
  std::size_t rows, cols, stride;
};

/// The running statistics of a site's channels, [cols] each. Every channel has the same count.
struct ChannelArrays {
  double *mean, *m2;
  float *min, *max;
};

/// sums[k][lane]: sums of (v - pivot)^(k+1), spread over 8 lanes that are still to be added up.
using PowerSums = double[4][8];

/// Consecutive rows of one example, at least one: the last of them + 1, and the smallest and largest value,
/// spread over 8 lanes.
struct RowRun {
  std::size_t end;
  float min[8], max[8];
};

/// No range is left with a -0: it counts as +0.
struct StatisticsKernels {
  /// A tile of at least one row whose column c is channel c. Updates `channels`, which have seen `count`
  /// values each so far (when 0, their means must hold the first row); widens `runs`; counts the values;
  /// writes power sums about `pivot`.
  void (*add_channels)(TileValues tile, double count, ChannelArrays channels, RowRun* runs, float pivot,
                       std::uint32_t* counters, PowerSums& sums);
  /// A tile of one channel: widens `range`, counts the values, writes power sums about `pivot`.
  void (*add_values)(TileValues tile, RowRun& range, float pivot, std::uint32_t* counters, PowerSums& sums);
  /// Only counts the values: ++counters[bits >> 15].
  void (*count)(TileValues tile, std::uint32_t* counters);
};

/// The kernels of one instruction set, or of the best that this CPU has.
const StatisticsKernels& statistics_kernels(Isa isa);
const StatisticsKernels& statistics_kernels();

namespace portable {
extern const StatisticsKernels statistics_kernels;
}
namespace avx2 {
extern const StatisticsKernels statistics_kernels;
}
namespace avx512 {
extern const StatisticsKernels statistics_kernels;
}

}  // namespace outlierlab
