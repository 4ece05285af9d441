// Sixteen float lanes on every CPU: one register with AVX-512, two with AVX2, an array elsewhere.
//
// A kernel is written once in a `*_impl.h` file against these names and compiled three times, by
// `*_portable.cpp`,
// `*_avx2.cpp` and `*_avx512.cpp` (CMake sets the flags by the file's suffix); `dispatch` in core/isa.h picks
// one at run time. Since the number of lanes and every operation (fused multiply-add included) are the same
// in all three, so are the results, to the bit. Kernel files include nothing that defines inline functions of
// the standard library: the linker might otherwise keep an AVX-512 copy for all callers.
#pragma once

#if !defined(OUTLIERLAB_ISA_NAMESPACE)
#error "define OUTLIERLAB_ISA_NAMESPACE (portable, avx2 or avx512) before including core/simd.h"
#endif

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE {

constexpr int lanes = 16;

#if defined(__AVX512F__)

struct F16 {
  __m512 v;
};
struct Mask16 {
  __mmask16 m;
};
inline F16 load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
inline void store(float* p, F16 a) {
  _mm512_storeu_ps(p, a.v);
}
/// The first n lanes (0 <= n <= 16); the others read as `fill`.
inline F16 load_first(const float* p, int n, float fill = 0.0f) {
  return {_mm512_mask_loadu_ps(_mm512_set1_ps(fill), static_cast<__mmask16>((1u << n) - 1), p)};
}
inline void store_first(float* p, F16 a, int n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), a.v);
}
/// The first n lanes of a, then zeros.
inline F16 first_lanes(F16 a, int n) {
  return {_mm512_maskz_mov_ps(static_cast<__mmask16>((1u << n) - 1), a.v)};
}
inline F16 splat(float x) {
  return {_mm512_set1_ps(x)};
}
inline F16 operator+(F16 a, F16 b) {
  return {_mm512_add_ps(a.v, b.v)};
}
inline F16 operator-(F16 a, F16 b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
inline F16 operator*(F16 a, F16 b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
inline F16 operator/(F16 a, F16 b) {
  return {_mm512_div_ps(a.v, b.v)};
}
/// a * b + c with one rounding
inline F16 fma(F16 a, F16 b, F16 c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
/// As the instruction: the second operand where either is NaN.
inline F16 min(F16 a, F16 b) {
  return {_mm512_min_ps(a.v, b.v)};
}
inline F16 max(F16 a, F16 b) {
  return {_mm512_max_ps(a.v, b.v)};
}
inline F16 abs(F16 a) {
  return {_mm512_abs_ps(a.v)};
}
inline F16 sqrt(F16 a) {
  return {_mm512_sqrt_ps(a.v)};
}
/// To the nearest whole number, ties to even.
inline F16 round_even(F16 a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
inline Mask16 less(F16 a, F16 b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)};
}
/// a where the mask is set, else b
inline F16 select(Mask16 m, F16 a, F16 b) {
  return {_mm512_mask_blend_ps(m.m, b.v, a.v)};
}
inline unsigned bits(Mask16 m) {
  return m.m;
}
/// 2^n for whole n in [-126, 127]
inline F16 power_of_two(F16 n) {
  const __m512i e = _mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(e, 23))};
}
/// The magnitude of a with the sign of b.
inline F16 copy_sign(F16 a, F16 b) {
  const __m512i s = _mm512_set1_epi32(static_cast<int>(0x80000000u));
  return {_mm512_castsi512_ps(_mm512_or_si512(_mm512_andnot_si512(s, _mm512_castps_si512(a.v)),
                                              _mm512_and_si512(s, _mm512_castps_si512(b.v))))};
}

