// The product of kernels/double_kernels.h, written once for all instruction sets.
#pragma once

#include "kernels/double_kernels.h"
#include "kernels/kernels.h"

namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE {

// Registers of doubles, and the tile of rows whose sums they hold beside one row of b.
#if defined(__AVX512F__)
constexpr int vector_doubles = 8, double_tile_rows = 10;
#elif defined(__AVX2__)
constexpr int vector_doubles = 4, double_tile_rows = 2;
#else
constexpr int vector_doubles = 2, double_tile_rows = 1;
#endif
constexpr int panel_vectors = static_cast<int>(panel_width) / vector_doubles;

typedef double Doubles __attribute__((vector_size(vector_doubles * sizeof(double))));

inline Doubles loaded(const double* p) {
  Doubles v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

/// ROWS rows by one panel.
template <int ROWS>
inline void double_tile(const double* a, std::size_t lda, std::size_t depth, const double* b,
                        std::size_t cols, const double* bias, double* c, std::size_t ldc) {
  Doubles sum[ROWS][panel_vectors];
#pragma GCC unroll 10
  for (int r = 0; r < ROWS; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < panel_vectors; ++p) sum[r][p] = Doubles{};
  }
  for (std::size_t k = 0; k < depth; ++k) {
    Doubles row[panel_vectors];
#pragma GCC unroll 8
    for (int p = 0; p < panel_vectors; ++p) row[p] = loaded(b + k * panel_width + p * vector_doubles);
#pragma GCC unroll 10
    for (int r = 0; r < ROWS; ++r) {
      const double value = a[r * lda + k];
#pragma GCC unroll 8
      for (int p = 0; p < panel_vectors; ++p) sum[r][p] += value * row[p];
    }
  }
  for (int r = 0; r < ROWS; ++r) {
    for (std::size_t j = 0; j < cols; ++j) {
      c[r * ldc + j] = sum[r][j / vector_doubles][j % vector_doubles] + (bias ? bias[j] : 0);
    }
  }
}

inline void double_product(const double* a, std::size_t lda, std::size_t rows, std::size_t depth,
                           const double* packed, std::size_t cols, const double* bias, double* c,
                           std::size_t ldc) {
  for (std::size_t j = 0; j < cols; j += panel_width) {
    const double* b = packed + j * depth;
    const std::size_t kept = cols - j < panel_width ? cols - j : panel_width;
    const double* offset = bias ? bias + j : nullptr;
    std::size_t r = 0;
    for (; r + double_tile_rows <= rows; r += double_tile_rows)
      double_tile<double_tile_rows>(a + r * lda, lda, depth, b, kept, offset, c + r * ldc + j, ldc);
    for (; r < rows; ++r) double_tile<1>(a + r * lda, lda, depth, b, kept, offset, c + r * ldc + j, ldc);
  }
}

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
