// See stats/kernels.h; included once per instruction set.
#include "stats/eight_lanes.h"
#include "stats/kernels.h"

namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE {

namespace {

constexpr float huge = __builtin_inff();
constexpr int bin_shift = 15;

/// Columns are taken in strips of one or two times eight, as many as have room in the registers: sums that go
/// through memory are slower, and beside counting take the stores that it lives on. The width changes no bit:
/// column c goes through lane c mod 8 either way, and columns are folded in ascending order.
///
/// Sums and counts of one loop overlap well, but with AVX2 the core lowers its clock for that loop (by a
/// tenth on a Sapphire Rapids), which slows down the products around it; it does so for neither alone: see
/// bench/README.md. There the counting of a strip follows its sums. AVX-512's products have lowered the clock
/// already.
#if defined(__AVX512F__)
constexpr int parts = 2;
constexpr bool count_beside_sums = true;
#else
constexpr int parts = 1;
constexpr bool count_beside_sums = false;
#endif
constexpr int strip_width = 8 * parts;

/// Two values per load: loads are what counting is short of.
inline void count_8(const float* p, std::uint32_t* counters) {
  for (int i = 0; i < 8; i += 2) {
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

void count(TileValues tile, std::uint32_t* counters) {
  for (std::size_t r = 0; r < tile.rows; ++r) {
    const float* row = tile.data + r * tile.stride;
    std::size_t c = 0;
    for (; c + 8 <= tile.cols; c += 8) count_8(row + c, counters);
    count_few(row + c, tile.cols - c, counters);
  }
}

/// Sums of the first four powers of deviations, lane by lane.
struct Powers {
  D8 s1 = splat_double(0), s2 = s1, s3 = s1, s4 = s1;

  void add(D8 deviation) {
    const D8 square = deviation * deviation;
    s1 = s1 + deviation;
    s2 = s2 + square;
    s3 = fma(square, deviation, s3);
    s4 = fma(square, square, s4);
  }
  /// Adds the sums of n values whose deviations from here are those in `p` + shift.
  void add_shifted(const Powers& p, D8 shift, D8 n) {
    const D8 three = splat_double(3), four = splat_double(4), six = splat_double(6);
    const D8 all = shift * n;
    s1 = s1 + (p.s1 + all);
    s2 = s2 + (p.s2 + shift * (p.s1 + p.s1 + all));
    s3 = s3 + (p.s3 + shift * (three * p.s2 + shift * (three * p.s1 + all)));
    s4 = s4 + (p.s4 + shift * (four * p.s3 + shift * (six * p.s2 + shift * (four * p.s1 + all))));
  }
  void store_to(PowerSums& sums) const {
    store(sums[0], s1);
    store(sums[1], s2);
    store(sums[2], s3);
    store(sums[3], s4);
  }
};

struct Range {
  F8 low = splat_float(huge), high = splat_float(-huge);

  void widen_by(F8 v) {
    low = min(low, v);
    high = max(high, v);
  }
  /// Adding +0 turns -0 into +0: which zero is met first must not show.
  void widen_in(float* lows, float* highs) const {
    store(lows, min(load_float(lows), low) + splat_float(0));
    store(highs, max(load_float(highs), high) + splat_float(0));
  }
};

/// What the strips of a tile share.
struct Shared {
  double count, rows;
  float pivot;
  std::uint32_t* counters;
  Powers sums;  ///< of all columns, about the pivot
};

/// Folds what was summed about `center` into eight channels of running mean `mean`, by the pairwise update of
/// Chan, Golub and LeVeque (1979).
inline void fold(const Powers& powers, D8 mean, D8 center, ChannelArrays channels, Shared& shared) {
  const D8 rows = splat_double(shared.rows);
  shared.sums.add_shifted(powers, center - splat_double(shared.pivot), rows);

  const double total = shared.count + shared.rows;
  const D8 from_center = powers.s1 * splat_double(1.0 / shared.rows);
  const D8 delta = (center - mean) + from_center;
  const D8 inside = max(powers.s2 - powers.s1 * from_center, splat_double(0));
  const D8 between = delta * delta * splat_double(shared.count * (shared.rows / total));
  store(channels.mean, mean + delta * splat_double(shared.rows / total));
  store(channels.m2, load_double(channels.m2) + (inside + between));
}

ChannelArrays from_channel(ChannelArrays channels, std::size_t c) {
  return {channels.mean + c, channels.m2 + c, channels.min + c, channels.max + c};
}

/// A row's last n values, padded: with the pivot, which adds nothing to sums about it, and with one of the
/// values, which widens no range.
struct Padded {
  alignas(64) float for_sums[strip_width], for_ranges[strip_width];
  Padded(const float* values, int n, float pivot) {
    for (int i = 0; i < strip_width; ++i) {
      for_sums[i] = i < n ? values[i] : pivot;
      for_ranges[i] = values[i < n ? i : 0];
    }
  }
};

/// Adds the columns of one strip (or, if not `whole`, the first n). A channel's sums are taken about its
/// running mean rounded to float, which makes the deviations exact for most values.
template <bool whole>
inline void add_strip(TileValues tile, int n, ChannelArrays channels, RowRun* runs, Shared& shared) {
  D8 mean[parts], center[parts];
  Powers powers[parts];
  Range ranges[parts];
  for (int i = 0; i < parts; ++i) {
    mean[i] = load_double(channels.mean + 8 * i);
    center[i] = widen(narrow(mean[i]));
  }
  std::size_t r = 0;
  for (RowRun* run = runs; r < tile.rows; ++run) {
    Range of_run[parts];
    for (; r < run->end; ++r) {
      const float* p = tile.data + r * tile.stride;
      __builtin_prefetch(p + 16);  // what comes next: rows lie too far apart for the hardware to foresee
      if constexpr (whole) {
        for (int i = 0; i < parts; ++i) {
          const F8 v = load_float(p + 8 * i);
          of_run[i].widen_by(v);
          powers[i].add(widen(v) - center[i]);
          if (count_beside_sums) count_8(p + 8 * i, shared.counters);
        }
      } else {
        const Padded padded(p, n, shared.pivot);
        for (int i = 0; i < parts; ++i) {
          of_run[i].widen_by(load_float(padded.for_ranges + 8 * i));
          powers[i].add(widen(load_float(padded.for_sums + 8 * i)) - center[i]);
        }
        if (count_beside_sums) count_few(p, static_cast<std::size_t>(n), shared.counters);
      }
    }
    for (int i = 0; i < parts; ++i) {
      of_run[i].widen_in(run->min, run->max);
      ranges[i].low = min(ranges[i].low, of_run[i].low);
      ranges[i].high = max(ranges[i].high, of_run[i].high);
    }
  }
  if (!count_beside_sums)
    count({tile.data, tile.rows, static_cast<std::size_t>(n), tile.stride}, shared.counters);
  for (int i = 0; i < parts; ++i) {
    const ChannelArrays eight = from_channel(channels, 8 * i);
    ranges[i].widen_in(eight.min, eight.max);
    fold(powers[i], mean[i], center[i], eight, shared);
  }
}

/// The last columns, fewer than a strip: with channels of constant value `pivot` beside them.
void add_last_strip(TileValues tile, int n, ChannelArrays channels, RowRun* runs, Shared& shared) {
  double mean[strip_width], m2[strip_width] = {};
  float lowest[strip_width] = {}, highest[strip_width] = {};
  for (int i = 0; i < strip_width; ++i) {
    mean[i] = i < n ? channels.mean[i] : static_cast<double>(shared.pivot);
    if (i >= n) continue;
    m2[i] = channels.m2[i];
    lowest[i] = channels.min[i];
    highest[i] = channels.max[i];
  }
  add_strip<false>(tile, n, {mean, m2, lowest, highest}, runs, shared);
  for (int i = 0; i < n; ++i) {
    channels.mean[i] = mean[i];
    channels.m2[i] = m2[i];
    channels.min[i] = lowest[i];
    channels.max[i] = highest[i];
  }
}

void add_channels(TileValues tile, double count, ChannelArrays channels, RowRun* runs, float pivot,
                  std::uint32_t* counters, PowerSums& sums) {
  Shared shared{count, static_cast<double>(tile.rows), pivot, counters, {}};
  std::size_t c = 0;
  const auto columns = [&] { return TileValues{tile.data + c, tile.rows, strip_width, tile.stride}; };
  for (; c + strip_width <= tile.cols; c += strip_width) {
    add_strip<true>(columns(), strip_width, from_channel(channels, c), runs, shared);
  }
  if (c < tile.cols) {
    add_last_strip(columns(), static_cast<int>(tile.cols - c), from_channel(channels, c), runs, shared);
  }
  shared.sums.store_to(sums);
}

void add_values(TileValues tile, RowRun& range, float pivot, std::uint32_t* counters, PowerSums& sums) {
  const D8 center = splat_double(pivot);
  Powers powers;
  Range of_all;
  for (std::size_t r = 0; r < tile.rows; ++r) {
    const float* row = tile.data + r * tile.stride;
    std::size_t c = 0;
    for (; c + 8 <= tile.cols; c += 8) {
      const F8 v = load_float(row + c);
      of_all.widen_by(v);
      powers.add(widen(v) - center);
      count_8(row + c, counters);
    }
    if (c == tile.cols) continue;
    const Padded padded(row + c, static_cast<int>(tile.cols - c), pivot);
    of_all.widen_by(load_float(padded.for_ranges));
    powers.add(widen(load_float(padded.for_sums)) - center);
    count_few(row + c, tile.cols - c, counters);
  }
  of_all.widen_in(range.min, range.max);
  powers.store_to(sums);
}

}  // namespace

extern const StatisticsKernels statistics_kernels;
const StatisticsKernels statistics_kernels = {add_channels, add_values, count};

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
