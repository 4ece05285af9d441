#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define OUTLIERLAB_ISA_NAMESPACE avx512
#include "engine/cpu/avx512_sums.h"

namespace outlierlab::avx512 {

struct Steps {
  static constexpr int rows = 12, panels = 2, depth = 2;
  using Panel = __m512i;
  static Panel load(const char* p) { return _mm512_loadu_si512(p); }
  static __m512i broadcast(std::int32_t word) { return _mm512_set1_epi32(word); }
  /// Left to itself, GCC 12 collects products before it adds them, and spills the accumulators for it.
  static Sum dot(Sum sum, __m512i a, Panel b) {
    __m512i products;
    asm("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+v"(sum), "=&v"(products) : "v"(a), "v"(b));
    return sum;
  }
};

}  // namespace outlierlab::avx512

#include "engine/cpu/int8_gemm_impl.h"

namespace outlierlab::engine::avx512 {
using namespace outlierlab::avx512;

const Int8Kernels int8_kernels = {"avx512",
                                  int8_packed_bytes<Steps>,
                                  int8_pack_transposed<Steps>,
                                  int8_pack_rows<Steps>,
                                  multiply_widened<Steps>,
                                  int8_packed_bytes<Steps>,
                                  int8_pack_transposed<Steps>,
                                  multiply_widened<Steps>};

}  // namespace outlierlab::engine::avx512
