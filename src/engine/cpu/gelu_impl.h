// GELU from the table of gelu_table.h, for the lanes of core/simd.h.
#pragma once

#include "core/simd.h"
#include "engine/cpu/gelu_coefficients.h"

namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE {

inline F16 gelu_of(F16 v, const engine::GeluCoefficients& table) {
  const F16 size = min(splat(table.reach), abs(v));  // no number stays none
  const F16 scaled = min(size * splat(table.pieces_per_unit), splat(15.999999f));
  const F16 piece = truncate(scaled);
  const F16 f = scaled - piece;
  F16 p = fma(lookup(table.c[5], piece), f, lookup(table.c[4], piece));
  p = fma(p, f, lookup(table.c[3], piece));
  p = fma(p, f, lookup(table.c[2], piece));
  p = fma(p, f, lookup(table.c[1], piece));
  p = fma(p, f, lookup(table.c[0], piece));
  return fma(splat(0.0f) - size, p, max(v, splat(0.0f)));
}

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
