#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define OUTLIERLAB_ISA_NAMESPACE avx2
#include "core/simd.h"

namespace outlierlab::avx2 {

constexpr std::size_t tile_rows = 6, tile_panels = 1, depth_step = 2;

struct Sum {
  __m256i a, b;
};
using Panel = Sum;

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
inline Panel load_panel(const char* p) {
  return load_sum(reinterpret_cast<const std::int32_t*>(p));
}
inline __m256i broadcast(std::int32_t word) {
  return _mm256_set1_epi32(word);
}
/// Left to itself, GCC 12 collects products before it adds them, and spills the accumulators for it.
inline void add_products(__m256i& sum, __m256i a, __m256i b) {
  __m256i products;
  asm("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(a), "x"(b));
}
inline Sum dot(Sum sum, __m256i a, const Panel& b) {
  add_products(sum.a, a, b.a);
  add_products(sum.b, a, b.b);
  return sum;
}
inline Sum subtract_product(Sum sum, std::int32_t x, Sum y) {
  const __m256i factor = _mm256_set1_epi32(x);
  return {_mm256_sub_epi32(sum.a, _mm256_mullo_epi32(factor, y.a)),
          _mm256_sub_epi32(sum.b, _mm256_mullo_epi32(factor, y.b))};
}
inline F16 to_float(Sum s) {
  return {_mm256_cvtepi32_ps(s.a), _mm256_cvtepi32_ps(s.b)};
}

}  // namespace outlierlab::avx2

#include "engine/cpu/int8_gemm_impl.h"

namespace outlierlab::engine::avx2 {
using namespace outlierlab::avx2;

const Int8Kernels int8_kernels = {"avx2",         tile_rows,       int8_packed_bytes, int8_pack_transposed,
                                  int8_pack_rows, multiply_widened};

}  // namespace outlierlab::engine::avx2
