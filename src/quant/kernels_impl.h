// Fused quantize-dequantize loops, compiled once per instruction set (see core/simd.h).
//
// q - zero = clamp(round(v / scale), qmin - zero, qmax - zero) equals clamp(round(v / scale) + zero, qmin,
// qmax) - zero: the bounds are whole numbers below 2^17, exact in float. Clamping in float also catches
// quotients that overflow, and no conversion to integers is needed. The division is a true one, since v * (1
// / scale) rounds ties differently.
#include "core/simd.h"
#include "quant/kernel_versions.h"

namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE {

namespace {

// Stays 0 as long as all the values are finite: v - v is NaN for NaN and Inf.
struct FiniteCheck {
  F16 sum = splat(0.0f);
  void see(F16 v) { sum = sum + (v - v); }
  bool passed() const { return bits(less(sum, splat(1.0f))) == 0xffffu; }
};

struct Steps {
  F16 divisor, scale, lowest, highest;
};

inline Steps splat_steps(const GridSteps& g) {
  return {splat(g.divisor), splat(g.scale), splat(g.lowest), splat(g.highest)};
}

// Adding 0 turns -0 into the +0 that integer arithmetic gives. max comes first, so that NaN ends at qmin.
inline F16 round_trip(F16 v, const Steps& g) {
  const F16 steps = min(max(round_even(v / g.divisor), g.lowest), g.highest);
  return g.scale * steps + splat(0.0f);
}

inline void quantize_run(const float* src, float* dst, std::size_t count, const Steps& g,
                         FiniteCheck& check) {
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const F16 v = load(src + i);
    check.see(v);
    store(dst + i, round_trip(v, g));
  }
  if (i < count) {
    const int rest = static_cast<int>(count - i);
    const F16 v = load_first(src + i, rest);
    check.see(v);
    store_first(dst + i, round_trip(v, g), rest);
  }
}

bool quantize_tensor(const float* src, float* dst, std::size_t rows, std::size_t cols, std::size_t stride,
                     const GridSteps& grid) {
  if (cols == stride) {
    cols *= rows;
    rows = rows > 0 ? 1 : 0;
  }
  const Steps steps = splat_steps(grid);
  FiniteCheck check;
  for (std::size_t r = 0; r < rows; ++r) quantize_run(src + r * stride, dst + r * stride, cols, steps, check);
  return check.passed();
}

inline F16 round_trip_columns(F16 v, F16 scale, F16 zero, F16 qmin, F16 qmax) {
  const F16 none = splat(0.0f);
  const F16 divisor = select(less(none, scale), scale, splat(1.0f));
  const F16 quantized = round_trip(v, {divisor, scale, qmin - zero, qmax - zero});
  return select(less(scale, none), v, quantized);
}

bool quantize_columns(const float* src, float* dst, std::size_t rows, std::size_t cols, std::size_t stride,
                      const float* scale, const float* zero, float qmin, float qmax) {
  const F16 lo = splat(qmin), hi = splat(qmax);
  const std::size_t whole = cols / lanes * lanes;
  const int rest = static_cast<int>(cols - whole);
  FiniteCheck check;
  for (std::size_t r = 0; r < rows; ++r) {
    const float* in = src + r * stride;
    float* out = dst + r * stride;
    for (std::size_t c = 0; c < whole; c += lanes) {
      const F16 v = load(in + c);
      check.see(v);
      store(out + c, round_trip_columns(v, load(scale + c), load(zero + c), lo, hi));
    }
    if (rest > 0) {
      const F16 v = load_first(in + whole, rest);
      check.see(v);
      const F16 s = load_first(scale + whole, rest, 1.0f), z = load_first(zero + whole, rest);
      store_first(out + whole, round_trip_columns(v, s, z, lo, hi), rest);
    }
  }
  return check.passed();
}

// The values of a run, sixteen at a time.
template <typename Function>
inline void over_run(std::size_t count, Function f) {
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) f(i, lanes);
  if (i < count) f(i, static_cast<int>(count - i));
}

inline F16 load_some(const float* p, int kept) {
  return kept == lanes ? load(p) : load_first(p, kept);
}

// The range always takes in 0 (both grids do), so 0 can start it, fill the tail, and stand for outliers.
template <bool OUTLIERS>
inline GridSteps grid_of_values(const float* src, std::size_t count, int bit_count, bool symmetric,
                                F16 threshold) {
  F16 low = splat(0.0f), high = splat(0.0f);
  over_run(count, [&](std::size_t i, int kept) {
    F16 v = load_some(src + i, kept);
    if constexpr (OUTLIERS) v = select(less(threshold, abs(v)), splat(0.0f), v);
    low = min(v, low);
    high = max(v, high);
  });
  return grid_of_run(min_lanes(low), max_lanes(high), bit_count, symmetric);
}

inline void quantize_run_but_outliers(const float* src, float* dst, std::size_t count, const Steps& g,
                                      F16 threshold, FiniteCheck& check) {
  over_run(count, [&](std::size_t i, int kept) {
    const F16 v = load_some(src + i, kept);
    check.see(v);
    const F16 result = select(less(threshold, abs(v)), v, round_trip(v, g));
    if (kept == lanes) {
      store(dst + i, result);
    } else {
      store_first(dst + i, result, kept);
    }
  });
}

template <bool OUTLIERS>
inline bool quantize_runs(const float* src, float* dst, std::size_t rows, std::size_t cols,
                          std::size_t stride, std::size_t block, int bit_count, bool symmetric,
                          F16 threshold) {
  FiniteCheck check;
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < cols; c += block) {
      const std::size_t count = cols - c < block ? cols - c : block;
      const float* in = src + r * stride + c;
      float* out = dst + r * stride + c;
      const Steps steps = splat_steps(grid_of_values<OUTLIERS>(in, count, bit_count, symmetric, threshold));
      if constexpr (OUTLIERS) {
        quantize_run_but_outliers(in, out, count, steps, threshold, check);
      } else {
        quantize_run(in, out, count, steps, check);
      }
    }
  }
  return check.passed();
}

bool quantize_rows(const float* src, float* dst, std::size_t rows, std::size_t cols, std::size_t stride,
                   std::size_t block, int bit_count, bool symmetric, float outlier_threshold) {
  if (block == 0 || block > cols) block = cols;
  const auto runs = outlier_threshold < __builtin_huge_valf() ? quantize_runs<true> : quantize_runs<false>;
  return runs(src, dst, rows, cols, stride, block, bit_count, symmetric, splat(outlier_threshold));
}

// Lanes are added up in float over short runs only, then in double.
double squared_error(const float* values, std::size_t count, const GridSteps& grid) {
  constexpr std::size_t run = 64 * lanes;
  const Steps steps = splat_steps(grid);
  double total = 0;
  for (std::size_t begin = 0; begin < count; begin += run) {
    const std::size_t end = count - begin < run ? count : begin + run;
    F16 sum = splat(0.0f);
    for (std::size_t i = begin; i < end; i += lanes) {
      const F16 v = i + lanes <= end ? load(values + i) : load_first(values + i, static_cast<int>(end - i));
      const F16 error = v - round_trip(v, steps);
      sum = sum + error * error;
    }
    total += static_cast<double>(sum_lanes(sum));
  }
  return total;
}

}  // namespace

const QuantKernels quant_kernels = {quantize_tensor, quantize_columns, quantize_rows, squared_error};

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
