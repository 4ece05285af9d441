// Eight float lanes and the same eight as doubles, for sums that need more than 24 bits. As in core/simd.h,
// each operation gives the same bits on every instruction set.
#pragma once

#if !defined(OUTLIERLAB_ISA_NAMESPACE)
#error "define OUTLIERLAB_ISA_NAMESPACE (portable, avx2 or avx512) before including stats/eight_lanes.h"
#endif

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE {

#if defined(__AVX2__)

struct F8 {
  __m256 v;
};
inline F8 load_float(const float* p) {
  return {_mm256_loadu_ps(p)};
}
inline void store(float* p, F8 a) {
  _mm256_storeu_ps(p, a.v);
}
inline F8 splat_float(float x) {
  return {_mm256_set1_ps(x)};
}
inline F8 operator+(F8 a, F8 b) {
  return {_mm256_add_ps(a.v, b.v)};
}
/// As the instructions: the second operand where either is NaN.
inline F8 min(F8 a, F8 b) {
  return {_mm256_min_ps(a.v, b.v)};
}
inline F8 max(F8 a, F8 b) {
  return {_mm256_max_ps(a.v, b.v)};
}

#endif

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
inline D8 fma(D8 a, D8 b, D8 c) {
  return {_mm512_fmadd_pd(a.v, b.v, c.v)};
}
/// As the instruction: the second operand where either is NaN.
inline D8 max(D8 a, D8 b) {
  return {_mm512_max_pd(a.v, b.v)};
}
inline D8 widen(F8 a) {
  return {_mm512_cvtps_pd(a.v)};
}
/// Rounded to nearest.
inline F8 narrow(D8 a) {
  return {_mm512_cvtpd_ps(a.v)};
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
inline D8 fma(D8 x, D8 y, D8 z) {
  return {_mm256_fmadd_pd(x.a, y.a, z.a), _mm256_fmadd_pd(x.b, y.b, z.b)};
}
inline D8 max(D8 x, D8 y) {
  return {_mm256_max_pd(x.a, y.a), _mm256_max_pd(x.b, y.b)};
}
inline D8 widen(F8 x) {
  return {_mm256_cvtps_pd(_mm256_castps256_ps128(x.v)), _mm256_cvtps_pd(_mm256_extractf128_ps(x.v, 1))};
}
inline F8 narrow(D8 x) {
  return {_mm256_set_m128(_mm256_cvtpd_ps(x.b), _mm256_cvtpd_ps(x.a))};
}

#else

template <typename T>
struct Eight {
  T v[8];
};
using F8 = Eight<float>;
using D8 = Eight<double>;

#define OUTLIERLAB_LANES(type, expression)           \
  type r;                                            \
  for (int i = 0; i < 8; ++i) r.v[i] = (expression); \
  return r
inline F8 load_float(const float* p) {
  OUTLIERLAB_LANES(F8, p[i]);
}
inline D8 load_double(const double* p) {
  OUTLIERLAB_LANES(D8, p[i]);
}
inline F8 splat_float(float x) {
  OUTLIERLAB_LANES(F8, x);
}
inline D8 splat_double(double x) {
  OUTLIERLAB_LANES(D8, x);
}
template <typename T>
inline void store(T* p, Eight<T> a) {
  for (int i = 0; i < 8; ++i) p[i] = a.v[i];
}
template <typename T>
inline Eight<T> operator+(Eight<T> a, Eight<T> b) {
  OUTLIERLAB_LANES(Eight<T>, a.v[i] + b.v[i]);
}
template <typename T>
inline Eight<T> operator-(Eight<T> a, Eight<T> b) {
  OUTLIERLAB_LANES(Eight<T>, a.v[i] - b.v[i]);
}
template <typename T>
inline Eight<T> operator*(Eight<T> a, Eight<T> b) {
  OUTLIERLAB_LANES(Eight<T>, a.v[i] * b.v[i]);
}
template <typename T>
inline Eight<T> min(Eight<T> a, Eight<T> b) {
  OUTLIERLAB_LANES(Eight<T>, a.v[i] < b.v[i] ? a.v[i] : b.v[i]);
}
template <typename T>
inline Eight<T> max(Eight<T> a, Eight<T> b) {
  OUTLIERLAB_LANES(Eight<T>, a.v[i] > b.v[i] ? a.v[i] : b.v[i]);
}
inline D8 fma(D8 a, D8 b, D8 c) {
  OUTLIERLAB_LANES(D8, __builtin_fma(a.v[i], b.v[i], c.v[i]));
}
inline D8 widen(F8 a) {
  OUTLIERLAB_LANES(D8, static_cast<double>(a.v[i]));
}
inline F8 narrow(D8 a) {
  OUTLIERLAB_LANES(F8, static_cast<float>(a.v[i]));
}
#undef OUTLIERLAB_LANES

#endif

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
