#pragma once

#include <cstddef>

namespace outlierlab {

/// The kernels of a forward pass in double precision, for what faster ways to compute a network are compared
/// with: the mathematical functions to a few units in the last place, sums of a few thousand to less than
/// 1e-12 of their terms. On every instruction set they give the same bits.

/// c[r, j] = sum_k a[r, k] * b[k, j] + bias[j] for r < rows, j < cols, in the order of k. `packed` holds b in
/// the panels of ModelKernels::gemm, padded with any finite value; see pack_doubles(). `bias` may be null.
using DoubleGemm = void (*)(const double* a, std::size_t lda, std::size_t rows, std::size_t depth,
                            const double* packed, std::size_t cols, const double* bias, double* c,
                            std::size_t ldc);

/// The product for this CPU.
DoubleGemm double_gemm();

namespace portable {
extern const DoubleGemm double_gemm;
}
namespace avx2 {
extern const DoubleGemm double_gemm;
}
namespace avx512 {
extern const DoubleGemm double_gemm;
}

/// Packs b [depth, cols], whose element (k, j) is b[k * row_stride + j * col_stride].
void pack_doubles(const double* b, std::size_t row_stride, std::size_t col_stride, std::size_t cols,
                  std::size_t depth, double* packed);

/// In place, as the functions of ModelKernels; rows lie without gaps.
void double_gelu(double* values, std::size_t count);
void double_softmax(double* values, std::size_t rows, std::size_t cols);
void double_tanh(double* values, std::size_t count);
void double_layer_norm(double* values, std::size_t rows, std::size_t cols, const double* gain,
                       const double* bias, double epsilon);

}  // namespace outlierlab
