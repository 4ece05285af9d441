#include "quant/kernels.h"

#include <algorithm>
#include <atomic>
#include <string>

#include "core/error.h"
#include "core/isa.h"
#include "core/parallel.h"
#include "quant/kernel_versions.h"

namespace outlierlab {

namespace {
constexpr std::size_t values_per_chunk = 1 << 16;

const QuantKernels& kernels() {
  static const QuantKernels* const best =
      dispatch(&portable::quant_kernels, &avx2::quant_kernels, &avx512::quant_kernels);
  return *best;
}

GridSteps steps_of(const Grid& grid) {
  if (!(grid.scale > 0)) return {1.0f, 0.0f, 0.0f, 0.0f};
  return {grid.scale, grid.scale, static_cast<float>(grid.qmin - grid.zero),
          static_cast<float>(grid.qmax - grid.zero)};
}

template <typename QuantizeRows>
Matrix quantized_copy(const Matrix& values, const QuantizeRows& quantize_rows) {
  Matrix result(values.rows(), values.cols());
  const std::size_t chunk =
      std::max<std::size_t>(1, values_per_chunk / std::max<std::size_t>(1, values.cols()));
  std::atomic<bool> finite{true};
  parallel_chunks(values.rows(), chunk, [&](std::size_t begin, std::size_t end, int) {
    if (!quantize_rows(values.row(begin), result.row(begin), end - begin)) finite = false;
  });
  if (!finite) throw Error("fake_quantize: expected finite values, found NaN or Inf");
  return result;
}
}  // namespace

GridSteps grid_of_run(float min, float max, int bits, bool symmetric) {
  return steps_of(symmetric ? Grid::symmetric(std::max(-min, max), bits) : Grid::affine({min, max}, bits));
}

bool fake_quantize_tensor(const float* src, float* dst, std::size_t rows, std::size_t cols,
                          std::size_t stride, const Grid& grid) {
  return kernels().tensor(src, dst, rows, cols, stride, steps_of(grid));
}

bool fake_quantize_columns(const float* src, float* dst, std::size_t rows, std::size_t cols,
                           std::size_t stride, const float* scale, const float* zero, float qmin,
                           float qmax) {
  return kernels().columns(src, dst, rows, cols, stride, scale, zero, qmin, qmax);
}

bool fake_quantize_rows(const float* src, float* dst, std::size_t rows, std::size_t cols, std::size_t stride,
                        std::size_t block, int bits, bool symmetric, float outlier_threshold) {
  return kernels().rows(src, dst, rows, cols, stride, block, bits, symmetric, outlier_threshold);
}

double quantization_error(const float* values, std::size_t count, const Grid& grid) {
  return kernels().error(values, count, steps_of(grid));
}

Matrix fake_quantize(const Matrix& values, const Grid& grid) {
  return quantized_copy(values, [&](const float* src, float* dst, std::size_t rows) {
    return fake_quantize_tensor(src, dst, rows, values.cols(), values.cols(), grid);
  });
}

Matrix fake_quantize(const Matrix& values, const std::vector<Grid>& columns) {
  if (columns.size() != values.cols()) {
    fail_expected("fake_quantize", std::to_string(values.cols()) + " grids", std::to_string(columns.size()));
  }
  if (columns.empty()) return values;
  std::vector<float> scale, zero;
  for (const Grid& grid : columns) {
    scale.push_back(grid.scale);
    zero.push_back(static_cast<float>(grid.zero));
  }
  return quantized_copy(values, [&](const float* src, float* dst, std::size_t rows) {
    return fake_quantize_columns(src, dst, rows, values.cols(), values.cols(), scale.data(), zero.data(),
                                 static_cast<float>(columns[0].qmin), static_cast<float>(columns[0].qmax));
  });
}

}  // namespace outlierlab
