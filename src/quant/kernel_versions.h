// The compiled versions of the kernels in kernels_impl.h; tests compare them, kernels.cpp picks one.
#pragma once

#include <cstddef>

namespace outlierlab {

/// A grid as the loops need it: round(v / divisor), limited to [lowest, highest], times scale.
struct GridSteps {
  float divisor, scale, lowest, highest;
};

/// Defined in kernels.cpp, so that every version shares Grid's own arithmetic.
GridSteps grid_of_run(float min, float max, int bits, bool symmetric);

struct QuantKernels {
  bool (*tensor)(const float* src, float* dst, std::size_t rows, std::size_t cols, std::size_t stride,
                 const GridSteps& grid);
  bool (*columns)(const float* src, float* dst, std::size_t rows, std::size_t cols, std::size_t stride,
                  const float* scale, const float* zero, float qmin, float qmax);
  bool (*rows)(const float* src, float* dst, std::size_t rows, std::size_t cols, std::size_t stride,
               std::size_t block, int bits, bool symmetric, float outlier_threshold);
  double (*error)(const float* values, std::size_t count, const GridSteps& grid);
};

namespace portable {
extern const QuantKernels quant_kernels;
}
namespace avx2 {
extern const QuantKernels quant_kernels;
}
namespace avx512 {
extern const QuantKernels quant_kernels;
}

}  // namespace outlierlab
