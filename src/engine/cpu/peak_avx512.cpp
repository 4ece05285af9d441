#include <immintrin.h>

#include "engine/cpu/peak.h"

namespace outlierlab::engine::avx512 {

namespace {

constexpr int sums = 16;

void float_rounds(std::size_t rounds) {
  __m512 sum[sums];
#pragma GCC unroll 16
  for (int s = 0; s < sums; ++s) sum[s] = _mm512_setzero_ps();
  const __m512 x = _mm512_set1_ps(1e-3f);
  for (std::size_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (int s = 0; s < sums; ++s) asm volatile("vfmadd231ps %1, %1, %0" : "+v"(sum[s]) : "v"(x));
  }
}

/// Without VNNI: products of int16, summed by pairs.
void int8_rounds(std::size_t rounds) {
  __m512i sum[sums];
#pragma GCC unroll 16
  for (int s = 0; s < sums; ++s) sum[s] = _mm512_setzero_si512();
  const __m512i x = _mm512_set1_epi16(3);
  for (std::size_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (int s = 0; s < sums; ++s) {
      __m512i product;
      asm volatile("vpmaddwd %2, %2, %1\n\tvpaddd %1, %0, %0" : "+v"(sum[s]), "=&v"(product) : "v"(x));
    }
  }
}

}  // namespace

const PeakLoop float_loop = {PeakKind::float32, "vfmadd231ps zmm", 2.0 * 16 * sums, float_rounds};
const PeakLoop int8_loop = {PeakKind::int8, "vpmaddwd zmm", 2.0 * 32 * sums, int8_rounds};

}  // namespace outlierlab::engine::avx512
