#pragma once

#include <cstddef>

namespace outlierlab {

/// The float kernels of a forward pass, one set per instruction set, all with the same bits (see
/// core/simd.h).
struct ModelKernels {
  /// Rows that the matrix product computes at once; a tile height for whatever is fused around it.
  std::size_t row_tile;

  /// c[r, j] = scale * sum_k a[r, k] * b[k, j] + bias[j] for r < rows, j < cols. Each output is one chain of
  /// fused multiply-adds in the order of k, whatever `rows` is. `packed` holds b in panels of 16 columns
  /// (panel p at packed + p * depth * 16, element (k, j) at [k * 16 + j - 16 p]); the last panel is padded.
  /// `bias` may be null.
  void (*gemm)(const float* a, std::size_t lda, std::size_t rows, std::size_t depth, const float* packed,
               std::size_t cols, const float* bias, float scale, float* c, std::size_t ldc);

  /// GELU with the exact error function: v/2 (1 + erf(v / sqrt 2)); in place.
  void (*gelu)(float* values, std::size_t count);

  /// Row-wise softmax, in place.
  void (*softmax)(float* values, std::size_t rows, std::size_t cols, std::size_t stride);

  /// c = a + b, each of `count` values.
  void (*add)(const float* a, const float* b, float* c, std::size_t count);

  /// out = (v - mean) / sqrt(variance + epsilon) * gain + bias over each row of `cols` values.
  void (*layer_norm)(const float* values, float* out, std::size_t rows, std::size_t cols, const float* gain,
                     const float* bias, float epsilon);

  /// Hyperbolic tangent, in place.
  void (*tanh)(float* values, std::size_t count);
};

/// The set for this CPU.
const ModelKernels& model_kernels();

namespace portable {
extern const ModelKernels model_kernels;
}
namespace avx2 {
extern const ModelKernels model_kernels;
}
namespace avx512 {
extern const ModelKernels model_kernels;
}

constexpr std::size_t panel_width = 16;

/// Floats that `cols` columns of depth `depth` take when packed.
inline std::size_t packed_size(std::size_t cols, std::size_t depth) {
  return (cols + panel_width - 1) / panel_width * panel_width * depth;
}

/// Packs a row-major weight [cols, depth] (its transpose is b) for gemm.
void pack_transposed(const float* weight, std::size_t stride, std::size_t cols, std::size_t depth,
                     float* packed);

/// Packs a row-major b [depth, cols].
void pack_rows(const float* b, std::size_t stride, std::size_t cols, std::size_t depth, float* packed);

}  // namespace outlierlab
