// STREAM's triad, written once for all instruction sets (see core/simd.h).
#pragma once

#include "core/simd.h"
#include "engine/cpu/peak.h"

namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE {

inline void triad(const float* b, const float* c, float s, float* a, std::size_t count) {
  const F16 factor = splat(s);
  for (std::size_t i = 0; i < count; i += lanes) store(a + i, fma(factor, load(c + i), load(b + i)));
}

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
