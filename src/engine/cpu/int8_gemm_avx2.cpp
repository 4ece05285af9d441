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

/// Bytes, whose products are added in pairs to int16: exact where no pair of weights can leave it (see
/// below). A third more products an instruction than int16, at a third less memory than twice.
struct ByteSteps {
  static constexpr int rows = 5, panels = 1, depth = 4;
  using Panel = Sum;
  static Panel load(const char* p) { return Steps::load(p); }
  static __m256i broadcast(std::int32_t word) { return _mm256_set1_epi32(word); }
  static void add_products(__m256i& sum, __m256i a, __m256i b) {
    __m256i products;
    asm("vpmaddubsw %3, %2, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0"
        : "+x"(sum), "=&x"(products)
        : "x"(a), "x"(b), "x"(_mm256_set1_epi16(1)));
  }
  static Sum dot(Sum sum, __m256i a, const Panel& b) {
    add_products(sum.a, a, b.a);
    add_products(sum.b, a, b.b);
    return sum;
  }
};

}  // namespace outlierlab::avx2

#include "engine/cpu/int8_gemm_impl.h"

namespace outlierlab::engine::avx2 {
using namespace outlierlab::avx2;

namespace {

// Weights known in advance. vpmaddubsw adds a pair of products u1 w1 + u2 w2 in saturating int16. With codes
// u up to 255 the pair stays exact if the weights' positive parts, and their negative parts, add up to 128 at
// most (255 * 128 <= 32767). Symmetric codes of a bell-shaped weight rarely break that. Where they do, the
// second weight of the pair is cut so far that it holds, and what was cut is a correction: (k, column, rest),
// added to the sums as an integer. A panel with many such pairs is stored as int16 instead.

struct Correction {
  std::uint16_t k;
  std::uint8_t column;
  std::int8_t rest;
};
constexpr std::int32_t most_corrections = 62, pair_limit = 128;

/// Before each panel's steps.
struct PanelHead {
  std::int32_t bytes, count;
  Correction corrections[most_corrections];
};
static_assert(sizeof(PanelHead) == 256, "keeps the steps aligned");

std::size_t weight_panel_bytes(std::size_t depth) {
  return sizeof(PanelHead) + steps_of<Steps>(depth) * step_bytes;
}

std::size_t weight_bytes(std::size_t depth, std::size_t cols) {
  return (cols + panel_cols - 1) / panel_cols * weight_panel_bytes(depth);
}

/// How far the pair's weights must come down; with the sign of both.
int excess(int w1, int w2) {
  const int positive = (w1 > 0 ? w1 : 0) + (w2 > 0 ? w2 : 0),
            negative = (w1 < 0 ? -w1 : 0) + (w2 < 0 ? -w2 : 0);
  return positive > pair_limit ? positive - pair_limit : negative > pair_limit ? pair_limit - negative : 0;
}

/// Fills the head and the byte steps; false if the panel has too many corrections to be worth it.
bool pack_bytes(const std::int8_t* source, std::size_t stride, std::size_t cols, std::size_t depth,
                PanelHead& head, char* steps) {
  const std::size_t limit = depth / 16 < most_corrections ? depth / 16 : most_corrections;
  if (depth > 65535) return false;
  __builtin_memset(steps, 0, steps_of<ByteSteps>(depth) * step_bytes);
  head.count = 0;
  for (std::size_t c = 0; c < cols; ++c) {
    const std::int8_t* row = source + c * stride;
    for (std::size_t k = 0; k < depth; k += 2) {
      const int first = row[k], second = k + 1 < depth ? row[k + 1] : 0, rest = excess(first, second);
      put<ByteSteps>(steps + k / 4 * step_bytes, c, k, first);
      if (k + 1 < depth) put<ByteSteps>(steps + (k + 1) / 4 * step_bytes, c, k + 1, second - rest);
      if (rest == 0) continue;
      if (static_cast<std::size_t>(head.count) >= limit) return false;
      head.corrections[head.count++] = {static_cast<std::uint16_t>(k + 1), static_cast<std::uint8_t>(c),
                                        static_cast<std::int8_t>(rest)};
    }
  }
  return true;
}

void pack_weight(const std::int8_t* source, std::size_t stride, std::size_t cols, std::size_t depth, int flip,
                 void* packed) {
  for (std::size_t j = 0; j < cols; j += panel_cols) {
    char* panel = static_cast<char*>(packed) + j / panel_cols * weight_panel_bytes(depth);
    PanelHead& head = *reinterpret_cast<PanelHead*>(panel);
    const std::size_t here = cols - j < panel_cols ? cols - j : panel_cols;
    head.bytes = flip == 0 && pack_bytes(source + j * stride, stride, here, depth, head, panel + sizeof head);
    if (!head.bytes)
      int8_pack_transposed<Steps>(source + j * stride, stride, here, depth, flip, panel + sizeof head);
  }
}

/// Adds a panel's corrections to the sums of a tile.
struct AddRests {
  const PanelHead& head;
  const Int8Product& p;
  template <int ROWS, int PANELS>
  void operator()(Sum (&sum)[ROWS][PANELS], std::size_t r0) const {
    static_assert(PANELS == 1, "one panel at a time");
    if (head.count == 0) return;
    for (int r = 0; r < ROWS; ++r) {
      alignas(32) std::int32_t values[16];
      store_sum(values, sum[r][0]);
      const std::uint8_t* a = p.a + (r0 + r) * p.lda;
      for (std::int32_t i = 0; i < head.count; ++i) {
        const Correction& c = head.corrections[i];
        values[c.column] += a[c.k] * c.rest;
      }
      sum[r][0] = load_sum(values);
    }
  }
};

void multiply_weight(const Int8Product& p) {
  const std::size_t panel_bytes = weight_panel_bytes(p.depth),
                    panels = (p.cols + panel_cols - 1) / panel_cols;
  const char* b = static_cast<const char*>(p.b);
  bool any_wide = false;
  for (std::size_t q = 0; q < panels; ++q)
    any_wide = any_wide || !reinterpret_cast<const PanelHead*>(b + q * panel_bytes)->bytes;
  in_widened_chunks(p, 60, any_wide, [&](const Int8Product& part, Words wide) {
    with_finish(p.finish, [&](auto finish, const GeluCoefficients* gelu) {
      constexpr Finish value = decltype(finish)::value;
      for (std::size_t q = 0; q < panels; ++q) {
        const char* panel = b + q * panel_bytes;
        const PanelHead& head = *reinterpret_cast<const PanelHead*>(panel);
        if (head.bytes) {
          int8_panels<ByteSteps, value, 1>(part, {reinterpret_cast<const char*>(part.a), part.lda},
                                           panel + sizeof head, 0, q * panel_cols, gelu,
                                           AddRests{head, part});
        } else {
          int8_panels<Steps, value, 1>(part, wide, panel + sizeof head, 0, q * panel_cols, gelu);
        }
      }
    });
  });
}

}  // namespace

const Int8Kernels int8_kernels = {"avx2",
                                  int8_packed_bytes<Steps>,
                                  int8_pack_transposed<Steps>,
                                  int8_pack_rows<Steps>,
                                  multiply_widened<Steps>,
                                  weight_bytes,
                                  pack_weight,
                                  multiply_weight};

}  // namespace outlierlab::engine::avx2
