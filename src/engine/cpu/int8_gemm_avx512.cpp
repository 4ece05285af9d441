#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define OUTLIERLAB_ISA_NAMESPACE avx512
#include "engine/cpu/avx512_sums.h"

namespace outlierlab::avx512 {

/// Both operands as int16: exact for all codes.
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

/// See int8_gemm_bytes_impl.h. A chain takes 2 LENGTH + 1 instructions instead of 3 LENGTH; a
/// wide step takes 6.
struct ByteSteps {
  static constexpr int rows = 8, depth = 4;

  template <int LENGTH>
  struct Chain {
    explicit Chain(const char* b) {
      for (int i = 0; i < LENGTH; ++i) steps[i] = _mm512_loadu_si512(b + i * 64);
    }
    [[gnu::always_inline]] Sum add_to(Sum sum, const char* row, const std::uint16_t* words) const {
      __m512i pairs = products(row + 4 * words[0], steps[0]);
      for (int i = 1; i < LENGTH; ++i)
        pairs = _mm512_add_epi16(pairs, products(row + 4 * words[i], steps[i]));
      return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
    }
    static __m512i products(const char* word, __m512i step) {
      std::int32_t four;
      __builtin_memcpy(&four, word, sizeof four);
      return _mm512_maddubs_epi16(_mm512_set1_epi32(four), step);
    }
    __m512i steps[LENGTH];
  };

  struct Wide {
    explicit Wide(const char* b) : even(_mm512_loadu_si512(b)), odd(_mm512_loadu_si512(b + 64)) {}
    [[gnu::always_inline]] Sum add_to(Sum sum, const char* row, const std::uint16_t* words) const {
      std::int32_t four;
      __builtin_memcpy(&four, row + 4 * words[0], sizeof four);
      const __m512i bytes = _mm512_set1_epi32(four);
      const __m512i first = _mm512_madd_epi16(_mm512_and_si512(bytes, _mm512_set1_epi16(255)), even),
                    second = _mm512_madd_epi16(_mm512_srli_epi16(bytes, 8), odd);
      return _mm512_add_epi32(sum, _mm512_add_epi32(first, second));
    }
    __m512i even, odd;
  };
};

}  // namespace outlierlab::avx512

#include "engine/cpu/int8_gemm_bytes_impl.h"

namespace outlierlab::engine::avx512 {
using namespace outlierlab::avx512;

const Int8Kernels int8_kernels = {"avx512",
                                  int8_packed_bytes<Steps>,
                                  int8_pack_transposed<Steps>,
                                  int8_pack_rows<Steps>,
                                  multiply_widened<Steps>,
                                  weight_bytes,
                                  pack_weight,
                                  weight_panel,
                                  multiply_weight};

}  // namespace outlierlab::engine::avx512
