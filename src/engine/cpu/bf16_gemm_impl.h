// The product of bf16_gemm.h with AVX512_BF16's instructions, for the files that include this.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "core/simd.h"

namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE {

constexpr std::size_t vector_rows = 14, vector_panels = 2, panel_cols = 16, step_bytes = 64;

/// Steps of two values; the depth is padded with zeros to a multiple of UNIT.
template <std::size_t UNIT>
inline std::size_t bf16_steps(std::size_t depth) {
  return (depth + UNIT - 1) / UNIT * (UNIT / 2);
}

/// As _mm512_dpbf16_ps, which GCC 12 surrounds with copies of the accumulator.
inline __m512 bf16_dot(__m512 sum, __m512i a, __m512i b) {
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  return sum;
}

template <int ROWS, int PANELS>
inline void bf16_tile(const std::uint16_t* a, std::size_t lda, const char* b, std::size_t steps,
                      std::size_t cols, const float* bias, float* c, std::size_t ldc) {
  __m512 sum[ROWS][PANELS];
#pragma GCC unroll 14
  for (int r = 0; r < ROWS; ++r) {
#pragma GCC unroll 2
    for (int p = 0; p < PANELS; ++p) sum[r][p] = _mm512_setzero_ps();
  }
  for (std::size_t s = 0; s < steps; ++s) {
    __m512i panel[PANELS];
#pragma GCC unroll 2
    for (int p = 0; p < PANELS; ++p) panel[p] = _mm512_loadu_si512(b + (p * steps + s) * step_bytes);
#pragma GCC unroll 14
    for (int r = 0; r < ROWS; ++r) {
      std::int32_t word;
      __builtin_memcpy(&word, a + r * lda + 2 * s, 4);
      const __m512i spread = _mm512_set1_epi32(word);
#pragma GCC unroll 2
      for (int p = 0; p < PANELS; ++p) sum[r][p] = bf16_dot(sum[r][p], spread, panel[p]);
    }
  }
#pragma GCC unroll 2
  for (int p = 0; p < PANELS; ++p) {
    const std::size_t j = p * panel_cols;
    const int kept = cols - j < panel_cols ? static_cast<int>(cols - j) : static_cast<int>(panel_cols);
    const F16 offset = bias ? load_first(bias + j, kept) : splat(0.0f);
#pragma GCC unroll 14
    for (int r = 0; r < ROWS; ++r) store_first(c + r * ldc + j, F16{sum[r][p]} + offset, kept);
  }
}

template <int PANELS, int ROWS>
inline void bf16_tile_of(std::size_t rows, const std::uint16_t* a, std::size_t lda, const char* b,
                         std::size_t steps, std::size_t cols, const float* bias, float* c, std::size_t ldc) {
  if (rows == ROWS) {
    bf16_tile<ROWS, PANELS>(a, lda, b, steps, cols, bias, c, ldc);
  } else if constexpr (ROWS > 1) {
    bf16_tile_of<PANELS, ROWS - 1>(rows, a, lda, b, steps, cols, bias, c, ldc);
  }
}

/// To bfloat16, to nearest even, in rows of 2 * steps values; what pads a row is 0.
inline void round_rows(const float* a, std::size_t lda, std::size_t rows, std::size_t depth,
                       std::size_t steps, std::uint16_t* out) {
  const std::size_t width = 2 * steps;
  for (std::size_t r = 0; r < rows; ++r) {
    std::uint16_t* to = out + r * width;
    std::size_t k = 0;
    for (; k + 16 <= depth; k += 16) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + k),
                          (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(a + r * lda + k)));
    }
    if (k < depth) {
      const F16 last = load_first(a + r * lda + k, static_cast<int>(depth - k));
      alignas(32) std::uint16_t rest[16];
      _mm256_store_si256(reinterpret_cast<__m256i*>(rest), (__m256i)_mm512_cvtneps_pbh(last.v));
      for (std::size_t i = 0; i < 16 && k + i < width; ++i) to[k + i] = rest[i];
      k += 16;
    }
    for (; k < width; ++k) to[k] = 0;
  }
}

template <std::size_t UNIT>
inline std::size_t bf16_packed_bytes(std::size_t depth, std::size_t cols) {
  return (cols + panel_cols - 1) / panel_cols * bf16_steps<UNIT>(depth) * step_bytes;
}

template <std::size_t UNIT>
inline std::size_t bf16_scratch_size(std::size_t rows, std::size_t depth) {
  return rows * 2 * bf16_steps<UNIT>(depth);
}

template <std::size_t UNIT>
inline void bf16_pack(const float* source, std::size_t stride, std::size_t cols, std::size_t depth,
                      void* packed) {
  const std::size_t steps = bf16_steps<UNIT>(depth);
  std::uint16_t* row = new std::uint16_t[2 * steps];
  char* bytes = static_cast<char*>(packed);
  __builtin_memset(bytes, 0, bf16_packed_bytes<UNIT>(depth, cols));
  for (std::size_t j = 0; j < cols; ++j) {
    round_rows(source + j * stride, stride, 1, depth, steps, row);
    for (std::size_t s = 0; s < steps; ++s) {
      __builtin_memcpy(bytes + (j / panel_cols * steps + s) * step_bytes + j % panel_cols * 4, row + 2 * s,
                       4);
    }
  }
  delete[] row;
}

/// c = a * b + bias for rows of bfloat16 with the vector instructions.
inline void bf16_multiply_rows(const std::uint16_t* a, std::size_t rows, std::size_t steps, const char* b,
                               std::size_t cols, const float* bias, float* c, std::size_t ldc) {
  const std::size_t width = 2 * steps;
  for (std::size_t j = 0; j < cols; j += vector_panels * panel_cols) {
    const char* panels = b + j / panel_cols * steps * step_bytes;
    const float* offset = bias ? bias + j : nullptr;
    for (std::size_t r = 0; r < rows; r += vector_rows) {
      const std::size_t here = rows - r < vector_rows ? rows - r : vector_rows;
      if (cols - j > panel_cols) {
        bf16_tile_of<vector_panels, vector_rows>(here, a + r * width, width, panels, steps, cols - j, offset,
                                                 c + r * ldc + j, ldc);
      } else {
        bf16_tile_of<1, vector_rows>(here, a + r * width, width, panels, steps, cols - j, offset,
                                     c + r * ldc + j, ldc);
      }
    }
  }
}

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
