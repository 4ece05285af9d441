#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/format_kind.h"

namespace outlierlab::engine {

/// A SiteFormat as the row kernels read it. A code is round(clamp(v, low, high) * (inverse +
/// rest)) + offset, never negative: symmetric codes are shifted up by 2^(bits - 1). Pointers are into vectors
/// that outlive it.
struct RowFormat {
  FormatKind kind = FormatKind::real;
  int bits = 32;
  bool symmetric = false;
  float inverse = 0, rest = 0, scale = 0, low = 0, high = 0, offset = 0;  ///< tensor
  float outlier_threshold = __builtin_huge_valf();  ///< rows: values above it stay in float
  /// columns; [channels] rounded up to 16; a kept (float) channel has scale < 0.
  const float *col_inverse = nullptr, *col_rest = nullptr, *col_scale = nullptr, *col_low = nullptr,
              *col_high = nullptr, *col_offset = nullptr;

  /// tensor: what a stored code stands for.
  float value(std::uint8_t code) const { return scale * (static_cast<float>(code) - offset); }
  /// tensor: the grid's steps in 1, 0 if its width is 0, and its bounds in steps.
  [[gnu::always_inline]] double steps_per_unit() const {
    return scale > 0 ? 1 / static_cast<double>(scale) : 0;
  }
  [[gnu::always_inline]] float low_steps() const { return (symmetric ? 1.0f : 0.0f) - offset; }
  [[gnu::always_inline]] float high_steps() const { return static_cast<float>((1 << bits) - 1) - offset; }
};

/// Where encode() puts codes: row r at low + r * stride; codes of more than 8 bits are split into low and
/// high bytes.
struct CodeRows {
  std::uint8_t* low = nullptr;
  std::uint8_t* high = nullptr;
  std::size_t stride = 0;
  float* scale = nullptr;        ///< [rows], for format rows: value = scale * (code - zero)
  std::int32_t* zero = nullptr;  ///< [rows], for format rows
  /// For format rows: bit c % 16 of word c / 16 tells that the value of column c stays in float. Row r begins
  /// at r * outlier_words(cols).
  std::uint16_t* outliers = nullptr;
};

inline std::size_t outlier_words(std::size_t cols) {
  return (cols + 15) / 16;
}

/// steps <- round(sum / sum's scale) of sum = product + residual, which is in `values` afterwards; then the
/// LayerNorm of the steps on its own grid: dequantized to `out`, and as codes. The steps are whole numbers,
/// so that mean and variance of a row are exact, and nothing is rounded to float32 before the codes are.
struct StaticNorm {
  /// Of product: tensor or real; of the two others: tensor, the norm's of at most 8 bits.
  const RowFormat *product_site = nullptr, *sum_site = nullptr, *norm_site = nullptr;
  float* values = nullptr;                       ///< [rows, cols] the product in float, replaced by the steps
  const std::uint8_t* product = nullptr;         ///< [rows, cols] its codes; null: it is in `values`
  const float* residual = nullptr;               ///< [rows, cols]; null: none
  const float *gain = nullptr, *bias = nullptr;  ///< [cols]
  float epsilon = 0;
  float* out = nullptr;           ///< [rows, cols]
  std::uint8_t* codes = nullptr;  ///< [rows, stride]
  std::size_t stride = 0;

  /// Whether the grids are such, and the sums of a row's steps and of their squares exact.
  static bool fits(const RowFormat& product, const RowFormat& sum, const RowFormat& norm, std::size_t cols) {
    return (product.kind == FormatKind::tensor || product.kind == FormatKind::real) &&
           sum.kind == FormatKind::tensor && sum.bits <= 8 && norm.kind == FormatKind::tensor &&
           norm.bits <= 8 && cols % 16 == 0 && cols <= 4096;
  }
};

/// Kernels over rows of values, one set per instruction set, all with the same bits. Rows are readable and
/// writable up to the next multiple of 16 columns only where `stride` allows; what lies beyond `cols` is not
/// touched.
struct RowKernels {
  /// Replaces values by what their codes stand for.
  void (*round_trip)(const RowFormat& format, float* values, std::size_t rows, std::size_t cols,
                     std::size_t stride);
  /// As round_trip, and writes the codes. Kept channels get code 0, outliers that of 0.
  void (*encode)(const RowFormat& format, float* values, std::size_t rows, std::size_t cols,
                 std::size_t stride, const CodeRows& codes);
  /// values <- site1(values); values <- site2(values + residual); out <- LayerNorm(values). Rows of `cols`,
  /// no gaps. `residual` may be null.
  void (*residual_norm)(const RowFormat& site1, const RowFormat& site2, float* values, const float* residual,
                        float* out, std::size_t rows, std::size_t cols, const float* gain, const float* bias,
                        float epsilon);
  /// A LayerNorm between static grids of integers, in double precision where it matters; see StaticNorm.
  void (*static_norm)(const StaticNorm& norm, std::size_t rows, std::size_t cols);
  /// scores <- site(scores); softmax of each row, in place; then the codes of the probabilities on one grid.
  void (*softmax_codes)(const RowFormat& scores_site, const RowFormat& probs_site, float* scores,
                        std::size_t rows, std::size_t cols, std::size_t stride, std::uint8_t* codes,
                        std::size_t code_stride);
  /// out[j] += (value * scale[j]) * (codes[j] - 128): an input of a linear layer that stayed in float, times
  /// its column of the weight. `scale` is readable up to the next multiple of 16.
  void (*add_column)(float* out, const std::uint8_t* codes, const float* scale, float value,
                     std::size_t count);
  /// GELU as the fused products compute it.
  void (*gelu)(float* values, std::size_t count);
};

const RowKernels& row_kernels();

namespace portable {
extern const RowKernels row_kernels;
}
namespace avx2 {
extern const RowKernels row_kernels;
}
namespace avx512 {
extern const RowKernels row_kernels;
}

}  // namespace outlierlab::engine
