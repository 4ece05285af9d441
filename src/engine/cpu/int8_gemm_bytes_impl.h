// The product of int8_gemm.h for weights, on CPUs whose product of unsigned by signed bytes saturates
// (vpmaddubsw): written once. The file that includes this defines in its namespace, besides what
// int8_gemm_impl.h asks for (Steps: both operands as int16),
//
//   ByteSteps::rows            the register tile, one panel wide
//   ByteSteps::depth           4
//   ByteSteps::Chain<L>        L steps of a panel (1, 2 or 4), made of where they begin
//     chain.add_to(sum, row, words)
//                              sum and the products of the row's 32-bit words words[i] with step i: their
//                              pairs are added as int16, over all of the chain, before they are widened
//   ByteSteps::Wide            a step whose weights are int16, made of where it begins: the first and third
//                              weight of 16 columns, then the second and fourth
//     wide.add_to(sum, row, words)
//
// Weights known in advance. vpmaddubsw adds a pair of products u1 w1 + u2 w2 in saturating int16. With codes
// u up to 255 a sum of such products stays in int16 if the weights' positive parts, and their negative parts,
// add up to 128 at most (255 * 128 <= 32767). Symmetric codes of a bell-shaped weight rarely break that for a
// pair, those with a scale per column in one of a hundred. A step in which any of the 32 pairs does is stored
// as int16, and the row's bytes are widened in registers.
//
// Steps whose sums, too, hold in every column are added before they are widened: in chains of four or of two.
// Which steps those are, the packing chooses, since their order does not matter: the panel says which word of
// the row each step multiplies.
#pragma once

#include <type_traits>

#include "engine/cpu/byte_chains.h"
#include "engine/cpu/int8_gemm_impl.h"

namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE {

using engine::ByteChains;

static_assert(step_bytes == engine::byte_step_bytes, "chains are of this product's steps");

/// Before each panel's words and steps.
struct alignas(64) PanelHead {
  ByteChains chains;
  std::uint64_t panel_bytes;  ///< from this panel to the next: what the widest of the weight takes
};

/// Room for the word of each step.
inline std::size_t words_bytes(std::size_t count) {
  return (count * sizeof(std::uint16_t) + 63) / 64 * 64;
}

/// A panel of `count` steps, of which so many are wide.
inline std::size_t panel_bytes(std::size_t count, std::size_t wides) {
  return sizeof(PanelHead) + words_bytes(count) + (count + wides) * step_bytes;
}

/// With all steps wide.
inline std::size_t weight_bytes(std::size_t depth, std::size_t cols) {
  const std::size_t count = steps_of<ByteSteps>(depth);
  return (cols + panel_cols - 1) / panel_cols * panel_bytes(count, count);
}

inline std::size_t weight_panel(const void* packed, std::size_t /*depth*/) {
  return static_cast<const PanelHead*>(packed)->panel_bytes;
}

/// Turns `count` steps of bytes into as many of int16, from the last to the first: they grow in their place.
inline void widen_steps(char* steps, std::size_t count) {
  for (std::size_t s = count; s-- > 0;) {
    signed char bytes[step_bytes];
    std::int16_t wide[step_bytes];
    __builtin_memcpy(bytes, steps + s * step_bytes, step_bytes);
    for (std::size_t c = 0; c < panel_cols; ++c) {
      for (std::size_t k = 0; k < 4; ++k) wide[k % 2 * 2 * panel_cols + 2 * c + k / 2] = bytes[4 * c + k];
    }
    __builtin_memcpy(steps + s * sizeof wide, wide, sizeof wide);
  }
}

inline std::size_t pack_weight(const std::int8_t* source, std::size_t stride, std::size_t cols,
                               std::size_t depth, int flip, void* packed) {
  const std::size_t count = steps_of<ByteSteps>(depth), room = panel_bytes(count, count);
  const std::size_t panels = (cols + panel_cols - 1) / panel_cols;
  char* const first = static_cast<char*>(packed);
  std::size_t widest = 0;
  for (std::size_t j = 0; j < cols; j += panel_cols) {
    char* panel = first + j / panel_cols * room;
    const std::size_t here = cols - j < panel_cols ? cols - j : panel_cols;
    PanelHead& head = *reinterpret_cast<PanelHead*>(panel);
    auto* const words = reinterpret_cast<std::uint16_t*>(panel + sizeof head);
    char* const steps = panel + sizeof head + words_bytes(count);
    int8_pack_transposed<ByteSteps>(source + j * stride, stride, here, depth, flip, steps);
    head.chains = engine::chain_steps(steps, count, words);
    widen_steps(steps + (count - head.chains.wides) * step_bytes, head.chains.wides);
    const std::size_t used = panel_bytes(count, head.chains.wides);
    widest = used > widest ? used : widest;
  }
  for (std::size_t i = 0; i < panels; ++i) {
    char* const panel = first + i * widest;
    __builtin_memmove(panel, first + i * room, widest);
    reinterpret_cast<PanelHead*>(panel)->panel_bytes = widest;
  }
  return panels * widest;
}

/// All steps of a panel.
struct ChainedSteps {
  const PanelHead& head;
  std::size_t count;

  template <int ROWS, int PANELS>
  [[gnu::always_inline]] void add_to(Sum (&sum)[ROWS][PANELS], const char* row, std::size_t row_bytes) const {
    static_assert(PANELS == 1, "one panel at a time");
    // Copies whose address nobody takes: they stay in registers.
    Sum local[ROWS];
#pragma GCC unroll 12
    for (int r = 0; r < ROWS; ++r) local[r] = sum[r][0];
    const char* b = reinterpret_cast<const char*>(&head + 1);
    const auto* words = reinterpret_cast<const std::uint16_t*>(b);
    b += words_bytes(count);
    const auto add_chains = [&](auto length, std::size_t chains) __attribute__((always_inline)) {
      constexpr int LENGTH = decltype(length)::value;
      for (; chains > 0; --chains, b += LENGTH * step_bytes, words += LENGTH) {
        const ByteSteps::Chain<LENGTH> chain(b);
#pragma GCC unroll 12
        for (int r = 0; r < ROWS; ++r) local[r] = chain.add_to(local[r], row + r * row_bytes, words);
      }
    };
    add_chains(std::integral_constant<int, 4>(), head.chains.fours);
    add_chains(std::integral_constant<int, 2>(), head.chains.pairs);
    add_chains(std::integral_constant<int, 1>(), head.chains.singles);
    for (std::size_t left = head.chains.wides; left > 0; --left, b += 2 * step_bytes, ++words) {
      const ByteSteps::Wide wide(b);
#pragma GCC unroll 12
      for (int r = 0; r < ROWS; ++r) local[r] = wide.add_to(local[r], row + r * row_bytes, words);
    }
#pragma GCC unroll 12
    for (int r = 0; r < ROWS; ++r) sum[r][0] = local[r];
  }
};

inline void multiply_weight(const Int8Product& p) {
  const std::size_t pitch = weight_panel(p.b, p.depth), count = steps_of<ByteSteps>(p.depth);
  const char* b = static_cast<const char*>(p.b);
  with_ending(p, [&](auto end, const engine::GeluCoefficients* gelu) {
    for (std::size_t j = 0; j < p.cols; j += panel_cols) {
      const auto& head = *reinterpret_cast<const PanelHead*>(b + j / panel_cols * pitch);
      int8_panels<decltype(end), 1, ByteSteps::rows>(p, {reinterpret_cast<const char*>(p.a), p.lda},
                                                     ChainedSteps{head, count}, j, gelu);
    }
  });
}

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
