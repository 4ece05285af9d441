// The kernels of kernels/kernels.h, written once for all instruction sets (see core/simd.h).
#pragma once

#include "core/simd.h"
#include "kernels/kernels.h"

namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE {

// The product's register tile: rows x panels accumulators, chosen so that accumulators, one row of b and one
// broadcast fit into the 32 (AVX-512) or 16 (AVX2) vector registers.
#if defined(__AVX512F__)
constexpr int tile_rows = 14, tile_panels = 2;
#elif defined(__AVX2__)
constexpr int tile_rows = 6, tile_panels = 1;
#else
constexpr int tile_rows = 4, tile_panels = 1;
#endif

/// So many rows of a panel are asked for ahead of their use: a panel streams from the second-level cache.
constexpr int prefetch_rows = 16;

constexpr int width = static_cast<int>(panel_width);
static_assert(width == lanes, "a panel is one vector wide");

/// ROWS x PANELS tile of the product: its whole sum over k stays in registers.
template <int ROWS, int PANELS>
inline void gemm_tile(const float* a, std::size_t lda, std::size_t depth, const float* b, std::size_t cols,
                      const float* bias, float scale, float* c, std::size_t ldc) {
  F16 sum[ROWS][PANELS];
#pragma GCC unroll 14
  for (int r = 0; r < ROWS; ++r) {
#pragma GCC unroll 2
    for (int p = 0; p < PANELS; ++p) sum[r][p] = splat(0.0f);
  }
  for (std::size_t k = 0; k < depth; ++k) {
    F16 row[PANELS];
#pragma GCC unroll 2
    for (int p = 0; p < PANELS; ++p) {
      row[p] = load(b + p * depth * width + k * width);
      __builtin_prefetch(b + p * depth * width + (k + prefetch_rows) * width);
    }
#pragma GCC unroll 14
    for (int r = 0; r < ROWS; ++r) {
      const F16 value = splat(a[r * lda + k]);
#pragma GCC unroll 2
      for (int p = 0; p < PANELS; ++p) sum[r][p] = fma(value, row[p], sum[r][p]);
    }
  }
  const F16 factor = splat(scale);
#pragma GCC unroll 2
  for (int p = 0; p < PANELS; ++p) {
    const int here = static_cast<int>(cols) - p * width;
    const int kept = here < width ? here : width;
    const F16 offset = bias ? load_first(bias + p * width, kept) : splat(0.0f);
#pragma GCC unroll 14
    for (int r = 0; r < ROWS; ++r) {
      const F16 value = sum[r][p] * factor + offset;
      if (kept == width) {
        store(c + r * ldc + p * width, value);
      } else {
        store_first(c + r * ldc + p * width, value, kept);
      }
    }
  }
}

template <int PANELS, int ROWS>
inline void gemm_rows(std::size_t rows, const float* a, std::size_t lda, std::size_t depth, const float* b,
                      std::size_t cols, const float* bias, float scale, float* c, std::size_t ldc) {
  if (rows == ROWS) {
    gemm_tile<ROWS, PANELS>(a, lda, depth, b, cols, bias, scale, c, ldc);
  } else if constexpr (ROWS > 1) {
    gemm_rows<PANELS, ROWS - 1>(rows, a, lda, depth, b, cols, bias, scale, c, ldc);
  }
}

template <int PANELS>
inline void gemm_panels(const float* a, std::size_t lda, std::size_t rows, std::size_t depth, const float* b,
                        std::size_t cols, const float* bias, float scale, float* c, std::size_t ldc) {
  // As few tiles as there must be, and all about equally high: a tile of one or two rows takes nearly as long
  // as a full one.
  const std::size_t tiles = (rows + tile_rows - 1) / tile_rows;
  for (std::size_t r = 0, t = 0; t < tiles; ++t) {
    const std::size_t here = (rows - r + tiles - t - 1) / (tiles - t);
    gemm_rows<PANELS, tile_rows>(here, a + r * lda, lda, depth, b, cols, bias, scale, c + r * ldc, ldc);
    r += here;
  }
}

inline void gemm(const float* a, std::size_t lda, std::size_t rows, std::size_t depth, const float* packed,
                 std::size_t cols, const float* bias, float scale, float* c, std::size_t ldc) {
  constexpr std::size_t step = tile_panels * width;
  for (std::size_t j = 0; j < cols; j += step) {
    const float* b = packed + j * depth;
    const float* offset = bias ? bias + j : nullptr;
    const std::size_t left = cols - j;
    if (left > step - width) {
      gemm_panels<tile_panels>(a, lda, rows, depth, b, left < step ? left : step, offset, scale, c + j, ldc);
    } else {
      gemm_panels<1>(a, lda, rows, depth, b, left < width ? left : width, offset, scale, c + j, ldc);
    }
  }
}

/// e^x to about one unit in the last place: x = n ln 2 + r, polynomial of Cephes' expf (Moshier 1989) on r.
inline F16 exp(F16 x) {
  x = min(max(x, splat(-87.3f)), splat(88.3f));
  const F16 n = round_even(x * splat(1.44269504f));
  F16 r = fma(n, splat(-0.693359375f), x);
  r = fma(n, splat(2.12194440e-4f), r);
  F16 p = splat(1.9875691500e-4f);
  p = fma(p, r, splat(1.3981999507e-3f));
  p = fma(p, r, splat(8.3334519073e-3f));
  p = fma(p, r, splat(4.1665795894e-2f));
  p = fma(p, r, splat(1.6666665459e-1f));
  p = fma(p, r, splat(5.0000001201e-1f));
  p = fma(p, r * r, r) + splat(1.0f);
  return p * power_of_two(n);
}

/// Complementary error function of z >= 0 with relative error below 2e-7: e^(-z^2) t P(t), t = 1 / (1 + z/2),
/// with P a minimax fit of erfcx of degree 8.
inline F16 erfc_positive(F16 z) {
  z = min(z, splat(9.0f));
  const F16 t = splat(1.0f) / fma(z, splat(0.5f), splat(1.0f));
  F16 p = splat(-0.05864193443f);
  p = fma(p, t, splat(0.2824788948f));
  p = fma(p, t, splat(-0.482829639f));
  p = fma(p, t, splat(0.2730273238f));
  p = fma(p, t, splat(-0.02312141718f));
  p = fma(p, t, splat(0.2011879574f));
  p = fma(p, t, splat(0.2434874948f));
  p = fma(p, t, splat(0.2823217511f));
  p = fma(p, t, splat(0.2820895275f));
  return exp(splat(0.0f) - z * z) * (t * p);
}

inline F16 gelu(F16 v) {
  // v Phi(v): for v < 0 it is v/2 erfc(|v|/sqrt 2); for v > 0, v minus that of the mirrored value.
  const F16 half_tail = erfc_positive(abs(v) * splat(0.70710678f)) * splat(0.5f);
  const F16 share = select(less(v, splat(0.0f)), half_tail, splat(1.0f) - half_tail);
  return v * share;
}

/// |x| < 0.1 by its series, else 1 - 2 / (e^2|x| + 1) with the sign of x.
inline F16 tanh(F16 x) {
  const F16 magnitude = abs(x);
  const F16 large = splat(1.0f) - splat(2.0f) / (exp(magnitude + magnitude) + splat(1.0f));
  const F16 square = x * x;
  F16 p = fma(square, splat(-17.0f / 315.0f), splat(2.0f / 15.0f));
  p = fma(p, square, splat(-1.0f / 3.0f));
  const F16 small = fma(p * square, x, x);
  return select(less(magnitude, splat(0.1f)), small, copy_sign(large, x));
}

/// Applies f to `count` values in place.
template <typename Function>
inline void map(float* values, std::size_t count, Function f) {
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) store(values + i, f(load(values + i)));
  if (i < count)
    store_first(values + i, f(load_first(values + i, static_cast<int>(count - i))),
                static_cast<int>(count - i));
}

