#include "quant/transforms/pairs.h"

#include <algorithm>
#include <cmath>

namespace outlierlab {

namespace {

std::size_t side_of(const std::vector<double>& rotation) {
  return static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(rotation.size()))));
}

/// values[k * stride] for k < n, as a vector v, become R v.
void rotate(float* values, std::size_t stride, const std::vector<double>& rotation) {
  const std::size_t n = side_of(rotation);
  std::vector<double> rotated(n, 0);
  for (std::size_t r = 0; r < n; ++r) {
    for (std::size_t k = 0; k < n; ++k) rotated[r] += rotation[r * n + k] * values[k * stride];
  }
  for (std::size_t r = 0; r < n; ++r) values[r * stride] = static_cast<float>(rotated[r]);
}

}  // namespace

void divide_outputs(Linear& linear, const std::vector<float>& s) {
  for (std::size_t r = 0; r < linear.weight.rows(); ++r) {
    for (std::size_t c = 0; c < linear.weight.cols(); ++c) linear.weight(r, c) /= s[r];
    linear.bias[r] /= s[r];
  }
}

void multiply_inputs(Matrix& weight, const std::vector<float>& s) {
  for (std::size_t r = 0; r < weight.rows(); ++r) {
    for (std::size_t c = 0; c < weight.cols(); ++c) weight(r, c) *= s[c];
  }
}

std::vector<float> column_absmax(const Matrix& weight) {
  std::vector<float> absmax(weight.cols(), 0.0f);
  for (std::size_t r = 0; r < weight.rows(); ++r) {
    for (std::size_t c = 0; c < weight.cols(); ++c) absmax[c] = std::max(absmax[c], std::abs(weight(r, c)));
  }
  return absmax;
}

void rotate_outputs(Linear& linear, std::size_t first, const std::vector<double>& rotation) {
  const std::size_t cols = linear.weight.cols();
  for (std::size_t c = 0; c < cols; ++c) rotate(linear.weight.row(first) + c, cols, rotation);
  rotate(linear.bias.data() + first, 1, rotation);
}

void rotate_inputs(Matrix& weight, std::size_t first, const std::vector<double>& rotation) {
  // W x = (W R^T)(R x): each row of W, as a vector, is turned by R as well.
  for (std::size_t r = 0; r < weight.rows(); ++r) rotate(weight.row(r) + first, 1, rotation);
}

}  // namespace outlierlab
