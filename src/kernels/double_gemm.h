#pragma once

#include <cstddef>

namespace outlierlab {

/// ModelKernels::gemm with its sums, scale and bias in double precision, rounded to float32 once: a sum of a
/// few thousand is off by less than 1e-12 of its terms. All instruction sets give the same bits, since a
/// product of two floats is exact in double and each sums in the order of k.
using DoubleGemm = void (*)(const float* a, std::size_t lda, std::size_t rows, std::size_t depth,
                            const float* packed, std::size_t cols, const float* bias, float scale, float* c,
                            std::size_t ldc);

namespace portable {
extern const DoubleGemm double_gemm;
}
namespace avx2 {
extern const DoubleGemm double_gemm;
}
namespace avx512 {
extern const DoubleGemm double_gemm;
}

}  // namespace outlierlab
