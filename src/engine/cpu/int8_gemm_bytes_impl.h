// The product of int8_gemm.h for weights, on CPUs whose product of unsigned by signed bytes saturates
// (vpmaddubsw): written once. The file that includes this defines in its namespace, besides what
// int8_gemm_impl.h asks for (Steps: both operands as int16),
//
//   ByteSteps::rows            the register tile, one panel wide
//   ByteSteps::depth           4
//   ByteSteps::Chain<L>        L steps of a panel (1, 2 or 4), made of where they begin
//     chain.add_to(sum, row, words)
//                              sum and the products of the bytes at row + words[i] with step i: their pairs
//                              are added as int16, over all of the chain, before they are widened
//
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
#pragma once

#include <type_traits>

#include "engine/cpu/byte_chains.h"
#include "engine/cpu/int8_gemm_impl.h"

namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE {

using engine::ByteChains;
using engine::most_parts;

struct Correction {
  std::uint16_t k;
  std::uint8_t column;
  std::int8_t rest;
};
constexpr std::int32_t most_corrections = 61;

static_assert(step_bytes == engine::byte_step_bytes, "chains are of this product's steps");

/// Before each panel's steps.
struct PanelHead {
  std::int32_t bytes, count;
  ByteChains chains;
  Correction corrections[most_corrections];
};
static_assert(sizeof(PanelHead) == 256, "keeps the steps aligned");

/// Behind the byte steps, which take half of the room for int16: the offset of each step's word in a row.
inline std::uint16_t* words_of(char* steps, std::size_t count) {
  return reinterpret_cast<std::uint16_t*>(steps + count * step_bytes);
}
inline const std::uint16_t* words_of(const char* steps, std::size_t count) {
  return words_of(const_cast<char*>(steps), count);
}

inline std::size_t weight_panel_bytes(std::size_t depth) {
  return sizeof(PanelHead) + steps_of<Steps>(depth) * step_bytes;
}

inline std::size_t weight_bytes(std::size_t depth, std::size_t cols) {
  return (cols + panel_cols - 1) / panel_cols * weight_panel_bytes(depth);
}

/// How far the pair's weights must come down; with the sign of both.
inline int excess(int w1, int w2) {
  const int positive = (w1 > 0 ? w1 : 0) + (w2 > 0 ? w2 : 0),
            negative = (w1 < 0 ? -w1 : 0) + (w2 < 0 ? -w2 : 0);
  return positive > most_parts ? positive - most_parts : negative > most_parts ? most_parts - negative : 0;
}

/// Fills the head and the byte steps; false if the panel has too many corrections to be worth it.
inline bool pack_bytes(const std::int8_t* source, std::size_t stride, std::size_t cols, std::size_t depth,
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

inline void pack_weight(const std::int8_t* source, std::size_t stride, std::size_t cols, std::size_t depth,
                        int flip, void* packed) {
  for (std::size_t j = 0; j < cols; j += panel_cols) {
    char* panel = static_cast<char*>(packed) + j / panel_cols * weight_panel_bytes(depth);
    PanelHead& head = *reinterpret_cast<PanelHead*>(panel);
    const std::size_t here = cols - j < panel_cols ? cols - j : panel_cols;
    head.bytes = flip == 0 && pack_bytes(source + j * stride, stride, here, depth, head, panel + sizeof head);
    if (head.bytes) {
      const std::size_t count = steps_of<ByteSteps>(depth);
      char* steps = panel + sizeof head;
      head.chains = engine::chain_steps(steps, count, words_of(steps, count));
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
#pragma GCC unroll 12
    for (int r = 0; r < ROWS; ++r) local[r] = sum[r][0];
    const char* b = reinterpret_cast<const char*>(&head + 1);
    const std::uint16_t* words = words_of(b, steps);
    const auto add_chains = [&](auto length, std::size_t count) __attribute__((always_inline)) {
      constexpr int LENGTH = decltype(length)::value;
      for (; count > 0; --count, b += LENGTH * step_bytes, words += LENGTH) {
        const ByteSteps::Chain<LENGTH> chain(b);
#pragma GCC unroll 12
        for (int r = 0; r < ROWS; ++r) local[r] = chain.add_to(local[r], row + r * row_bytes, words);
      }
    };
    const std::size_t fours = head.chains.fours, pairs = head.chains.pairs;
    add_chains(std::integral_constant<int, 4>(), fours);
    add_chains(std::integral_constant<int, 2>(), pairs);
    add_chains(std::integral_constant<int, 1>(), steps - 4 * fours - 2 * pairs);
#pragma GCC unroll 12
    for (int r = 0; r < ROWS; ++r) sum[r][0] = local[r];
    if (head.count > 0) add_rests(sum, row, row_bytes);
  }

 private:
  template <int ROWS>
  void add_rests(Sum (&sum)[ROWS][1], const char* row, std::size_t row_bytes) const {
    for (int r = 0; r < ROWS; ++r) {
      std::int32_t values[16];
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

inline void multiply_weight(const Int8Product& p) {
  const std::size_t panel_bytes = weight_panel_bytes(p.depth),
                    panels = (p.cols + panel_cols - 1) / panel_cols;
  const char* b = static_cast<const char*>(p.b);
  bool any_wide = false;
  for (std::size_t q = 0; q < panels; ++q)
    any_wide = any_wide || !reinterpret_cast<const PanelHead*>(b + q * panel_bytes)->bytes;
  in_widened_chunks(p, 60, any_wide, [&](const Int8Product& part, Words wide) {
    with_finish(p.finish, [&](auto finish, const engine::GeluCoefficients* gelu) {
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

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
