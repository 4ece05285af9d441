#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define OUTLIERLAB_ISA_NAMESPACE avx2
#include "core/simd.h"

namespace outlierlab::avx2 {

struct Sum {
  __m256i a, b;
};

inline Sum zero_sum() {
  return {_mm256_setzero_si256(), _mm256_setzero_si256()};
}
inline Sum load_sum(const std::int32_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 8))};
}
inline void store_sum(std::int32_t* p, Sum s) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), s.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), s.b);
}
inline void store_sum_first(std::int32_t* p, Sum s, int n) {
  _mm256_maskstore_epi32(p, lanes_below(n, 0), s.a);
  _mm256_maskstore_epi32(p + 8, lanes_below(n, 8), s.b);
}
inline Sum subtract_product(Sum sum, std::int32_t x, Sum y) {
  const __m256i factor = _mm256_set1_epi32(x);
  return {_mm256_sub_epi32(sum.a, _mm256_mullo_epi32(factor, y.a)),
          _mm256_sub_epi32(sum.b, _mm256_mullo_epi32(factor, y.b))};
}
inline F16 to_float(Sum s) {
  return {_mm256_cvtepi32_ps(s.a), _mm256_cvtepi32_ps(s.b)};
}

/// Both operands as int16: exact for all codes.
struct Steps {
  static constexpr int rows = 6, panels = 1, depth = 2;
  using Panel = Sum;
  static Panel load(const char* p) { return load_sum(reinterpret_cast<const std::int32_t*>(p)); }
  static __m256i broadcast(std::int32_t word) { return _mm256_set1_epi32(word); }
  /// Left to itself, GCC 12 collects products before it adds them, and spills the accumulators for it.
  static void add_products(__m256i& sum, __m256i a, __m256i b) {
    __m256i products;
    asm("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(a), "x"(b));
  }
  static Sum dot(Sum sum, __m256i a, const Panel& b) {
    add_products(sum.a, a, b.a);
    add_products(sum.b, a, b.b);
    return sum;
  }
};

using AnyWord = std::int32_t __attribute__((may_alias));

/// See int8_gemm_bytes_impl.h. Besides a broadcast per step, a chain takes 2 LENGTH + 1 instructions instead
/// of 3 LENGTH, one more with a shift; a wide step takes 6.
struct ByteSteps {
  static constexpr int rows = 6, depth = 4;
  static constexpr std::size_t columns = 8;
  using Lanes = __m256i;
  static Lanes& strip(Sum& sum, std::size_t s) { return s == 0 ? sum.a : sum.b; }
  static __m256i load_step(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static Lanes plus(Lanes lanes, const std::int32_t* p) { return _mm256_add_epi32(lanes, load_step(p)); }

  template <int LENGTH, bool SHIFTED>
  struct Chain {
    explicit Chain(const char* b) {
      if constexpr (SHIFTED) shift = load_step(b);
      for (int i = 0; i < LENGTH; ++i) steps[i] = load_step(b + (i + SHIFTED) * 32);
    }
    [[gnu::always_inline]] __m256i add_to(__m256i sum, const char* row, const std::uint16_t* words) const {
      __m256i pairs = products(row, words[0], steps[0]);
      if constexpr (SHIFTED) add_pairs(pairs, shift);
      for (int i = 1; i < LENGTH; ++i) add_products(pairs, row, words[i], steps[i]);
      widen(sum, pairs);
      return sum;
    }
    __m256i shift, steps[LENGTH];
  };

  // GCC 12, left to itself, collects products before it adds them, and spills the sums for it.
  static __m256i products(const char* row, std::size_t word, __m256i step) {
    __m256i pairs;
    asm("vpbroadcastd %[word], %[pairs]\n\t"
        "vpmaddubsw %[step], %[pairs], %[pairs]"
        : [pairs] "=&x"(pairs)
        : [word] "m"(word_at(row, word)), [step] "x"(step));
    return pairs;
  }
  static void add_products(__m256i& pairs, const char* row, std::size_t word, __m256i step) {
    __m256i more;
    asm("vpbroadcastd %[word], %[more]\n\t"
        "vpmaddubsw %[step], %[more], %[more]\n\t"
        "vpaddw %[more], %[pairs], %[pairs]"
        : [pairs] "+x"(pairs), [more] "=&x"(more)
        : [word] "m"(word_at(row, word)), [step] "x"(step));
  }
  static void add_pairs(__m256i& pairs, __m256i shift) {
    asm("vpaddw %[shift], %[pairs], %[pairs]" : [pairs] "+x"(pairs) : [shift] "x"(shift));
  }
  static void widen(__m256i& sum, __m256i pairs) {
    asm("vpmaddwd %[ones], %[pairs], %[pairs]\n\t"
        "vpaddd %[pairs], %[sum], %[sum]"
        : [sum] "+x"(sum), [pairs] "+x"(pairs)
        : [ones] "x"(_mm256_set1_epi16(1)));
  }
  static const AnyWord& word_at(const char* row, std::size_t word) {
    return *reinterpret_cast<const AnyWord*>(row + 4 * word);
  }

  struct Wide {
    explicit Wide(const char* b) : even(load_step(b)), odd(load_step(b + 32)) {}
    [[gnu::always_inline]] __m256i add_to(__m256i sum, const char* row, const std::uint16_t* words) const {
      __m256i x, y;
      const __m256i low_bytes = _mm256_set1_epi16(255);
      asm("vpbroadcastd %[word], %[y]\n\t"
          "vpand %[mask], %[y], %[x]\n\t"
          "vpsrlw $8, %[y], %[y]\n\t"
          "vpmaddwd %[even], %[x], %[x]\n\t"
          "vpmaddwd %[odd], %[y], %[y]\n\t"
          "vpaddd %[x], %[sum], %[sum]\n\t"
          "vpaddd %[y], %[sum], %[sum]"
          : [sum] "+x"(sum), [x] "=&x"(x), [y] "=&x"(y)
          : [word] "m"(word_at(row, words[0])), [even] "x"(even), [odd] "x"(odd), [mask] "x"(low_bytes));
      return sum;
    }
    __m256i even, odd;
  };
};

}  // namespace outlierlab::avx2

#include "engine/cpu/int8_gemm_bytes_impl.h"

namespace outlierlab::engine::avx2 {
using namespace outlierlab::avx2;

const Int8Kernels int8_kernels = {"avx2",
                                  int8_packed_bytes<Steps>,
                                  int8_pack_transposed<Steps>,
                                  int8_pack_rows<Steps>,
                                  multiply_widened<Steps>,
                                  weight_bytes,
                                  pack_weight,
                                  multiply_weight};

}  // namespace outlierlab::engine::avx2
