// The product of int8_gemm.h, written once. The file that includes this defines, in its namespace, what
// differs between instruction sets:
//
//   Sum                     16 int32 lanes: zero_sum(), load_sum(p), store_sum(p, s),
//                           store_sum_first(p, s, n), to_float(s),
//                           add(s, t), subtract_product(s, x, y) = s - x * y with x in every lane,
//                           to_double(s)
//   a struct S of one step:
//     S::rows, S::panels    the register tile
//     S::depth              how many k one 32-bit word of a row holds: 4 bytes, or 2 int16
//     S::Panel, S::load(p)  one step of 16 columns of b
//     S::broadcast(word)    a word of a row for S::dot(sum, a, panel), which adds the
//                           S::depth products to each column's sum
//
// Sets without an instruction that multiplies unsigned by signed bytes exactly (AVX2's saturates) widen both
// to int16; for weights, see int8_gemm_bytes_impl.h.
#pragma once

#include <type_traits>

#include "core/simd.h"
#include "engine/cpu/gelu_impl.h"
#include "engine/cpu/int8_gemm.h"

namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE {

using engine::Finish;
using engine::Int8Product;

constexpr std::size_t panel_cols = 16, step_bytes = 64;

template <typename S>
inline std::size_t steps_of(std::size_t depth) {
  return (depth + 3) / 4 * (4 / S::depth);
}

/// How a tile ends: Int8Product::finish, and whether there is a `partial`.
template <Finish FINISH, bool PARTIAL>
struct Ending {
  static constexpr Finish finish = FINISH;
  static constexpr bool partial = PARTIAL;
};

/// The operand a as the tile reads it: one 32-bit word per step.
struct Words {
  const char* first;
  std::size_t row_bytes;
};

/// Stores sixteen codes of row r, or the first `kept` of them, given as steps of the grid.
inline void store_steps(const Int8Product& p, F16 steps, std::size_t r, std::size_t j, int kept) {
  steps = min(max(steps, splat(p.low)), splat(p.high));
  unsigned char* target = static_cast<unsigned char*>(p.c) + r * p.ldc + j;
  if (kept == static_cast<int>(panel_cols)) {
    store_codes(target, steps, splat(p.offset));
  } else {
    store_bytes_first(target, round_even(steps) + splat(p.offset), kept);
  }
}

/// Stores sixteen finished values of row r, or the first `kept` of them, as End says.
template <typename End>
[[gnu::always_inline]] inline void store_values(const Int8Product& p, F16 v, std::size_t r, std::size_t j,
                                                int kept, const engine::GeluCoefficients* gelu) {
  const bool whole = kept == static_cast<int>(panel_cols);
  if constexpr (End::finish == Finish::real) {
    float* target = static_cast<float*>(p.c) + r * p.ldc + j;
    if (whole) {
      store(target, v);
    } else {
      store_first(target, v, kept);
    }
  } else {
    if constexpr (End::finish == Finish::gelu_codes) v = gelu_of(v, *gelu);
    store_steps(p, fma(v, splat(p.inverse), v * splat(p.inverse_rest)), r, j, kept);
  }
}

/// The value of sums of a row with a grid of its own.
inline F16 value_by_row(const Int8Product& p, Sum sum, std::size_t r, std::size_t j, F16 addend) {
  const F16 v = to_float(subtract_product(sum, p.row_zero[r], load_sum(p.col_sum + j)));
  const F16 row = splat(p.row_scale[r]), col = load(p.col_scale + j), scale = row * col;
  return fma(v, scale, fma(v, fma(row, col, splat(0.0f) - scale), addend));
}

/// What is added to the product of row r: the partial sums or the bias.
template <typename End>
[[gnu::always_inline]] inline F16 addend_of(const Int8Product& p, std::size_t r, std::size_t j, int kept) {
  if constexpr (End::partial) {
    const float* partial = p.partial + r * p.partial_stride + j;
    return kept == static_cast<int>(panel_cols) ? load(partial) : load_first(partial, kept);
  }
  // Adding -0 changes no value, not even a zero's sign.
  return p.bias ? load(p.bias + j) : splat(-0.0f);
}

/// Codes of such rows: rare, and kept out of the tiles.
template <typename End>
[[gnu::noinline, gnu::cold]] void codes_by_row(const Int8Product& p, Sum sum, std::size_t r, std::size_t j,
                                               int kept, const engine::GeluCoefficients* gelu) {
  store_values<End>(p, value_by_row(p, sum, r, j, addend_of<End>(p, r, j, kept)), r, j, kept, gelu);
}

/// What becomes of sixteen sums of row r. In line, or the sums of the tile's other rows would leave their
/// registers.
template <typename End>
[[gnu::always_inline]] inline void finish_vector(const Int8Product& p, Sum sum, std::size_t r, std::size_t j,
                                                 int kept, const engine::GeluCoefficients* gelu) {
  constexpr Finish finish = End::finish;
  if constexpr (finish == Finish::sums) {
    std::int32_t* target = static_cast<std::int32_t*>(p.c) + r * p.ldc + j;
    if (kept == static_cast<int>(panel_cols)) {
      store_sum(target, sum);
    } else {
      store_sum_first(target, sum, kept);
    }
    return;
  }
  if (p.row_sum) sum = subtract_product(sum, p.row_sum[r], load_sum(p.col_zero + j));
  if constexpr (finish != Finish::real) {
    if (__builtin_expect(p.row_scale != nullptr, 0)) return codes_by_row<End>(p, sum, r, j, kept, gelu);
  }
  if constexpr (finish == Finish::codes && !End::partial) {
    const D16 exact = to_double(add(sum, load_sum(p.col_shift + j)));
    const D16 steps = fma(exact, load_doubles(p.col_factor + j), load_doubles(p.col_addend + j));
    return store_steps(p, narrow(round_even(steps)), r, j, kept);
  }
  const F16 addend = addend_of<End>(p, r, j, kept);
  F16 v;
  if (p.row_scale) {
    v = value_by_row(p, sum, r, j, addend);
  } else {
    v = to_float(add(sum, load_sum(p.col_shift + j)));
    v = fma(v, load(p.col_scale + j), fma(v, load(p.col_rest + j), addend));
  }
  store_values<End>(p, v, r, j, kept, gelu);
}

/// All steps of PANELS panels, in their order.
template <typename S>
struct StepByStep {
  const char* b;
  std::size_t panel_bytes, steps;
  template <int ROWS, int PANELS>
  void add_to(Sum (&sum)[ROWS][PANELS], const char* row, std::size_t row_bytes) const {
    for (std::size_t s = 0; s < steps; ++s) {
      typename S::Panel panel[PANELS];
#pragma GCC unroll 2
      for (int q = 0; q < PANELS; ++q) panel[q] = S::load(b + q * panel_bytes + s * step_bytes);
#pragma GCC unroll 14
      for (int r = 0; r < ROWS; ++r) {
        std::int32_t word;
        __builtin_memcpy(&word, row + r * row_bytes + s * 4, 4);
        const auto spread = S::broadcast(word);
#pragma GCC unroll 2
        for (int q = 0; q < PANELS; ++q) sum[r][q] = S::dot(sum[r][q], spread, panel[q]);
      }
    }
  }
};

/// `products` adds those of ROWS rows of a with PANELS panels to their sums.
template <typename End, int ROWS, int PANELS, typename Products>
inline void int8_tile(const Int8Product& p, Words a, const Products& products, std::size_t r0, std::size_t j0,
                      const engine::GeluCoefficients* gelu) {
  Sum sum[ROWS][PANELS];
#pragma GCC unroll 14
  for (int r = 0; r < ROWS; ++r) {
#pragma GCC unroll 2
    for (int q = 0; q < PANELS; ++q) sum[r][q] = zero_sum();
  }
  products.add_to(sum, a.first + r0 * a.row_bytes, a.row_bytes);
#pragma GCC unroll 2
  for (int q = 0; q < PANELS; ++q) {
    const std::size_t j = j0 + q * panel_cols;
    const int kept = p.cols - j < panel_cols ? static_cast<int>(p.cols - j) : static_cast<int>(panel_cols);
#pragma GCC unroll 14
    for (int r = 0; r < ROWS; ++r) finish_vector<End>(p, sum[r][q], r0 + r, j, kept, gelu);
  }
}

template <typename End, int PANELS, int ROWS, typename Products>
inline void int8_rows(std::size_t rows, const Int8Product& p, Words a, const Products& products,
                      std::size_t r0, std::size_t j0, const engine::GeluCoefficients* gelu) {
  if (rows == ROWS) {
    int8_tile<End, ROWS, PANELS>(p, a, products, r0, j0, gelu);
  } else if constexpr (ROWS > 1) {
    int8_rows<End, PANELS, ROWS - 1>(rows, p, a, products, r0, j0, gelu);
  }
}

/// All rows of PANELS panels from column j on, HEIGHT rows at a time.
template <typename End, int PANELS, int HEIGHT, typename Products>
inline void int8_panels(const Int8Product& p, Words a, const Products& products, std::size_t j,
                        const engine::GeluCoefficients* gelu) {
  for (std::size_t r = 0; r < p.rows; r += HEIGHT) {
    const std::size_t here = p.rows - r < HEIGHT ? p.rows - r : HEIGHT;
    int8_rows<End, PANELS, HEIGHT>(here, p, a, products, r, j, gelu);
  }
}

/// The same for panels that hold steps of S alone.
template <typename S, typename End, int PANELS>
inline void int8_panels(const Int8Product& p, Words a, const char* b, std::size_t panel_bytes, std::size_t j,
                        const engine::GeluCoefficients* gelu) {
  int8_panels<End, PANELS, S::rows>(p, a, StepByStep<S>{b, panel_bytes, steps_of<S>(p.depth)}, j, gelu);
}

template <typename S, typename End>
inline void int8_multiply(const Int8Product& p, Words a, const engine::GeluCoefficients* gelu) {
  const std::size_t panel_bytes = steps_of<S>(p.depth) * step_bytes;
  const char* b = static_cast<const char*>(p.b);
  for (std::size_t j = 0; j < p.cols;) {
    const char* panels = b + j / panel_cols * panel_bytes;
    const bool two = S::panels == 2 && p.cols - j > panel_cols;
    if (two) {
      int8_panels<S, End, S::panels>(p, a, panels, panel_bytes, j, gelu);
    } else {
      int8_panels<S, End, 1>(p, a, panels, panel_bytes, j, gelu);
    }
    j += two ? 2 * panel_cols : panel_cols;
  }
}

/// Calls f with how the product's tiles end and GELU's table where it is needed.
template <typename Function>
inline void with_ending(const Int8Product& p, Function f) {
  const auto with = [&](auto partial) {
    constexpr bool PARTIAL = decltype(partial)::value;
    switch (p.finish) {
      case Finish::sums:
        return f(Ending<Finish::sums, false>(), nullptr);
      case Finish::real:
        return f(Ending<Finish::real, PARTIAL>(), nullptr);
      case Finish::codes:
        return f(Ending<Finish::codes, PARTIAL>(), nullptr);
      case Finish::gelu_codes:
        return f(Ending<Finish::gelu_codes, PARTIAL>(), &engine::gelu_coefficients());
    }
  };
  p.partial ? with(std::true_type()) : with(std::false_type());
}

template <typename S>
inline void multiply_words(const Int8Product& p, Words a) {
  with_ending(p, [&](auto end, const engine::GeluCoefficients* gelu) {
    int8_multiply<S, decltype(end)>(p, a, gelu);
  });
}

inline std::size_t bytes_of_result(Finish finish) {
  return finish == Finish::codes || finish == Finish::gelu_codes ? 1 : 4;
}

/// The rows [r, r + count) of a product.
inline Int8Product rows_of(const Int8Product& p, std::size_t r, std::size_t count) {
  Int8Product part = p;
  part.a = p.a + r * p.lda;
  part.rows = count;
  part.c = static_cast<char*>(p.c) + r * p.ldc * bytes_of_result(p.finish);
  if (p.row_scale) {
    part.row_scale = p.row_scale + r;
    part.row_zero = p.row_zero + r;
  }
  if (p.row_sum) part.row_sum = p.row_sum + r;
  if (p.partial) part.partial = p.partial + r * p.partial_stride;
  return part;
}

inline void widen(const Int8Product& p, std::size_t depth, std::int16_t* wide) {
  for (std::size_t i = 0; i < p.rows; ++i) {
    for (std::size_t k = 0; k < depth; ++k) wide[i * depth + k] = p.a[i * p.lda + k];
  }
}

/// The product with rows of a widened to int16, a chunk at a time, so that the copy stays in the cache.
template <typename S>
inline void multiply_widened(const Int8Product& p) {
  constexpr std::size_t chunk = 4 * S::rows, capacity = 48 * 1024;
  const std::size_t depth = (p.depth + 3) / 4 * 4;
  std::int16_t small[capacity];
  std::int16_t* wide = chunk * depth > capacity ? new std::int16_t[chunk * depth] : small;
  for (std::size_t r = 0; r < p.rows; r += chunk) {
    const Int8Product part = rows_of(p, r, p.rows - r < chunk ? p.rows - r : chunk);
    widen(part, depth, wide);
    multiply_words<S>(part, {reinterpret_cast<const char*>(wide), depth * 2});
  }
  if (wide != small) delete[] wide;
}

template <typename S>
inline std::size_t int8_packed_bytes(std::size_t depth, std::size_t cols) {
  return (cols + panel_cols - 1) / panel_cols * steps_of<S>(depth) * step_bytes;
}

template <typename S>
inline std::size_t int8_panel_bytes(const void* /*packed*/, std::size_t depth) {
  return int8_packed_bytes<S>(depth, panel_cols);
}

/// An element of the packed b: a byte or an int16.
template <typename S>
inline void put(char* step, std::size_t column, std::size_t k, int code) {
  if constexpr (S::depth == 4) {
    step[column * 4 + k % 4] = static_cast<char>(code);
  } else {
    const std::int16_t value = static_cast<std::int16_t>(code);
    __builtin_memcpy(step + column * 4 + k % 2 * 2, &value, 2);
  }
}

inline int code_of(std::int8_t stored, int flip) {
  return flip ? static_cast<int>(static_cast<std::uint8_t>(stored)) - flip : stored;
}

template <typename S>
inline void int8_pack_transposed(const std::int8_t* source, std::size_t stride, std::size_t cols,
                                 std::size_t depth, int flip, void* packed) {
  const std::size_t steps = steps_of<S>(depth);
  for (std::size_t j = 0; j < cols; j += panel_cols) {
    char* panel = static_cast<char*>(packed) + j / panel_cols * steps * step_bytes;
    const std::size_t here = cols - j < panel_cols ? cols - j : panel_cols;
    if (here < panel_cols || depth % 4) __builtin_memset(panel, 0, steps * step_bytes);
    for (std::size_t c = 0; c < here; ++c) {
      const std::int8_t* row = source + (j + c) * stride;
      std::size_t k = 0;
      if constexpr (S::depth == 4) {
        const std::uint32_t mask = flip ? 0x80808080u : 0u;
        for (; k + 4 <= depth; k += 4) {
          std::uint32_t word;
          __builtin_memcpy(&word, row + k, 4);
          word ^= mask;
          __builtin_memcpy(panel + k / 4 * step_bytes + c * 4, &word, 4);
        }
      }
      for (; k < depth; ++k) put<S>(panel + k / S::depth * step_bytes, c, k, code_of(row[k], flip));
    }
  }
}

/// Of a kernel that multiplies weights as it does the rest.
template <typename S>
inline std::size_t int8_pack_weight(const std::int8_t* source, std::size_t stride, std::size_t cols,
                                    std::size_t depth, int flip, void* packed) {
  int8_pack_transposed<S>(source, stride, cols, depth, flip, packed);
  return int8_packed_bytes<S>(depth, cols);
}

template <typename S>
inline void int8_pack_rows(const std::int8_t* source, std::size_t stride, std::size_t cols, std::size_t depth,
                           int flip, void* packed) {
  const std::size_t steps = steps_of<S>(depth);
  for (std::size_t j = 0; j < cols; j += panel_cols) {
    char* panel = static_cast<char*>(packed) + j / panel_cols * steps * step_bytes;
    const std::size_t here = cols - j < panel_cols ? cols - j : panel_cols;
    const bool whole = here == panel_cols;
    if (!whole || depth % 4) __builtin_memset(panel, 0, steps * step_bytes);
    std::size_t k = 0;
#if defined(__AVX2__)
    if constexpr (S::depth == 4) {
      const __m128i mask = _mm_set1_epi8(static_cast<char>(flip ? 0x80 : 0));
      for (; whole && k + 4 <= depth; k += 4) {
        const std::int8_t* from = source + k * stride + j;
        const auto row = [&](std::size_t i) {
          return _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * stride)), mask);
        };
        const __m128i a = _mm_unpacklo_epi8(row(0), row(1)), b = _mm_unpackhi_epi8(row(0), row(1));
        const __m128i c = _mm_unpacklo_epi8(row(2), row(3)), d = _mm_unpackhi_epi8(row(2), row(3));
        __m128i* to = reinterpret_cast<__m128i*>(panel + k / 4 * step_bytes);
        _mm_storeu_si128(to, _mm_unpacklo_epi16(a, c));
        _mm_storeu_si128(to + 1, _mm_unpackhi_epi16(a, c));
        _mm_storeu_si128(to + 2, _mm_unpacklo_epi16(b, d));
        _mm_storeu_si128(to + 3, _mm_unpackhi_epi16(b, d));
      }
    }
#endif
    for (; k < depth; ++k) {
      for (std::size_t c = 0; c < here; ++c)
        put<S>(panel + k / S::depth * step_bytes, c, k, code_of(source[k * stride + j + c], flip));
    }
  }
}

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
