// See stats/kernels.h; included once per instruction set.
#include "stats/double_lanes.h"
#include "stats/kernels.h"

namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE {

namespace {

/// Sixteen doubles.
struct D16 {
  D8 low, high;
};
inline D16 widen_all(F16 a) {
  return {low_half(a), high_half(a)};
}
inline D16 load16(const double* p) {
  return {load_double(p), load_double(p + 8)};
}
inline void store16(double* p, D16 a) {
  store(p, a.low);
  store(p + 8, a.high);
}
inline D16 splat16(double x) {
  return {splat_double(x), splat_double(x)};
}
inline D16 operator+(D16 a, D16 b) {
  return {a.low + b.low, a.high + b.high};
}
inline D16 operator-(D16 a, D16 b) {
  return {a.low - b.low, a.high - b.high};
}
inline D16 operator*(D16 a, D16 b) {
  return {a.low * b.low, a.high * b.high};
}
inline D16 max(D16 a, D16 b) {
  return {max(a.low, b.low), max(a.high, b.high)};
}

constexpr float huge = __builtin_inff();
constexpr int bin_shift = 15;

/// Two values per load: loads are what counting is short of.
inline void count_16(const float* p, std::uint32_t* counters) {
  for (int i = 0; i < 16; i += 2) {
    std::uint64_t two;
    __builtin_memcpy(&two, p + i, sizeof two);
    ++counters[static_cast<std::uint32_t>(two) >> bin_shift];
    ++counters[two >> (32 + bin_shift)];
  }
}

inline void count_few(const float* p, std::size_t n, std::uint32_t* counters) {
  for (std::size_t i = 0; i < n; ++i) {
    std::uint32_t bits;
    __builtin_memcpy(&bits, p + i, sizeof bits);
    ++counters[bits >> bin_shift];
  }
}

/// Set in the last n lanes.
inline Mask16 last_lanes(int n) {
  alignas(64) float lane[16];
  for (int i = 0; i < 16; ++i) lane[i] = static_cast<float>(i);
  return less(splat(15.5f - static_cast<float>(n)), load(lane));
}

/// What the channels of one strip share.
struct Strip {
  double count, rows;
  float pivot;
  std::uint32_t* counters;
};

/// Adds 16 columns (or the first n). A channel's sums are taken about its running mean rounded to float,
/// which makes the deviations exact for most values, and folded by the pairwise update of Chan, Golub and
/// LeVeque (1979).
template <bool whole>
inline void add_strip(TileValues tile, int n, const Strip& strip, ChannelArrays channels, RowRun* runs,
                      D16& sum1, D16& sum2, D16& sum3, D16& sum4) {
  const D16 mean = load16(channels.mean);
  const D16 center = widen_all(narrow(mean.low, mean.high));
  const D16 pivot = splat16(strip.pivot);
  D16 s1 = splat16(0), s2 = splat16(0), s3 = sum3, s4 = sum4;
  F16 lowest = splat(huge), highest = splat(-huge);
  std::size_t r = 0;
  for (RowRun* run = runs; r < tile.rows; ++run) {
    F16 run_min = splat(huge), run_max = splat(-huge);
    for (; r < run->end; ++r) {
      const float* p = tile.data + r * tile.stride;
      const F16 v = whole ? load(p) : load_first(p, n, strip.pivot);
      __builtin_prefetch(p + 16);  // the next strip: rows lie too far apart for the hardware to foresee
      const D16 x = widen_all(v);
      const D16 from_mean = x - center;
      s1 = s1 + from_mean;
      s2 = s2 + from_mean * from_mean;
      const D16 from_pivot = x - pivot;
      const D16 square = from_pivot * from_pivot;
      s3 = s3 + square * from_pivot;
      s4 = s4 + square * square;
      run_min = min(run_min, v);
      run_max = max(run_max, v);
      if (whole) {
        count_16(p, strip.counters);
      } else {
        count_few(p, static_cast<std::size_t>(n), strip.counters);
      }
    }
    store_first(run->min, min(load(run->min), run_min), n);
    store_first(run->max, max(load(run->max), run_max), n);
    lowest = min(lowest, run_min);
    highest = max(highest, run_max);
  }
  sum3 = s3;
  sum4 = s4;

  const D16 rows = splat16(strip.rows);
  const D16 shift = center - pivot;
  sum1 = sum1 + (s1 + shift * rows);
  sum2 = sum2 + (s2 + shift * (s1 + s1 + shift * rows));

  const double total = strip.count + strip.rows;
  const D16 from_center = s1 * splat16(1.0 / strip.rows);
  const D16 delta = (center - mean) + from_center;
  const D16 inside = max(s2 - s1 * from_center, splat16(0));
  const D16 between = delta * delta * splat16(strip.count * (strip.rows / total));
  const D16 new_mean = mean + delta * splat16(strip.rows / total);
  const D16 new_m2 = load16(channels.m2) + (inside + between);
  store16(channels.mean, new_mean);
  store16(channels.m2, new_m2);
  store16(channels.energy, new_m2 + new_mean * new_mean * splat16(total));
  // Adding +0 turns -0 into +0: which zero is met first must not show.
  store(channels.min, min(load(channels.min), lowest) + splat(0.0f));
  store(channels.max, max(load(channels.max), highest) + splat(0.0f));
}

/// The last columns, fewer than 16: through copies that are padded with a channel of constant value `pivot`.
void add_last_strip(TileValues tile, int n, const Strip& strip, ChannelArrays channels, RowRun* runs,
                    D16& sum1, D16& sum2, D16& sum3, D16& sum4) {
  double mean[16], m2[16] = {}, energy[16];
  float lowest[16] = {}, highest[16] = {};
  for (int i = 0; i < 16; ++i) {
    mean[i] = i < n ? channels.mean[i] : static_cast<double>(strip.pivot);
    if (i >= n) continue;
    m2[i] = channels.m2[i];
    lowest[i] = channels.min[i];
    highest[i] = channels.max[i];
  }
  add_strip<false>(tile, n, strip, {mean, m2, energy, lowest, highest}, runs, sum1, sum2, sum3, sum4);
  for (int i = 0; i < n; ++i) {
    channels.mean[i] = mean[i];
    channels.m2[i] = m2[i];
    channels.energy[i] = energy[i];
    channels.min[i] = lowest[i];
    channels.max[i] = highest[i];
  }
}

void add_channels(TileValues tile, double count, ChannelArrays channels, RowRun* runs, float pivot,
                  std::uint32_t* counters, PowerSums& sums) {
  const Strip strip{count, static_cast<double>(tile.rows), pivot, counters};
  D16 sum1 = splat16(0), sum2 = sum1, sum3 = sum1, sum4 = sum1;
  std::size_t c = 0;
  for (; c < tile.cols; c += 16) {
    const TileValues columns{tile.data + c, tile.rows, 16, tile.stride};
    const ChannelArrays at{channels.mean + c, channels.m2 + c, channels.energy + c, channels.min + c,
                           channels.max + c};
    if (c + 16 <= tile.cols) {
      add_strip<true>(columns, 16, strip, at, runs, sum1, sum2, sum3, sum4);
    } else {
      add_last_strip(columns, static_cast<int>(tile.cols - c), strip, at, runs, sum1, sum2, sum3, sum4);
    }
  }
  store16(sums[0], sum1);
  store16(sums[1], sum2);
  store16(sums[2], sum3);
  store16(sums[3], sum4);
}

void add_values(TileValues tile, RowRun& range, float pivot, std::uint32_t* counters, PowerSums& sums) {
  const D16 center = splat16(pivot);
  D16 s1 = splat16(0), s2 = s1, s3 = s1, s4 = s1;
  F16 lowest = load(range.min), highest = load(range.max);
  const auto accumulate = [&](F16 v) {
    const D16 d = widen_all(v) - center;
    const D16 square = d * d;
    s1 = s1 + d;
    s2 = s2 + square;
    s3 = s3 + square * d;
    s4 = s4 + square * square;
  };
  const auto widen_range = [&](F16 v) {
    lowest = min(lowest, v);
    highest = max(highest, v);
  };
  const std::size_t whole = tile.cols / 16 * 16;
  const int rest = static_cast<int>(tile.cols - whole);
  const Mask16 in_rest = last_lanes(rest);
  for (std::size_t r = 0; r < tile.rows; ++r) {
    const float* row = tile.data + r * tile.stride;
    for (std::size_t c = 0; c < whole; c += 16) {
      const F16 v = load(row + c);
      accumulate(v);
      widen_range(v);
      count_16(row + c, counters);
    }
    if (rest == 0) continue;
    if (whole > 0) {
      // The row's last 16 values; those that have had their turn become the pivot and add nothing to the
      // sums.
      const F16 v = load(row + tile.cols - 16);
      accumulate(select(in_rest, v, splat(pivot)));
      widen_range(v);
    } else {
      accumulate(load_first(row, rest, pivot));
      widen_range(load_first(row, rest, row[0]));
    }
    count_few(row + whole, static_cast<std::size_t>(rest), counters);
  }
  store(range.min, lowest);
  store(range.max, highest);
  store16(sums[0], s1);
  store16(sums[1], s2);
  store16(sums[2], s3);
  store16(sums[3], s4);
}

void count(TileValues tile, std::uint32_t* counters) {
  for (std::size_t r = 0; r < tile.rows; ++r) {
    const float* row = tile.data + r * tile.stride;
    std::size_t c = 0;
    for (; c + 16 <= tile.cols; c += 16) count_16(row + c, counters);
    count_few(row + c, tile.cols - c, counters);
  }
}

}  // namespace

extern const StatisticsKernels statistics_kernels;
const StatisticsKernels statistics_kernels = {add_channels, add_values, count};

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