inline void gelu_values(float* values, std::size_t count) {
  map(values, count, [](F16 v) { return gelu(v); });
}

inline void tanh_values(float* values, std::size_t count) {
  map(values, count, [](F16 v) { return tanh(v); });
}

inline void softmax(float* values, std::size_t rows, std::size_t cols, std::size_t stride) {
  const float lowest = -__builtin_huge_valf();
  for (std::size_t r = 0; r < rows; ++r) {
    float* row = values + r * stride;
    const std::size_t whole = cols / lanes * lanes;
    const int rest = static_cast<int>(cols - whole);
    F16 largest = splat(lowest);
    for (std::size_t i = 0; i < whole; i += lanes) largest = max(load(row + i), largest);
    if (rest) largest = max(load_first(row + whole, rest, lowest), largest);
    const F16 top = splat(max_lanes(largest));
    F16 sum = splat(0.0f);
    for (std::size_t i = 0; i < whole; i += lanes) {
      const F16 e = exp(load(row + i) - top);
      store(row + i, e);
      sum = sum + e;
    }
    // The last values stay in a register: what a masked store has written is slow to load.
    const F16 last = rest ? first_lanes(exp(load_first(row + whole, rest) - top), rest) : splat(0.0f);
    sum = sum + last;
    const F16 total = splat(sum_lanes(sum));
    for (std::size_t i = 0; i < whole; i += lanes) store(row + i, load(row + i) / total);
    if (rest) store_exactly(row + whole, last / total, rest);
  }
}

inline void add(const float* a, const float* b, float* c, std::size_t count) {
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) store(c + i, load(a + i) + load(b + i));
  for (; i < count; ++i) c[i] = a[i] + b[i];
}

inline void layer_norm(const float* values, float* out, std::size_t rows, std::size_t cols, const float* gain,
                       const float* bias, float epsilon) {
  const std::size_t whole = cols / lanes * lanes;
  const int rest = static_cast<int>(cols - whole);
  for (std::size_t r = 0; r < rows; ++r) {
    const float* row = values + r * cols;
    float* target = out + r * cols;
    F16 sum = splat(0.0f);
    for (std::size_t i = 0; i < whole; i += lanes) sum = sum + load(row + i);
    if (rest) sum = sum + load_first(row + whole, rest);
    const float mean = sum_lanes(sum) / static_cast<float>(cols);
    const F16 center = splat(mean);
    F16 squares = splat(0.0f);
    for (std::size_t i = 0; i < whole; i += lanes) {
      const F16 d = load(row + i) - center;
      squares = fma(d, d, squares);
    }
    if (rest) {
      const F16 d = load_first(row + whole, rest, mean) - center;
      squares = fma(d, d, squares);
    }
    const float variance = sum_lanes(squares) / static_cast<float>(cols);
    const F16 scale = splat(1.0f / __builtin_sqrtf(variance + epsilon));
    for (std::size_t i = 0; i < whole; i += lanes) {
      store(target + i, fma((load(row + i) - center) * scale, load(gain + i), load(bias + i)));
    }
    if (rest) {
      const F16 d = (load_first(row + whole, rest) - center) * scale;
      store_first(target + whole, fma(d, load_first(gain + whole, rest), load_first(bias + whole, rest)),
                  rest);
    }
  }
}

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
