#pragma once

namespace outlierlab::engine {

/// The rows of GeluTable as kernels take them (kernel files include no header that defines functions).
struct GeluCoefficients {
  const float* c[6];  ///< coefficients of f^0 to f^5, 16 pieces each
  float reach;
  float pieces_per_unit;  ///< 16 / reach
};

const GeluCoefficients& gelu_coefficients();

}  // namespace outlierlab::engine