/// Towards zero; |a| < 2^31.
inline F16 truncate(F16 a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)};
}
/// table[i] for each lane's whole number i in [0, 15].
inline F16 lookup(const float* table, F16 i) {
  return {_mm512_permutexvar_ps(_mm512_cvttps_epi32(i.v), _mm512_loadu_ps(table))};
}
/// Sixteen bytes as floats, and back: each lane a whole number in [0, 255].
inline F16 load_bytes(const unsigned char* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}
inline void store_bytes(unsigned char* p, F16 a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a.v)));
}
inline void store_bytes_first(unsigned char* p, F16 a, int n) {
  _mm_mask_storeu_epi8(p, static_cast<__mmask16>((1u << n) - 1),
                       _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a.v)));
}
/// The bytes round_even(a) + offset; offset whole. The conversion rounds to even by itself.
inline void store_codes(unsigned char* p, F16 a, F16 offset) {
  _mm_storeu_si128(
      reinterpret_cast<__m128i*>(p),
      _mm512_cvtepi32_epi8(_mm512_add_epi32(_mm512_cvtps_epi32(a.v), _mm512_cvtps_epi32(offset.v))));
}
inline __m256 low_lanes(F16 a) {
  return _mm512_castps512_ps256(a.v);
}
inline __m256 high_lanes(F16 a) {
  return _mm512_extractf32x8_ps(a.v, 1);
}

/// Sixteen doubles.
struct D16 {
  __m512d a, b;
};
inline D16 load_doubles(const double* p) {
  return {_mm512_loadu_pd(p), _mm512_loadu_pd(p + 8)};
}
inline D16 splat_double(double x) {
  return {_mm512_set1_pd(x), _mm512_set1_pd(x)};
}
inline D16 widen(F16 x) {
  return {_mm512_cvtps_pd(low_lanes(x)), _mm512_cvtps_pd(high_lanes(x))};
}
inline F16 narrow(D16 x) {
  return {_mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(x.a)), _mm512_cvtpd_ps(x.b), 1)};
}
inline D16 operator*(D16 x, D16 y) {
  return {_mm512_mul_pd(x.a, y.a), _mm512_mul_pd(x.b, y.b)};
}
inline D16 fma(D16 x, D16 y, D16 z) {
  return {_mm512_fmadd_pd(x.a, y.a, z.a), _mm512_fmadd_pd(x.b, y.b, z.b)};
}
inline D16 round_even(D16 x) {
  constexpr int how = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm512_roundscale_pd(x.a, how), _mm512_roundscale_pd(x.b, how)};
}

#elif defined(__AVX2__)

