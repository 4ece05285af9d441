#include <algorithm>
#include <cmath>
#include <vector>

#include "core/isa.h"
#include "kernels/double_gemm.h"
#include "kernels/kernels.h"

namespace outlierlab {

namespace {

void gelu(float* values, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const double v = values[i];
    values[i] = static_cast<float>(0.5 * v * std::erfc(-v / std::sqrt(2.0)));
  }
}

void softmax(float* values, std::size_t rows, std::size_t cols, std::size_t stride) {
  if (cols == 0) return;
  std::vector<double> exponentials(cols);
  for (std::size_t r = 0; r < rows; ++r) {
    float* row = values + r * stride;
    const double largest = *std::max_element(row, row + cols);
    double sum = 0;
    for (std::size_t i = 0; i < cols; ++i) sum += exponentials[i] = std::exp(row[i] - largest);
    for (std::size_t i = 0; i < cols; ++i) row[i] = static_cast<float>(exponentials[i] / sum);
  }
}

void add(const float* a, const float* b, float* c, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) c[i] = a[i] + b[i];
}

void layer_norm(const float* values, float* out, std::size_t rows, std::size_t cols, const float* gain,
                const float* bias, float epsilon) {
  const auto count = static_cast<double>(cols);
  for (std::size_t r = 0; r < rows; ++r) {
    const float* row = values + r * cols;
    double sum = 0, squares = 0;
    for (std::size_t i = 0; i < cols; ++i) sum += row[i];
    const double mean = sum / count;
    for (std::size_t i = 0; i < cols; ++i) squares += (row[i] - mean) * (row[i] - mean);
    const double scale = 1 / std::sqrt(squares / count + epsilon);
    for (std::size_t i = 0; i < cols; ++i)
      out[r * cols + i] = static_cast<float>((row[i] - mean) * scale * gain[i] + bias[i]);
  }
}

void tanh_values(float* values, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    values[i] = static_cast<float>(std::tanh(static_cast<double>(values[i])));
}

}  // namespace

const ModelKernels& reference_kernels() {
  static const ModelKernels kernels = {
      model_kernels().row_tile,
      dispatch(portable::double_gemm, avx2::double_gemm, avx512::double_gemm),
      gelu,
      softmax,
      add,
      layer_norm,
      tanh_values};
  return kernels;
}

}  // namespace outlierlab
