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
inline Sum add(Sum x, Sum y) {
  return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}
inline Sum subtract_product(Sum sum, std::int32_t x, Sum y) {
  const __m256i factor = _mm256_set1_epi32(x);
  return {_mm256_sub_epi32(sum.a, _mm256_mullo_epi32(factor, y.a)),
          _mm256_sub_epi32(sum.b, _mm256_mullo_epi32(factor, y.b))};
}
inline D16 to_double(Sum s) {
  return {{_mm256_cvtepi32_pd(_mm256_castsi256_si128(s.a)),
           _mm256_cvtepi32_pd(_mm256_extracti128_si256(s.a, 1)),
           _mm256_cvtepi32_pd(_mm256_castsi256_si128(s.b)),
           _mm256_cvtepi32_pd(_mm256_extracti128_si256(s.b, 1))}};
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

/// See int8_gemm_bytes_impl.h. A chain takes 2 LENGTH + 1 instructions for each half of a panel instead of 3
/// LENGTH; a wide step takes 5.
struct ByteSteps {
  static constexpr int rows = 5, depth = 4;

  template <int LENGTH>
  struct Chain {
    explicit Chain(const char* steps) : b(steps) {}
    [[gnu::always_inline]] Sum add_to(Sum sum, const char* row, const std::uint16_t* words) const;
    const char* b;
  };

  struct Wide {
    explicit Wide(const char* steps) : b(steps) {}
    [[gnu::always_inline]] Sum add_to(Sum sum, const char* row, const std::uint16_t* words) const {
      __m256i even, odd, t;
      const __m256i low_bytes = _mm256_set1_epi16(255);
      asm("vpbroadcastd %[a], %[odd]\n\t"
          "vpand %[mask], %[odd], %[even]\n\t"
          "vpsrlw $8, %[odd], %[odd]\n\t"
          "vpmaddwd %[w0], %[even], %[t]\n\t"
          "vpmaddwd %[w1], %[even], %[even]\n\t"
          "vpaddd %[t], %[x], %[x]\n\t"
          "vpmaddwd %[w2], %[odd], %[t]\n\t"
          "vpaddd %[even], %[y], %[y]\n\t"
          "vpmaddwd %[w3], %[odd], %[odd]\n\t"
          "vpaddd %[t], %[x], %[x]\n\t"
          "vpaddd %[odd], %[y], %[y]"
          : [x] "+x"(sum.a), [y] "+x"(sum.b), [even] "=&x"(even), [odd] "=&x"(odd), [t] "=&x"(t)
          : [a] "m"(*reinterpret_cast<const AnyWord*>(row + 4 * words[0])),
            [w0] "m"(*reinterpret_cast<const __m256i*>(b)),
            [w1] "m"(*reinterpret_cast<const __m256i*>(b + 32)),
            [w2] "m"(*reinterpret_cast<const __m256i*>(b + 64)),
            [w3] "m"(*reinterpret_cast<const __m256i*>(b + 96)), [mask] "x"(low_bytes));
      return sum;
    }
    const char* b;
  };
};

template <int LENGTH>
inline Sum ByteSteps::Chain<LENGTH>::add_to(Sum sum, const char* row, const std::uint16_t* words) const {
  static_assert(LENGTH == 1 || LENGTH == 2 || LENGTH == 4, "one of the chains below");
  // In one statement each: GCC 12 would else collect products before it adds them, and spill the sums.
#define OUTLIERLAB_FIRST(I) \
  "vpbroadcastd %[a" I      \
  "], %[word]\n\t"          \
  "vpmaddubsw %[low" I      \
  "], %[word], %[x]\n\t"    \
  "vpmaddubsw %[high" I "], %[word], %[y]\n\t"
#define OUTLIERLAB_NEXT(I)      \
  "vpbroadcastd %[a" I          \
  "], %[word]\n\t"              \
  "vpmaddubsw %[low" I          \
  "], %[word], %[t]\n\t"        \
  "vpaddw %[t], %[x], %[x]\n\t" \
  "vpmaddubsw %[high" I         \
  "], %[word], %[t]\n\t"        \
  "vpaddw %[t], %[y], %[y]\n\t"
#define OUTLIERLAB_WIDEN             \
  "vpmaddwd %[ones], %[x], %[x]\n\t" \
  "vpmaddwd %[ones], %[y], %[y]\n\t" \
  "vpaddd %[x], %[a], %[a]\n\t"      \
  "vpaddd %[y], %[b], %[b]"
#define OUTLIERLAB_STEP(I)                                           \
  [a##I] "m"(*reinterpret_cast<const AnyWord*>(row + 4 * words[I])), \
      [low##I] "m"(*reinterpret_cast<const __m256i*>(b + I * 64)),   \
      [high##I] "m"(*reinterpret_cast<const __m256i*>(b + I * 64 + 32))
#define OUTLIERLAB_SUMS \
  [a] "+x"(sum.a), [b] "+x"(sum.b), [word] "=&x"(word), [x] "=&x"(x), [y] "=&x"(y), [t] "=&x"(t)
  __m256i word, x, y, t;
  const __m256i ones = _mm256_set1_epi16(1);
  if constexpr (LENGTH == 1) {
    asm(OUTLIERLAB_FIRST("0") OUTLIERLAB_WIDEN:OUTLIERLAB_SUMS : OUTLIERLAB_STEP(0), [ones] "x"(ones));
  } else if constexpr (LENGTH == 2) {
    asm(OUTLIERLAB_FIRST("0") OUTLIERLAB_NEXT("1") OUTLIERLAB_WIDEN:OUTLIERLAB_SUMS
        : OUTLIERLAB_STEP(0), OUTLIERLAB_STEP(1), [ones] "x"(ones));
  } else {
    asm(OUTLIERLAB_FIRST("0") OUTLIERLAB_NEXT("1") OUTLIERLAB_NEXT("2") OUTLIERLAB_NEXT("3") OUTLIERLAB_WIDEN
:OUTLIERLAB_SUMS
        : OUTLIERLAB_STEP(0), OUTLIERLAB_STEP(1), OUTLIERLAB_STEP(2), OUTLIERLAB_STEP(3), [ones] "x"(ones));
  }
#undef OUTLIERLAB_FIRST
#undef OUTLIERLAB_NEXT
#undef OUTLIERLAB_WIDEN
#undef OUTLIERLAB_STEP
#undef OUTLIERLAB_SUMS
  return sum;
}

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
                                  weight_panel,
                                  multiply_weight};

}  // namespace outlierlab::engine::avx2
