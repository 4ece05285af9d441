#pragma once

#include <algorithm>
#include <limits>

namespace outlierlab::engine {

/// A factor in two floats, since one would round it by up to 2^-24. v * factor + addend in two fused
/// multiply-adds, v * value + (v * rest + addend), is rounded as a whole and, by the addend's last place, in
/// between. Factors beyond float's range become its largest value.
struct TwoFloats {
  float value = 0, rest = 0;

  TwoFloats() = default;
  explicit TwoFloats(double factor) {
    constexpr double largest = std::numeric_limits<float>::max();
    const double inside = std::clamp(factor, -largest, largest);
    value = static_cast<float>(inside);
    rest = static_cast<float>(inside - static_cast<double>(value));
  }
};

}  // namespace outlierlab::engine
