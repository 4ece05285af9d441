#include <immintrin.h>

#include "engine/cpu/peak.h"

namespace outlierlab::engine::vnni {

namespace {

constexpr int sums = 16;

void int8_rounds(std::size_t rounds) {
  __m512i sum[sums];
#pragma GCC unroll 16
  for (int s = 0; s < sums; ++s) sum[s] = _mm512_setzero_si512();
  const __m512i x = _mm512_set1_epi8(3);
  for (std::size_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (int s = 0; s < sums; ++s) asm volatile("vpdpbusd %1, %1, %0" : "+v"(sum[s]) : "v"(x));
  }
}

}  // namespace

const PeakLoop int8_loop = {PeakKind::int8, "vpdpbusd zmm", 2.0 * 64 * sums, int8_rounds};

}  // namespace outlierlab::engine::vnni
