// The int32 lanes and the step of int8_gemm_impl.h for CPUs with AVX512-VNNI.
#pragma once

#include <immintrin.h>

#include "core/simd.h"

namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE {

using Sum = __m512i;

inline Sum zero_sum() {
  return _mm512_setzero_si512();
}
inline Sum load_sum(const std::int32_t* p) {
  return _mm512_loadu_si512(p);
}
inline void store_sum(std::int32_t* p, Sum s) {
  _mm512_storeu_si512(p, s);
}
inline void store_sum_first(std::int32_t* p, Sum s, int n) {
  _mm512_mask_storeu_epi32(p, static_cast<__mmask16>((1u << n) - 1), s);
}
inline Sum add(Sum x, Sum y) {
  return _mm512_add_epi32(x, y);
}
inline Sum subtract_product(Sum sum, std::int32_t x, Sum y) {
  return _mm512_sub_epi32(sum, _mm512_mullo_epi32(_mm512_set1_epi32(x), y));
}
inline F16 to_float(Sum s) {
  return {_mm512_cvtepi32_ps(s)};
}

struct Steps {
  static constexpr int rows = 14, panels = 2, depth = 4;
  using Panel = __m512i;
  static Panel load(const char* p) { return _mm512_loadu_si512(p); }
  static __m512i broadcast(std::int32_t word) { return _mm512_set1_epi32(word); }
  /// As _mm512_dpbusd_epi32; GCC 12 copies the accumulator of that intrinsic at every step (and spills),
  /// hence the instruction.
  static Sum dot(Sum sum, __m512i a, Panel b) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
  }
};

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
