#pragma once

#include <cstddef>

#include "quant/grid.h"

namespace outlierlab {

/// Fused quantize-dequantize kernels. Each maps src to dst (which may be the same buffer) over `rows` rows of `cols`
/// values, and returns false if a NaN or an Inf was among them. The vector version is chosen at run time (AVX-512, AVX2,
/// portable); all give the bits of Grid::round_trip.
bool fake_quantize_tensor(const float* src, float* dst, std::size_t rows, std::size_t cols, std::size_t stride,
                          const Grid& grid);

/// One grid per column; `scale`, `zero`, and the common [qmin, qmax]. A column with scale < 0 is copied unchanged
/// (mixed precision by channel).
bool fake_quantize_columns(const float* src, float* dst, std::size_t rows, std::size_t cols, std::size_t stride,
                           const float* scale, const float* zero, float qmin, float qmax);

/// One grid per row (block = cols) or per run of `block` columns, from its own range: affine, or symmetric.
bool fake_quantize_rows(const float* src, float* dst, std::size_t rows, std::size_t cols, std::size_t stride,
                        std::size_t block, int bits, bool symmetric);

}  // namespace outlierlab
