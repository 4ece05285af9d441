#pragma once

#include <cstddef>
#include <vector>

#include "core/matrix.h"

namespace outlierlab {

/// AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) on one flat buffer of parameters, with the norm of
/// all gradients clipped together. The result does not depend on the number of threads.
class AdamW {
 public:
  struct Settings {
    double weight_decay, beta1, beta2, epsilon, gradient_clip;
  };
  /// Elements [begin, end) to which the weight decay applies.
  struct Range {
    std::size_t begin, end;
  };

  AdamW(std::size_t size, std::vector<Range> decayed, const Settings& settings);

  /// Updates `values` from `gradients`; `step` counts from 0. Returns the gradients' norm before clipping.
  double step(float* values, const float* gradients, std::size_t step, double learning_rate);

  AlignedVector<float>& first_moment() { return first_; }
  AlignedVector<float>& second_moment() { return second_; }

 private:
  std::vector<Range> decayed_;
  Settings settings_;
  AlignedVector<float> first_, second_;
};

}  // namespace outlierlab
