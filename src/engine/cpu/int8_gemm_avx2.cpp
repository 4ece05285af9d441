#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#define OUTLIERLAB_ISA_NAMESPACE avx2
#include "core/simd.h"
#include "engine/cpu/byte_chains.h"

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

/// Four bytes of a row against those of 16 columns: what vpmaddubsw multiplies and adds in pairs to int16.
/// LENGTH steps are added as int16 before they are widened, which takes 2 LENGTH + 1 instructions for each
/// half of a panel instead of 3 LENGTH. Exact where no such sum can leave int16 (see below).
struct ByteSteps {
  static constexpr int rows = 5, depth = 4;

  /// words[i]: the byte offset in the row of the i-th step's word; b: the steps.
  template <int LENGTH>
  [[gnu::always_inline]] static Sum add_chain(Sum sum, const char* row, const std::uint16_t* words,
                                              const char* b) {
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
#define OUTLIERLAB_STEP(I)                                         \
  [a##I] "m"(*reinterpret_cast<const AnyWord*>(row + words[I])),   \
      [low##I] "m"(*reinterpret_cast<const __m256i*>(b + I * 64)), \
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
      asm(OUTLIERLAB_FIRST("0") OUTLIERLAB_NEXT("1") OUTLIERLAB_NEXT("2") OUTLIERLAB_NEXT("3")
          OUTLIERLAB_WIDEN:OUTLIERLAB_SUMS
          : OUTLIERLAB_STEP(0), OUTLIERLAB_STEP(1), OUTLIERLAB_STEP(2), OUTLIERLAB_STEP(3), [ones] "x"(ones));
    }
#undef OUTLIERLAB_FIRST
#undef OUTLIERLAB_NEXT
#undef OUTLIERLAB_WIDEN
#undef OUTLIERLAB_STEP
#undef OUTLIERLAB_SUMS
    return sum;
  }
};

}  // namespace outlierlab::avx2

#include "engine/cpu/int8_gemm_impl.h"

namespace outlierlab::engine::avx2 {
using namespace outlierlab::avx2;

namespace {

// Weights known in advance. vpmaddubsw adds a pair of products u1 w1 + u2 w2 in saturating int16. With codes
// u up to 255 a sum of such products stays in int16 if the weights' positive parts, and their negative parts,
// add up to 128 at most (255 * 128 <= 32767). Symmetric codes of a bell-shaped weight rarely break that for a
// pair. Where they do, the second weight of the pair is cut so far that it holds, and what was cut is a
// correction: (k, column, rest), added to the sums as an integer. A panel with many such pairs is stored as
// int16 instead.
//
// Steps whose sums, too, hold in every column are added before they are widened: in chains of four or of two.
// Which steps those are, the packing chooses, since their order does not matter: the panel says where in the
// row each step's word stands.

struct Correction {
  std::uint16_t k;
  std::uint8_t column;
  std::int8_t rest;
};
constexpr std::int32_t most_corrections = 61;

static_assert(step_bytes == byte_step_bytes, "chains are of this product's steps");

/// Before each panel's steps.
struct PanelHead {
  std::int32_t bytes, count;
  ByteChains chains;
  Correction corrections[most_corrections];
};
static_assert(sizeof(PanelHead) == 256, "keeps the steps aligned");

/// Behind the byte steps, which take half of the room for int16: the offset of each step's word in a row.
std::uint16_t* words_of(char* steps, std::size_t count) {
  return reinterpret_cast<std::uint16_t*>(steps + count * step_bytes);
}
const std::uint16_t* words_of(const char* steps, std::size_t count) {
  return words_of(const_cast<char*>(steps), count);
}

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
  return positive > most_parts ? positive - most_parts : negative > most_parts ? most_parts - negative : 0;
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
    if (head.bytes) {
      const std::size_t count = steps_of<ByteSteps>(depth);
      char* steps = panel + sizeof head;
      head.chains = chain_steps(steps, count, words_of(steps, count));
    } else {
      int8_pack_transposed<Steps>(source + j * stride, stride, here, depth, flip, panel + sizeof head);
    }
  }
}

/// A panel of byte steps.
struct ChainedSteps {
  const PanelHead& head;
  std::size_t steps;

  template <int ROWS, int PANELS>
  [[gnu::always_inline]] void add_to(Sum (&sum)[ROWS][PANELS], const char* row, std::size_t row_bytes) const {
    static_assert(PANELS == 1, "one panel at a time");
    // Copies whose address nobody takes: they stay in registers.
    Sum local[ROWS];
#pragma GCC unroll 5
    for (int r = 0; r < ROWS; ++r) local[r] = sum[r][0];
    const char* b = reinterpret_cast<const char*>(&head + 1);
    const std::uint16_t* words = words_of(b, steps);
    const auto add_chains = [&](auto length, std::size_t count) __attribute__((always_inline)) {
      constexpr int LENGTH = decltype(length)::value;
      for (; count > 0; --count, b += LENGTH * step_bytes, words += LENGTH) {
#pragma GCC unroll 5
        for (int r = 0; r < ROWS; ++r)
          local[r] = ByteSteps::add_chain<LENGTH>(local[r], row + r * row_bytes, words, b);
      }
    };
    const std::size_t fours = head.chains.fours, pairs = head.chains.pairs;
    add_chains(std::integral_constant<int, 4>(), fours);
    add_chains(std::integral_constant<int, 2>(), pairs);
    add_chains(std::integral_constant<int, 1>(), steps - 4 * fours - 2 * pairs);
#pragma GCC unroll 5
    for (int r = 0; r < ROWS; ++r) sum[r][0] = local[r];
    if (head.count > 0) add_rests(sum, row, row_bytes);
  }

 private:
  template <int ROWS>
  void add_rests(Sum (&sum)[ROWS][1], const char* row, std::size_t row_bytes) const {
    for (int r = 0; r < ROWS; ++r) {
      alignas(32) std::int32_t values[16];
      store_sum(values, sum[r][0]);
      const auto* a = reinterpret_cast<const std::uint8_t*>(row + r * row_bytes);
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
          int8_panels<value, 1, ByteSteps::rows>(part, {reinterpret_cast<const char*>(part.a), part.lda},
                                                 ChainedSteps{head, steps_of<ByteSteps>(p.depth)},
                                                 q * panel_cols, gelu);
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
