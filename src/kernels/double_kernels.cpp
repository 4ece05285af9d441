#include "kernels/double_kernels.h"

#include <algorithm>
#include <cmath>

#include "core/isa.h"
#include "kernels/kernels.h"

namespace outlierlab {

DoubleGemm double_gemm() {
  return dispatch(portable::double_gemm, avx2::double_gemm, avx512::double_gemm);
}

void pack_doubles(const double* b, std::size_t row_stride, std::size_t col_stride, std::size_t cols,
                  std::size_t depth, double* packed) {
  for (std::size_t j = 0; j < cols; j += panel_width) {
    double* panel = packed + j * depth;
    const std::size_t here = std::min(panel_width, cols - j);
    for (std::size_t k = 0; k < depth; ++k) {
      for (std::size_t c = 0; c < panel_width; ++c)
        panel[k * panel_width + c] = c < here ? b[k * row_stride + (j + c) * col_stride] : 0;
    }
  }
}

void double_gelu(double* values, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    values[i] = 0.5 * values[i] * std::erfc(-values[i] / std::sqrt(2.0));
}

void double_softmax(double* values, std::size_t rows, std::size_t cols) {
  if (cols == 0) return;
  for (std::size_t r = 0; r < rows; ++r) {
    double* row = values + r * cols;
    const double largest = *std::max_element(row, row + cols);
    double sum = 0;
    for (std::size_t i = 0; i < cols; ++i) sum += row[i] = std::exp(row[i] - largest);
    for (std::size_t i = 0; i < cols; ++i) row[i] /= sum;
  }
}

void double_tanh(double* values, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) values[i] = std::tanh(values[i]);
}

void double_layer_norm(double* values, std::size_t rows, std::size_t cols, const double* gain,
                       const double* bias, double epsilon) {
  const auto count = static_cast<double>(cols);
  for (std::size_t r = 0; r < rows; ++r) {
    double* row = values + r * cols;
    double sum = 0, squares = 0;
    for (std::size_t i = 0; i < cols; ++i) sum += row[i];
    const double mean = sum / count;
    for (std::size_t i = 0; i < cols; ++i) squares += (row[i] - mean) * (row[i] - mean);
    const double deviation = std::sqrt(squares / count + epsilon);
    for (std::size_t i = 0; i < cols; ++i) row[i] = (row[i] - mean) / deviation * gain[i] + bias[i];
  }
}

}  // namespace outlierlab
