#include <immintrin.h>

#include "engine/cpu/peak.h"
#include "engine/cpu/peak_byte_chain.h"

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

/// Without VNNI, as the product does it at best: pairs of bytes to int16, four of those added, pairs of that
/// to int32, and their sum.
void int8_rounds(std::size_t rounds) {
  __m512i sum[sums];
#pragma GCC unroll 16
  for (int s = 0; s < sums; ++s) sum[s] = _mm512_setzero_si512();
  const __m512i x = _mm512_set1_epi8(3), ones = _mm512_set1_epi16(1);
  for (std::size_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (int s = 0; s < sums; ++s) {
      __m512i product, other;
      asm volatile(OUTLIERLAB_BYTE_CHAIN : "+v"(sum[s]), "=&v"(product), "=&v"(other) : "v"(x), "v"(ones));
    }
  }
}

}  // namespace

const PeakLoop float_loop = {PeakKind::float32, "vfmadd231ps zmm", 2.0 * 16 * sums, float_rounds};
const PeakLoop int8_loop = {PeakKind::int8, "vpmaddubsw zmm x4", 2.0 * 4 * 64 * sums, int8_rounds};

}  // namespace outlierlab::engine::avx512
