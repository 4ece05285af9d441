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
/// round(s * factor + addend), rounded once: sixteen doubles of each.
inline F16 rounded(Sum s, const double* factor, const double* addend) {
  const auto half = [=](__m256i sums, int at) {
    const __m512d steps =
        _mm512_fmadd_pd(_mm512_cvtepi32_pd(sums), _mm512_loadu_pd(factor + at), _mm512_loadu_pd(addend + at));
    return _mm512_cvtpd_ps(_mm512_roundscale_pd(steps, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  };
  const __m256 low = half(_mm512_castsi512_si256(s), 0), high = half(_mm512_extracti64x4_epi64(s, 1), 8);
  return {_mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1)};
}
inline F16 to_float(Sum s) {
  return {_mm512_cvtepi32_ps(s)};
}

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
