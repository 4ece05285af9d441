#pragma once

#include <cstddef>
#include <limits>
#include <vector>

#include "core/matrix.h"
#include "quant/grid.h"

namespace outlierlab {

/// Fused quantize-dequantize kernels. Each maps src to dst (which may be the same buffer) over `rows` rows of
/// `cols` values, row r starting at r * stride (stride >= cols) in both; what lies between the rows is
/// neither read nor written. Each returns false if a NaN or an Inf was among the values. The vector version
/// is chosen at run time (AVX-512, AVX2, portable); all give the bits of Grid::round_trip. They run on the
/// calling thread.
bool fake_quantize_tensor(const float* src, float* dst, std::size_t rows, std::size_t cols,
                          std::size_t stride, const Grid& grid);

/// One grid per column; `scale`, `zero`, and the common [qmin, qmax]. A column with scale < 0 is copied
/// unchanged (mixed precision by channel).
bool fake_quantize_columns(const float* src, float* dst, std::size_t rows, std::size_t cols,
                           std::size_t stride, const float* scale, const float* zero, float qmin, float qmax);

/// One grid per row (block = cols, or 0) or per run of `block` columns, from its own range: affine, or
/// symmetric. The last run of a row may be shorter. Values of a magnitude above `outlier_threshold` are
/// copied unchanged and leave the range.
bool fake_quantize_rows(const float* src, float* dst, std::size_t rows, std::size_t cols, std::size_t stride,
                        std::size_t block, int bits, bool symmetric,
                        float outlier_threshold = std::numeric_limits<float>::infinity());

/// Sum of (v - round_trip(v))^2 over `count` values; the same on every CPU.
double quantization_error(const float* values, std::size_t count, const Grid& grid);

/// A quantized copy, made by all threads. Error if the matrix holds a NaN or an Inf.
Matrix fake_quantize(const Matrix& values, const Grid& grid);
/// One grid per column, all of the same bits.
Matrix fake_quantize(const Matrix& values, const std::vector<Grid>& columns);

}  // namespace outlierlab
