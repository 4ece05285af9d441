// Eight double lanes on every CPU, the complement of core/simd.h for sums that need more than 24 bits: half
// of an F16 widened. As there, each operation gives the same bits on every instruction set; there is no fused
// multiply-add, since sums in double do not need it and CPUs without one pay dearly.
#pragma once

#include "core/simd.h"

namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE {

#if defined(__AVX512F__)

struct D8 {
  __m512d v;
};
inline D8 load_double(const double* p) {
  return {_mm512_loadu_pd(p)};
}
inline void store(double* p, D8 a) {
  _mm512_storeu_pd(p, a.v);
}
inline D8 splat_double(double x) {
  return {_mm512_set1_pd(x)};
}
inline D8 operator+(D8 a, D8 b) {
  return {_mm512_add_pd(a.v, b.v)};
}
inline D8 operator-(D8 a, D8 b) {
  return {_mm512_sub_pd(a.v, b.v)};
}
inline D8 operator*(D8 a, D8 b) {
  return {_mm512_mul_pd(a.v, b.v)};
}
/// As the instruction: the second operand where either is NaN.
inline D8 max(D8 a, D8 b) {
  return {_mm512_max_pd(a.v, b.v)};
}
inline D8 low_half(F16 a) {
  return {_mm512_cvtps_pd(_mm512_castps512_ps256(a.v))};
}
inline D8 high_half(F16 a) {
  return {_mm512_cvtps_pd(_mm512_extractf32x8_ps(a.v, 1))};
}
/// Rounded to nearest.
inline F16 narrow(D8 low, D8 high) {
  return {_mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low.v)), _mm512_cvtpd_ps(high.v), 1)};
}

#elif defined(__AVX2__)

struct D8 {
  __m256d a, b;
};
inline D8 load_double(const double* p) {
  return {_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)};
}
inline void store(double* p, D8 x) {
  _mm256_storeu_pd(p, x.a);
  _mm256_storeu_pd(p + 4, x.b);
}
inline D8 splat_double(double x) {
  return {_mm256_set1_pd(x), _mm256_set1_pd(x)};
}
inline D8 operator+(D8 x, D8 y) {
  return {_mm256_add_pd(x.a, y.a), _mm256_add_pd(x.b, y.b)};
}
inline D8 operator-(D8 x, D8 y) {
  return {_mm256_sub_pd(x.a, y.a), _mm256_sub_pd(x.b, y.b)};
}
inline D8 operator*(D8 x, D8 y) {
  return {_mm256_mul_pd(x.a, y.a), _mm256_mul_pd(x.b, y.b)};
}
inline D8 max(D8 x, D8 y) {
  return {_mm256_max_pd(x.a, y.a), _mm256_max_pd(x.b, y.b)};
}
inline D8 widen(__m256 x) {
  return {_mm256_cvtps_pd(_mm256_castps256_ps128(x)), _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1))};
}
inline __m256 narrow(D8 x) {
  return _mm256_set_m128(_mm256_cvtpd_ps(x.b), _mm256_cvtpd_ps(x.a));
}
inline D8 low_half(F16 x) {
  return widen(x.a);
}
inline D8 high_half(F16 x) {
  return widen(x.b);
}
inline F16 narrow(D8 low, D8 high) {
  return {narrow(low), narrow(high)};
}

#else

struct D8 {
  double v[8];
};
#define OUTLIERLAB_LANES(expression)                 \
  D8 r;                                              \
  for (int i = 0; i < 8; ++i) r.v[i] = (expression); \
  return r
inline D8 load_double(const double* p) {
  OUTLIERLAB_LANES(p[i]);
}
inline void store(double* p, D8 a) {
  for (int i = 0; i < 8; ++i) p[i] = a.v[i];
}
inline D8 splat_double(double x) {
  OUTLIERLAB_LANES(x);
}
inline D8 operator+(D8 a, D8 b) {
  OUTLIERLAB_LANES(a.v[i] + b.v[i]);
}
inline D8 operator-(D8 a, D8 b) {
  OUTLIERLAB_LANES(a.v[i] - b.v[i]);
}
inline D8 operator*(D8 a, D8 b) {
  OUTLIERLAB_LANES(a.v[i] * b.v[i]);
}
inline D8 max(D8 a, D8 b) {
  OUTLIERLAB_LANES(a.v[i] > b.v[i] ? a.v[i] : b.v[i]);
}
inline D8 low_half(F16 a) {
  OUTLIERLAB_LANES(static_cast<double>(a.v[i]));
}
inline D8 high_half(F16 a) {
  OUTLIERLAB_LANES(static_cast<double>(a.v[i + 8]));
}
inline F16 narrow(D8 low, D8 high) {
  F16 r;
  for (int i = 0; i < 8; ++i) {
    r.v[i] = static_cast<float>(low.v[i]);
    r.v[i + 8] = static_cast<float>(high.v[i]);
  }
  return r;
}
#undef OUTLIERLAB_LANES

#endif

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