struct F16 {
  __m256 a, b;
};
struct Mask16 {
  __m256 a, b;
};
inline F16 load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
inline void store(float* p, F16 x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
/// All bits set in those of the eight lanes from lane `first` on that are below n.
inline __m256i lanes_below(int n, int first) {
  const __m256i index = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(first));
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), index);
}
inline F16 load_first(const float* p, int n, float fill = 0.0f) {
  const __m256i low = lanes_below(n, 0), high = lanes_below(n, 8);
  const __m256 rest = _mm256_set1_ps(fill);
  return {_mm256_blendv_ps(rest, _mm256_maskload_ps(p, low), _mm256_castsi256_ps(low)),
          _mm256_blendv_ps(rest, _mm256_maskload_ps(p + 8, high), _mm256_castsi256_ps(high))};
}
inline void store_first(float* p, F16 x, int n) {
  _mm256_maskstore_ps(p, lanes_below(n, 0), x.a);
  _mm256_maskstore_ps(p + 8, lanes_below(n, 8), x.b);
}
inline F16 first_lanes(F16 x, int n) {
  return {_mm256_and_ps(x.a, _mm256_castsi256_ps(lanes_below(n, 0))),
          _mm256_and_ps(x.b, _mm256_castsi256_ps(lanes_below(n, 8)))};
}
inline F16 splat(float x) {
  return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
inline F16 operator+(F16 x, F16 y) {
  return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
inline F16 operator-(F16 x, F16 y) {
  return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}
inline F16 operator*(F16 x, F16 y) {
  return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
inline F16 operator/(F16 x, F16 y) {
  return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}
inline F16 fma(F16 x, F16 y, F16 z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
inline F16 min(F16 x, F16 y) {
  return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)};
}
inline F16 max(F16 x, F16 y) {
  return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}
inline F16 abs(F16 x) {
  const __m256 s = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(s, x.a), _mm256_andnot_ps(s, x.b)};
}
inline F16 sqrt(F16 x) {
  return {_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)};
}
inline F16 round_even(F16 x) {
  return {_mm256_round_ps(x.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
          _mm256_round_ps(x.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
inline Mask16 less(F16 x, F16 y) {
  return {_mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ)};
}
inline F16 select(Mask16 m, F16 x, F16 y) {
  return {_mm256_blendv_ps(y.a, x.a, m.a), _mm256_blendv_ps(y.b, x.b, m.b)};
}
inline unsigned bits(Mask16 m) {
  return static_cast<unsigned>(_mm256_movemask_ps(m.a)) | static_cast<unsigned>(_mm256_movemask_ps(m.b)) << 8;
}
inline F16 power_of_two(F16 n) {
  const __m256i bias = _mm256_set1_epi32(127);
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n.a), bias), 23)),
          _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n.b), bias), 23))};
}
inline F16 copy_sign(F16 x, F16 y) {
  const __m256 s = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(_mm256_andnot_ps(s, x.a), _mm256_and_ps(s, y.a)),
          _mm256_or_ps(_mm256_andnot_ps(s, x.b), _mm256_and_ps(s, y.b))};
}
inline F16 truncate(F16 x) {
  return {_mm256_round_ps(x.a, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC),
          _mm256_round_ps(x.b, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)};
}
inline __m256 lookup_half(__m256 low, __m256 high, __m256 index) {
  const __m256i i = _mm256_cvttps_epi32(index);
  // Bit 3 of the index, moved to the sign, chooses between the halves of the table.
  return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, i), _mm256_permutevar8x32_ps(high, i),
                          _mm256_castsi256_ps(_mm256_slli_epi32(i, 28)));
}
inline F16 lookup(const float* table, F16 i) {
  const __m256 low = _mm256_loadu_ps(table), high = _mm256_loadu_ps(table + 8);
  return {lookup_half(low, high, i.a), lookup_half(low, high, i.b)};
}
inline F16 load_bytes(const unsigned char* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)),
          _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8)))};
}
inline __m128i to_bytes(F16 x) {
  const __m256i a = _mm256_cvtps_epi32(x.a), b = _mm256_cvtps_epi32(x.b);
  const __m128i low = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  const __m128i high = _mm_packs_epi32(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1));
  return _mm_packus_epi16(low, high);
}
inline void store_bytes(unsigned char* p, F16 x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), to_bytes(x));
}
inline void store_bytes_first(unsigned char* p, F16 x, int n) {
  unsigned char bytes[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes), to_bytes(x));
  for (int i = 0; i < n; ++i) p[i] = bytes[i];
}
inline __m256 low_lanes(F16 x) {
  return x.a;
}
inline __m256 high_lanes(F16 x) {
  return x.b;
}

