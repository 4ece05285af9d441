// The int32 lanes of int8_gemm_impl.h for CPUs with AVX-512.
#pragma once

#include <immintrin.h>

#include <cstdint>

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
inline D16 to_double(Sum s) {
  return {_mm512_cvtepi32_pd(_mm512_castsi512_si256(s)), _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(s, 1))};
}
inline F16 to_float(Sum s) {
  return {_mm512_cvtepi32_ps(s)};
}

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
