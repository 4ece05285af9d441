#include <immintrin.h>

#include "engine/cpu/peak.h"
#include "engine/cpu/peak_byte_chain.h"

namespace outlierlab::engine::avx2 {

namespace {

constexpr int sums = 12;

void float_rounds(std::size_t rounds) {
  __m256 sum[sums];
#pragma GCC unroll 12
  for (int s = 0; s < sums; ++s) sum[s] = _mm256_setzero_ps();
  const __m256 x = _mm256_set1_ps(1e-3f);
  for (std::size_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int s = 0; s < sums; ++s) asm volatile("vfmadd231ps %1, %1, %0" : "+x"(sum[s]) : "x"(x));
  }
}

/// As the product does it at best: pairs of bytes to int16, four of those added, pairs of that to int32, and
/// their sum.
void int8_rounds(std::size_t rounds) {
  __m256i sum[sums];
#pragma GCC unroll 12
  for (int s = 0; s < sums; ++s) sum[s] = _mm256_setzero_si256();
  const __m256i x = _mm256_set1_epi8(3), ones = _mm256_set1_epi16(1);
  for (std::size_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int s = 0; s < sums; ++s) {
      __m256i product, other;
      asm volatile(OUTLIERLAB_BYTE_CHAIN : "+x"(sum[s]), "=&x"(product), "=&x"(other) : "x"(x), "x"(ones));
    }
  }
}

}  // namespace

const PeakLoop float_loop = {PeakKind::float32, "vfmadd231ps ymm", 2.0 * 8 * sums, float_rounds};
const PeakLoop int8_loop = {PeakKind::int8, "vpmaddubsw ymm x4", 2.0 * 4 * 32 * sums, int8_rounds};

}  // namespace outlierlab::engine::avx2
