#include <immintrin.h>

#include "engine/cpu/peak.h"

namespace outlierlab::engine::bf16 {

namespace {

constexpr int sums = 16;

void bf16_rounds(std::size_t rounds) {
  __m512 sum[sums];
#pragma GCC unroll 16
  for (int s = 0; s < sums; ++s) sum[s] = _mm512_setzero_ps();
  const __m512i x = _mm512_set1_epi16(0x3a83);  // 0.001
  for (std::size_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (int s = 0; s < sums; ++s) asm volatile("vdpbf16ps %1, %1, %0" : "+v"(sum[s]) : "v"(x));
  }
}

}  // namespace

const PeakLoop bf16_loop = {PeakKind::bfloat16, "vdpbf16ps zmm", 2.0 * 32 * sums, bf16_rounds};

}  // namespace outlierlab::engine::bf16