struct D16 {
  __m256d v[4];
};
inline D16 load_doubles(const double* p) {
  return {{_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4), _mm256_loadu_pd(p + 8), _mm256_loadu_pd(p + 12)}};
}
inline D16 splat_double(double x) {
  const __m256d all = _mm256_set1_pd(x);
  return {{all, all, all, all}};
}
inline D16 widen(F16 x) {
  return {{_mm256_cvtps_pd(_mm256_castps256_ps128(x.a)), _mm256_cvtps_pd(_mm256_extractf128_ps(x.a, 1)),
           _mm256_cvtps_pd(_mm256_castps256_ps128(x.b)), _mm256_cvtps_pd(_mm256_extractf128_ps(x.b, 1))}};
}
inline F16 narrow(D16 x) {
  return {_mm256_set_m128(_mm256_cvtpd_ps(x.v[1]), _mm256_cvtpd_ps(x.v[0])),
          _mm256_set_m128(_mm256_cvtpd_ps(x.v[3]), _mm256_cvtpd_ps(x.v[2]))};
}
inline D16 operator*(D16 x, D16 y) {
  for (int i = 0; i < 4; ++i) x.v[i] = _mm256_mul_pd(x.v[i], y.v[i]);
  return x;
}
inline D16 fma(D16 x, D16 y, D16 z) {
  for (int i = 0; i < 4; ++i) x.v[i] = _mm256_fmadd_pd(x.v[i], y.v[i], z.v[i]);
  return x;
}
inline D16 round_even(D16 x) {
  for (int i = 0; i < 4; ++i) x.v[i] = _mm256_round_pd(x.v[i], _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return x;
}

#else

struct F16 {
  float v[16];
};
struct Mask16 {
  bool m[16];
};
#define OUTLIERLAB_LANES(result, expression) \
  F16 result;                                \
  for (int i = 0; i < 16; ++i) result.v[i] = (expression)
inline F16 load(const float* p) {
  OUTLIERLAB_LANES(r, p[i]);
  return r;
}
inline void store(float* p, F16 a) {
  for (int i = 0; i < 16; ++i) p[i] = a.v[i];
}
inline F16 load_first(const float* p, int n, float fill = 0.0f) {
  OUTLIERLAB_LANES(r, i < n ? p[i] : fill);
  return r;
}
inline void store_first(float* p, F16 a, int n) {
  for (int i = 0; i < n; ++i) p[i] = a.v[i];
}
inline F16 first_lanes(F16 a, int n) {
  OUTLIERLAB_LANES(r, i < n ? a.v[i] : 0.0f);
  return r;
}
inline F16 splat(float x) {
  OUTLIERLAB_LANES(r, x);
  return r;
}
inline F16 operator+(F16 a, F16 b) {
  OUTLIERLAB_LANES(r, a.v[i] + b.v[i]);
  return r;
}
inline F16 operator-(F16 a, F16 b) {
  OUTLIERLAB_LANES(r, a.v[i] - b.v[i]);
  return r;
}
inline F16 operator*(F16 a, F16 b) {
  OUTLIERLAB_LANES(r, a.v[i] * b.v[i]);
  return r;
}
inline F16 operator/(F16 a, F16 b) {
  OUTLIERLAB_LANES(r, a.v[i] / b.v[i]);
  return r;
}
inline F16 fma(F16 a, F16 b, F16 c) {
  OUTLIERLAB_LANES(r, __builtin_fmaf(a.v[i], b.v[i], c.v[i]));
  return r;
}
inline F16 min(F16 a, F16 b) {
  OUTLIERLAB_LANES(r, a.v[i] < b.v[i] ? a.v[i] : b.v[i]);
  return r;
}
inline F16 max(F16 a, F16 b) {
  OUTLIERLAB_LANES(r, a.v[i] > b.v[i] ? a.v[i] : b.v[i]);
  return r;
}
inline F16 abs(F16 a) {
  OUTLIERLAB_LANES(r, __builtin_fabsf(a.v[i]));
  return r;
}
inline F16 sqrt(F16 a) {
  OUTLIERLAB_LANES(r, __builtin_sqrtf(a.v[i]));
  return r;
}
inline F16 round_even(F16 a) {
  OUTLIERLAB_LANES(r, __builtin_nearbyintf(a.v[i]));
  return r;
}
inline Mask16 less(F16 a, F16 b) {
  Mask16 r;
  for (int i = 0; i < 16; ++i) r.m[i] = a.v[i] < b.v[i];
  return r;
}
inline F16 select(Mask16 m, F16 a, F16 b) {
  OUTLIERLAB_LANES(r, m.m[i] ? a.v[i] : b.v[i]);
  return r;
}
inline unsigned bits(Mask16 m) {
  unsigned r = 0;
  for (int i = 0; i < 16; ++i) r |= static_cast<unsigned>(m.m[i]) << i;
  return r;
}
inline F16 power_of_two(F16 n) {
  OUTLIERLAB_LANES(r, __builtin_ldexpf(1.0f, static_cast<int>(n.v[i])));
  return r;
}
inline F16 copy_sign(F16 a, F16 b) {
  OUTLIERLAB_LANES(r, __builtin_copysignf(a.v[i], b.v[i]));
  return r;
}
inline F16 truncate(F16 a) {
  OUTLIERLAB_LANES(r, __builtin_truncf(a.v[i]));
  return r;
}
inline F16 lookup(const float* table, F16 index) {
  OUTLIERLAB_LANES(r, table[static_cast<int>(index.v[i])]);
  return r;
}
inline F16 load_bytes(const unsigned char* p) {
  OUTLIERLAB_LANES(r, static_cast<float>(p[i]));
  return r;
}
inline void store_bytes_first(unsigned char* p, F16 a, int n) {
  for (int i = 0; i < n; ++i) p[i] = static_cast<unsigned char>(static_cast<int>(a.v[i]));
}
inline void store_bytes(unsigned char* p, F16 a) {
  store_bytes_first(p, a, 16);
}

struct D16 {
  double v[16];
};
#define OUTLIERLAB_DOUBLES(r, expression) \
  D16 r;                                  \
  for (int i = 0; i < 16; ++i) r.v[i] = expression
inline D16 load_doubles(const double* p) {
  OUTLIERLAB_DOUBLES(r, p[i]);
  return r;
}
inline D16 splat_double(double x) {
  OUTLIERLAB_DOUBLES(r, x);
  return r;
}
inline D16 widen(F16 a) {
  OUTLIERLAB_DOUBLES(r, static_cast<double>(a.v[i]));
  return r;
}
inline F16 narrow(D16 a) {
  OUTLIERLAB_LANES(r, static_cast<float>(a.v[i]));
  return r;
}
inline D16 operator*(D16 a, D16 b) {
  OUTLIERLAB_DOUBLES(r, a.v[i] * b.v[i]);
  return r;
}
inline D16 fma(D16 a, D16 b, D16 c) {
  OUTLIERLAB_DOUBLES(r, __builtin_fma(a.v[i], b.v[i], c.v[i]));
  return r;
}
inline D16 round_even(D16 a) {
  OUTLIERLAB_DOUBLES(r, __builtin_nearbyint(a.v[i]));
  return r;
}
#undef OUTLIERLAB_DOUBLES
#undef OUTLIERLAB_LANES

#endif

#if !defined(__AVX512F__)
/// The bytes round_even(a) + offset; offset whole.
inline void store_codes(unsigned char* p, F16 a, F16 offset) {
  store_bytes(p, round_even(a) + offset);
}
#endif

// Sum, smallest and largest of the lanes, by a fixed tree: lane i with i + 8, then + 4, + 2, + 1.
#if defined(__AVX2__)
inline float sum_lanes(F16 a) {
  const __m256 eight = _mm256_add_ps(low_lanes(a), high_lanes(a));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float min_lanes(F16 a) {
  const __m256 eight = _mm256_min_ps(low_lanes(a), high_lanes(a));
  const __m128 four = _mm_min_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_min_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_min_ss(two, _mm_movehdup_ps(two)));
}
inline float max_lanes(F16 a) {
  const __m256 eight = _mm256_max_ps(low_lanes(a), high_lanes(a));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
/// As store_first, in stores that touch nothing after the n floats: a masked store holds up loads of the
/// masked part until it has reached the cache.
inline void store_exactly(float* p, F16 a, int n) {
  __m256 eight = low_lanes(a);
  if (n & 16) {
    store(p, a);
    return;
  }
  if (n & 8) {
    _mm256_storeu_ps(p, eight);
    eight = high_lanes(a);
    p += 8;
  }
  __m128 four = _mm256_castps256_ps128(eight);
  if (n & 4) {
    _mm_storeu_ps(p, four);
    four = _mm256_extractf128_ps(eight, 1);
    p += 4;
  }
  if (n & 2) {
    _mm_storel_pi(reinterpret_cast<__m64*>(p), four);
    four = _mm_movehl_ps(four, four);
    p += 2;
  }
  if (n & 1) _mm_store_ss(p, four);
}
#else
inline void store_exactly(float* p, F16 a, int n) {
  store_first(p, a, n);
}
inline float sum_lanes(F16 a) {
  float t[16];
  store(t, a);
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) t[i] += t[i + half];
  }
  return t[0];
}
inline float min_lanes(F16 a) {
  float t[16];
  store(t, a);
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) t[i] = t[i] < t[i + half] ? t[i] : t[i + half];
  }
  return t[0];
}
inline float max_lanes(F16 a) {
  float t[16];
  store(t, a);
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) t[i] = t[i] > t[i + half] ? t[i] : t[i + half];
  }
  return t[0];
}
#endif

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
