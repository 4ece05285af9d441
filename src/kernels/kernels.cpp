#include "kernels/kernels.h"

#include <algorithm>

#include "core/isa.h"

namespace outlierlab {

const ModelKernels& model_kernels() {
  static const ModelKernels& chosen =
      *dispatch(&portable::model_kernels, &avx2::model_kernels, &avx512::model_kernels);
  return chosen;
}

void pack_transposed(const float* weight, std::size_t stride, std::size_t cols, std::size_t depth,
                     float* packed) {
  for (std::size_t j = 0; j < cols; j += panel_width) {
    float* panel = packed + j * depth;
    const std::size_t here = std::min(panel_width, cols - j);
    for (std::size_t k = 0; k < depth; ++k) {
      for (std::size_t c = 0; c < panel_width; ++c) {
        panel[k * panel_width + c] = c < here ? weight[(j + c) * stride + k] : 0.0f;
      }
    }
  }
}

void pack_rows(const float* b, std::size_t stride, std::size_t cols, std::size_t depth, float* packed) {
  for (std::size_t j = 0; j < cols; j += panel_width) {
    float* panel = packed + j * depth;
    const std::size_t here = std::min(panel_width, cols - j);
    for (std::size_t k = 0; k < depth; ++k) {
      float* row = panel + k * panel_width;
      if (here == panel_width) {
        std::copy_n(b + k * stride + j, panel_width, row);
      } else {
        std::fill(std::copy_n(b + k * stride + j, here, row), row + panel_width, 0.0f);
      }
    }
  }
}

}  // namespace outlierlab
