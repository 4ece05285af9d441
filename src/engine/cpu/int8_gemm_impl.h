// The product of int8_gemm.h, written once. The file that includes this defines, in its namespace, what
// differs between instruction sets:
//
//   tile_rows, tile_panels   the register tile
//   depth_step               how many k one 32-bit word of a row holds: 4 bytes, or 2 int16
//   Sum                      16 int32 lanes;  zero_sum(), load_sum(p), store_sum(p, s), store_sum_first(p, s,
//   n) Panel                    one step of 16 columns of b;  load_panel(p) dot(sum, a, panel)       sum +=
//   the depth_step products of the broadcast word a with each column sum - splat(x) * y subtract_product(sum,
//   x, y) to_float(sum)            F16
//
// Sets without an instruction that multiplies unsigned by signed bytes exactly (AVX2's saturates) widen both
// to int16.
#pragma once

#include "core/simd.h"
#include "engine/cpu/gelu_impl.h"
#include "engine/cpu/int8_gemm.h"

namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE {

using engine::Finish;
using engine::Int8Product;

constexpr std::size_t panel_cols = 16, step_bytes = 64;

inline std::size_t steps_of(std::size_t depth) {
  return (depth + 3) / 4 * (4 / depth_step);
}

/// The operand a as the tile reads it: one 32-bit word per step.
struct Words {
  const char* first;
  std::size_t row_bytes;
};

template <Finish FINISH>
inline void finish_vector(const Int8Product& p, Sum sum, std::size_t r, std::size_t j, int kept,
                          const engine::GeluCoefficients* gelu) {
  const bool whole = kept == static_cast<int>(panel_cols);
  if constexpr (FINISH == Finish::sums) {
    std::int32_t* target = static_cast<std::int32_t*>(p.c) + r * p.ldc + j;
    if (whole) {
      store_sum(target, sum);
    } else {
      store_sum_first(target, sum, kept);
    }
    return;
  }
  sum = subtract_product(sum, p.row_zero[r], load_sum(p.col_sum + j));
  if (p.row_sum) sum = subtract_product(sum, p.row_sum[r], load_sum(p.col_zero + j));
  F16 v = to_float(sum) * (splat(p.row_scale[r]) * load(p.col_scale + j));
  if (p.bias) v = v + load(p.bias + j);
  if constexpr (FINISH == Finish::real || FINISH == Finish::accumulate) {
    float* target = static_cast<float*>(p.c) + r * p.ldc + j;
    if constexpr (FINISH == Finish::accumulate) v = v + (whole ? load(target) : load_first(target, kept));
    if (whole) {
      store(target, v);
    } else {
      store_first(target, v, kept);
    }
  } else {
    if constexpr (FINISH == Finish::gelu_codes) v = gelu_of(v, *gelu);
    v = round_even(min(max(v * splat(p.inverse), splat(p.low)), splat(p.high))) + splat(p.offset);
    unsigned char* target = static_cast<unsigned char*>(p.c) + r * p.ldc + j;
    if (whole) {
      store_bytes(target, v);
    } else {
      store_bytes_first(target, v, kept);
    }
  }
}

template <Finish FINISH, int ROWS, int PANELS>
inline void int8_tile(const Int8Product& p, Words a, const char* b, std::size_t steps, std::size_t r0,
                      std::size_t j0, const engine::GeluCoefficients* gelu) {
  Sum sum[ROWS][PANELS];
#pragma GCC unroll 14
  for (int r = 0; r < ROWS; ++r) {
#pragma GCC unroll 2
    for (int q = 0; q < PANELS; ++q) sum[r][q] = zero_sum();
  }
  const char* row = a.first + r0 * a.row_bytes;
  for (std::size_t s = 0; s < steps; ++s) {
    Panel panel[PANELS];
#pragma GCC unroll 2
    for (int q = 0; q < PANELS; ++q) panel[q] = load_panel(b + (q * steps + s) * step_bytes);
#pragma GCC unroll 14
    for (int r = 0; r < ROWS; ++r) {
      std::int32_t word;
      __builtin_memcpy(&word, row + r * a.row_bytes + s * 4, 4);
      const auto spread = broadcast(word);
#pragma GCC unroll 2
      for (int q = 0; q < PANELS; ++q) sum[r][q] = dot(sum[r][q], spread, panel[q]);
    }
  }
#pragma GCC unroll 2
  for (int q = 0; q < PANELS; ++q) {
    const std::size_t j = j0 + q * panel_cols;
    const int kept = p.cols - j < panel_cols ? static_cast<int>(p.cols - j) : static_cast<int>(panel_cols);
#pragma GCC unroll 14
    for (int r = 0; r < ROWS; ++r) finish_vector<FINISH>(p, sum[r][q], r0 + r, j, kept, gelu);
  }
}

template <Finish FINISH, int PANELS, int ROWS>
inline void int8_rows(std::size_t rows, const Int8Product& p, Words a, const char* b, std::size_t steps,
                      std::size_t r0, std::size_t j0, const engine::GeluCoefficients* gelu) {
  if (rows == ROWS) {
    int8_tile<FINISH, ROWS, PANELS>(p, a, b, steps, r0, j0, gelu);
  } else if constexpr (ROWS > 1) {
    int8_rows<FINISH, PANELS, ROWS - 1>(rows, p, a, b, steps, r0, j0, gelu);
  }
}

template <Finish FINISH>
inline void int8_multiply(const Int8Product& p, Words a, const engine::GeluCoefficients* gelu) {
  const std::size_t steps = steps_of(p.depth);
  const char* b = static_cast<const char*>(p.b);
  for (std::size_t j = 0; j < p.cols;) {
    const char* panels = b + j / panel_cols * steps * step_bytes;
    const bool two = tile_panels == 2 && p.cols - j > panel_cols;
    for (std::size_t r = 0; r < p.rows; r += tile_rows) {
      const std::size_t here = p.rows - r < tile_rows ? p.rows - r : tile_rows;
      if (two) {
        int8_rows<FINISH, tile_panels, tile_rows>(here, p, a, panels, steps, r, j, gelu);
      } else {
        int8_rows<FINISH, 1, tile_rows>(here, p, a, panels, steps, r, j, gelu);
      }
    }
    j += two ? 2 * panel_cols : panel_cols;
  }
}

inline void multiply_words(const Int8Product& p, Words a) {
  switch (p.finish) {
    case Finish::sums:
      return int8_multiply<Finish::sums>(p, a, nullptr);
    case Finish::real:
      return int8_multiply<Finish::real>(p, a, nullptr);
    case Finish::accumulate:
      return int8_multiply<Finish::accumulate>(p, a, nullptr);
    case Finish::codes:
      return int8_multiply<Finish::codes>(p, a, nullptr);
    case Finish::gelu_codes:
      return int8_multiply<Finish::gelu_codes>(p, a, &engine::gelu_coefficients());
  }
}

/// a widened to int16, in chunks of rows, so that the copy stays in the cache.
inline void multiply_widened(const Int8Product& p) {
  constexpr std::size_t chunk = 4 * tile_rows;
  const std::size_t depth = (p.depth + 3) / 4 * 4;
  constexpr std::size_t capacity = chunk * 1024;
  std::int16_t small[capacity];
  std::int16_t* wide = small;
  if (chunk * depth > capacity) wide = new std::int16_t[chunk * depth];
  for (std::size_t r = 0; r < p.rows; r += chunk) {
    Int8Product part = p;
    part.rows = p.rows - r < chunk ? p.rows - r : chunk;
    for (std::size_t i = 0; i < part.rows; ++i) {
      const std::uint8_t* from = p.a + (r + i) * p.lda;
      std::int16_t* to = wide + i * depth;
      for (std::size_t k = 0; k < depth; ++k) to[k] = from[k];
    }
    const std::size_t size =
        p.finish == Finish::sums || p.finish == Finish::real || p.finish == Finish::accumulate ? 4 : 1;
    part.c = static_cast<char*>(p.c) + r * p.ldc * size;
    part.row_scale = p.row_scale + r;
    part.row_zero = p.row_zero + r;
    if (p.row_sum) part.row_sum = p.row_sum + r;
    multiply_words(part, {reinterpret_cast<const char*>(wide), depth * 2});
  }
  if (wide != small) delete[] wide;
}

inline std::size_t int8_packed_bytes(std::size_t depth, std::size_t cols) {
  return (cols + panel_cols - 1) / panel_cols * steps_of(depth) * step_bytes;
}

/// An element of the packed b: a byte or an int16.
inline void put(char* step, std::size_t column, std::size_t k, int code) {
  if constexpr (depth_step == 4) {
    step[column * 4 + k % 4] = static_cast<char>(code);
  } else {
    const std::int16_t value = static_cast<std::int16_t>(code);
    __builtin_memcpy(step + column * 4 + k % 2 * 2, &value, 2);
  }
}

inline int code_of(std::int8_t stored, int flip) {
  return flip ? static_cast<int>(static_cast<std::uint8_t>(stored)) - flip : stored;
}

inline void int8_pack_transposed(const std::int8_t* source, std::size_t stride, std::size_t cols,
                                 std::size_t depth, int flip, void* packed) {
  const std::size_t steps = steps_of(depth);
  for (std::size_t j = 0; j < cols; j += panel_cols) {
    char* panel = static_cast<char*>(packed) + j / panel_cols * steps * step_bytes;
    const std::size_t here = cols - j < panel_cols ? cols - j : panel_cols;
    if (here < panel_cols || depth % 4) __builtin_memset(panel, 0, steps * step_bytes);
    for (std::size_t c = 0; c < here; ++c) {
      const std::int8_t* row = source + (j + c) * stride;
      std::size_t k = 0;
      if constexpr (depth_step == 4) {
        const std::uint32_t mask = flip ? 0x80808080u : 0u;
        for (; k + 4 <= depth; k += 4) {
          std::uint32_t word;
          __builtin_memcpy(&word, row + k, 4);
          word ^= mask;
          __builtin_memcpy(panel + k / 4 * step_bytes + c * 4, &word, 4);
        }
      }
      for (; k < depth; ++k) put(panel + k / depth_step * step_bytes, c, k, code_of(row[k], flip));
    }
  }
}

inline void int8_pack_rows(const std::int8_t* source, std::size_t stride, std::size_t cols, std::size_t depth,
                           int flip, void* packed) {
  const std::size_t steps = steps_of(depth);
  for (std::size_t j = 0; j < cols; j += panel_cols) {
    char* panel = static_cast<char*>(packed) + j / panel_cols * steps * step_bytes;
    const std::size_t here = cols - j < panel_cols ? cols - j : panel_cols;
    const bool whole = here == panel_cols;
    if (!whole || depth % 4) __builtin_memset(panel, 0, steps * step_bytes);
    std::size_t k = 0;
#if defined(__AVX2__)
    if constexpr (depth_step == 4) {
      const __m128i mask = _mm_set1_epi8(static_cast<char>(flip ? 0x80 : 0));
      for (; whole && k + 4 <= depth; k += 4) {
        const std::int8_t* from = source + k * stride + j;
        const auto row = [&](std::size_t i) {
          return _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * stride)), mask);
        };
        const __m128i a = _mm_unpacklo_epi8(row(0), row(1)), b = _mm_unpackhi_epi8(row(0), row(1));
        const __m128i c = _mm_unpacklo_epi8(row(2), row(3)), d = _mm_unpackhi_epi8(row(2), row(3));
        __m128i* to = reinterpret_cast<__m128i*>(panel + k / 4 * step_bytes);
        _mm_storeu_si128(to, _mm_unpacklo_epi16(a, c));
        _mm_storeu_si128(to + 1, _mm_unpackhi_epi16(a, c));
        _mm_storeu_si128(to + 2, _mm_unpacklo_epi16(b, d));
        _mm_storeu_si128(to + 3, _mm_unpackhi_epi16(b, d));
      }
    }
#endif
    for (; k < depth; ++k) {
      for (std::size_t c = 0; c < here; ++c)
        put(panel + k / depth_step * step_bytes, c, k, code_of(source[k * stride + j + c], flip));
    }
  }
}

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
