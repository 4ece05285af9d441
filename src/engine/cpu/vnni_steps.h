// The step of int8_gemm_impl.h for CPUs with AVX512-VNNI.
#pragma once

#include "engine/cpu/avx512_sums.h"

namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE {

struct Steps {
  static constexpr int rows = 14, panels = 2, depth = 4;
  using Panel = __m512i;
  static Panel load(const char* p) { return _mm512_loadu_si512(p); }
  static __m512i broadcast(std::int32_t word) { return _mm512_set1_epi32(word); }
  /// As _mm512_dpbusd_epi32; GCC 12 copies the accumulator of that intrinsic at every step (and spills),
  /// hence the instruction.
  static Sum dot(Sum sum, __m512i a, Panel b) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
  }
};

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
