#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define OUTLIERLAB_ISA_NAMESPACE bf16
#include "core/simd.h"
#include "engine/cpu/bf16_gemm.h"

namespace outlierlab::engine::bf16 {
using namespace outlierlab::bf16;

namespace {

constexpr std::size_t tile_rows = 14, tile_panels = 2, panel_cols = 16, step_bytes = 64;

std::size_t steps_of(std::size_t depth) {
  return (depth + 1) / 2;
}

/// As _mm512_dpbf16_ps, which GCC 12 surrounds with copies of the accumulator.
inline __m512 dot(__m512 sum, __m512i a, __m512i b) {
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  return sum;
}

template <int ROWS, int PANELS>
inline void tile(const std::uint16_t* a, std::size_t lda, const char* b, std::size_t steps, std::size_t cols,
                 const float* bias, float* c, std::size_t ldc) {
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
      for (int p = 0; p < PANELS; ++p) sum[r][p] = dot(sum[r][p], spread, panel[p]);
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
inline void tile_of(std::size_t rows, const std::uint16_t* a, std::size_t lda, const char* b,
                    std::size_t steps, std::size_t cols, const float* bias, float* c, std::size_t ldc) {
  if (rows == ROWS) {
    tile<ROWS, PANELS>(a, lda, b, steps, cols, bias, c, ldc);
  } else if constexpr (ROWS > 1) {
    tile_of<PANELS, ROWS - 1>(rows, a, lda, b, steps, cols, bias, c, ldc);
  }
}

/// To bfloat16, to nearest even; the place behind an odd row is 0.
void round_rows(const float* a, std::size_t lda, std::size_t rows, std::size_t depth, std::uint16_t* out) {
  const std::size_t width = 2 * steps_of(depth);
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
      for (std::size_t i = 0; k + i < width; ++i) to[k + i] = rest[i];
    }
  }
}

std::size_t packed_bytes(std::size_t depth, std::size_t cols) {
  return (cols + panel_cols - 1) / panel_cols * steps_of(depth) * step_bytes;
}

void pack(const float* source, std::size_t stride, std::size_t cols, std::size_t depth, void* packed) {
  const std::size_t steps = steps_of(depth);
  std::uint16_t* row = new std::uint16_t[2 * steps];
  char* bytes = static_cast<char*>(packed);
  __builtin_memset(bytes, 0, packed_bytes(depth, cols));
  for (std::size_t j = 0; j < cols; ++j) {
    round_rows(source + j * stride, stride, 1, depth, row);
    for (std::size_t s = 0; s < steps; ++s) {
      __builtin_memcpy(bytes + (j / panel_cols * steps + s) * step_bytes + j % panel_cols * 4, row + 2 * s,
                       4);
    }
  }
  delete[] row;
}

void multiply(const float* a, std::size_t lda, std::size_t rows, std::size_t depth, const void* packed,
              std::size_t cols, const float* bias, float* c, std::size_t ldc) {
  constexpr std::size_t chunk = 4 * tile_rows, capacity = chunk * 1024;
  const std::size_t steps = steps_of(depth), width = 2 * steps;
  std::uint16_t small[capacity];
  std::uint16_t* rounded = chunk * width > capacity ? new std::uint16_t[chunk * width] : small;
  for (std::size_t begin = 0; begin < rows; begin += chunk) {
    const std::size_t count = rows - begin < chunk ? rows - begin : chunk;
    round_rows(a + begin * lda, lda, count, depth, rounded);
    for (std::size_t j = 0; j < cols;) {
      const char* b = static_cast<const char*>(packed) + j / panel_cols * steps * step_bytes;
      const bool two = cols - j > panel_cols;
      for (std::size_t r = 0; r < count; r += tile_rows) {
        const std::size_t here = count - r < tile_rows ? count - r : tile_rows;
        float* to = c + (begin + r) * ldc + j;
        const float* offset = bias ? bias + j : nullptr;
        if (two) {
          tile_of<tile_panels, tile_rows>(here, rounded + r * width, width, b, steps, cols - j, offset, to,
                                          ldc);
        } else {
          tile_of<1, tile_rows>(here, rounded + r * width, width, b, steps, cols - j, offset, to, ldc);
        }
      }
      j += two ? 2 * panel_cols : panel_cols;
    }
  }
  if (rounded != small) delete[] rounded;
}

}  // namespace

const Bf16Kernels bf16_kernels = {"avx512-bf16", packed_bytes, pack, multiply};

}  // namespace outlierlab::engine::bf16
