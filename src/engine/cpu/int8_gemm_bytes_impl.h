// The product of int8_gemm.h for weights, on CPUs whose product of unsigned by signed bytes saturates
// (vpmaddubsw): written once. The file that includes this defines in its namespace, besides what
// int8_gemm_impl.h asks for (Steps: both operands as int16),
//
//   ByteSteps::rows            the register tile, one panel wide
//   ByteSteps::depth           4
//   ByteSteps::columns         of a strip: 16, or 8 where a vector of sums holds no more
//   ByteSteps::Lanes           a strip's sums, and ByteSteps::strip(sum, s), those of strip s in a panel's
//   ByteSteps::plus(lanes, p)  with an int32 of p added to each
//   ByteSteps::Chain<L, S>     L steps of a strip (1 to 4), made of where they begin; S: a shift is before
//   them
//     chain.add_to(lanes, row, words)
//                              lanes and the products of the row's 32-bit words words[i] with step i: their
//                              pairs are added as int16, over all of the chain, before they are widened
//   ByteSteps::Wide            a step whose weights are int16, made of where it begins: the first and third
//                              weight of the strip's columns, then the second and fourth
//     wide.add_to(lanes, row, words)
//
// Weights known in advance. vpmaddubsw adds a pair of products u1 w1 + u2 w2 in saturating int16. With codes
// u up to 255 a sum of such products stays in int16 if the weights' positive parts, and their negative parts,
// add up to 128 at most (255 * 128 <= 32767). Symmetric codes of a bell-shaped weight rarely break that for a
// pair, those with a scale per column in one of a hundred to one of ten. A word's four bytes can be paired in
// three ways: rows are copied once in each order of their bytes, and every step takes the order that suits
// its weights. Only a step of which some pair breaks the rule in each order is stored as int16, and the row's
// bytes are widened in registers.
//
// Steps whose sums, too, hold in every column are added before they are widened, in chains. More sums hold
// once 128 times the weights is taken from them, a shift that the chain adds to its sum modulo 65,536 and
// that the sums of all chains start with again. Which steps stand together, the packing chooses
// (byte_chains.h), since their order does not matter: the strip says which word of which copy each step
// multiplies. A strip of eight columns leaves more of that freedom than one of sixteen.
#pragma once

#include <type_traits>

#include "engine/cpu/byte_chains.h"
#include "engine/cpu/int8_gemm_impl.h"

namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE {

using engine::ByteChains;

static_assert(step_bytes == engine::panel_step_bytes, "strips are of this product's panels");

constexpr std::size_t strips = panel_cols / ByteSteps::columns, strip_step_bytes = 4 * ByteSteps::columns;

/// Before each strip's words and steps.
struct alignas(64) StripHead {
  std::int32_t start[ByteSteps::columns];  ///< of each column's sum
  ByteChains chains;
};

/// Bytes of a row in one order: an odd number of cache lines, so that neither the copies of a row nor the
/// rows of a tile meet in few sets of the cache.
inline std::size_t copy_bytes(std::size_t depth) {
  return ((depth + 63) / 64 | 1) * 64;
}

/// Room for the word of each step.
inline std::size_t words_bytes(std::size_t count) {
  return (count * sizeof(std::uint16_t) + 63) / 64 * 64;
}

/// Room for a strip all of whose steps are wide.
inline std::size_t strip_bytes(std::size_t depth) {
  const std::size_t count = steps_of<ByteSteps>(depth);
  return sizeof(StripHead) + words_bytes(count) + engine::strip_room(count, ByteSteps::columns);
}

inline std::size_t weight_bytes(std::size_t depth, std::size_t cols) {
  return (cols + panel_cols - 1) / panel_cols * strips * strip_bytes(depth);
}

inline void pack_weight(const std::int8_t* source, std::size_t stride, std::size_t cols, std::size_t depth,
                        int flip, void* packed) {
  const std::size_t count = steps_of<ByteSteps>(depth);
  char* strip = static_cast<char*>(packed);
  char* const panel = new char[count * step_bytes];
  for (std::size_t j = 0; j < cols; j += panel_cols) {
    const std::size_t here = cols - j < panel_cols ? cols - j : panel_cols;
    int8_pack_transposed<ByteSteps>(source + j * stride, stride, here, depth, flip, panel);
    for (std::size_t s = 0; s < strips; ++s, strip += strip_bytes(depth)) {
      StripHead& head = *reinterpret_cast<StripHead*>(strip);
      auto* const words = reinterpret_cast<std::uint16_t*>(strip + sizeof head);
      head.chains =
          engine::chain_steps(panel, count, s * ByteSteps::columns, ByteSteps::columns, copy_bytes(depth) / 4,
                              words, head.start, strip + sizeof head + words_bytes(count));
    }
  }
  delete[] panel;
}

/// All steps of a panel.
struct ChainedSteps {
  const char* panel;
  std::size_t depth;

  template <int ROWS, int PANELS>
  [[gnu::always_inline]] void add_to(Sum (&sum)[ROWS][PANELS], const char* row, std::size_t row_bytes) const {
    static_assert(PANELS == 1, "one panel at a time");
    const char* strip = panel;
#pragma GCC unroll 2
    for (std::size_t s = 0; s < strips; ++s, strip += strip_bytes(depth)) {
      const StripHead& head = *reinterpret_cast<const StripHead*>(strip);
      const char* b = strip + sizeof(StripHead);
      const auto* words = reinterpret_cast<const std::uint16_t*>(b);
      b += words_bytes(steps_of<ByteSteps>(depth));
      // Copies whose address nobody takes: they stay in registers.
      ByteSteps::Lanes local[ROWS];
#pragma GCC unroll 12
      for (int r = 0; r < ROWS; ++r) local[r] = ByteSteps::plus(ByteSteps::strip(sum[r][0], s), head.start);
      const auto add_chains = [&](auto kind) __attribute__((always_inline)) {
        constexpr engine::ChainKind of = engine::chain_kinds[decltype(kind)::value];
        for (std::size_t left = head.chains.count[decltype(kind)::value]; left > 0; --left) {
          const ByteSteps::Chain<of.length, of.shifted> chain(b);
#pragma GCC unroll 12
          for (int r = 0; r < ROWS; ++r) local[r] = chain.add_to(local[r], row + r * row_bytes, words);
          b += (of.length + of.shifted) * strip_step_bytes;
          words += of.length;
        }
      };
      static_assert(engine::chain_kind_count == 7, "the kinds below");
      add_chains(std::integral_constant<int, 0>());
      add_chains(std::integral_constant<int, 1>());
      add_chains(std::integral_constant<int, 2>());
      add_chains(std::integral_constant<int, 3>());
      add_chains(std::integral_constant<int, 4>());
      add_chains(std::integral_constant<int, 5>());
      add_chains(std::integral_constant<int, 6>());
      for (std::size_t left = head.chains.wides; left > 0; --left, b += 2 * strip_step_bytes, ++words) {
        const ByteSteps::Wide wide(b);
#pragma GCC unroll 12
        for (int r = 0; r < ROWS; ++r) local[r] = wide.add_to(local[r], row + r * row_bytes, words);
      }
#pragma GCC unroll 12
      for (int r = 0; r < ROWS; ++r) ByteSteps::strip(sum[r][0], s) = local[r];
    }
  }
};

/// Copies `rows` rows of codes in each order of their bytes, one after the other.
inline void copy_in_orders(const std::uint8_t* a, std::size_t lda, std::size_t rows, std::size_t depth,
                           unsigned char* target) {
  static_assert(engine::byte_orders == 3, "the copies below");
  const std::size_t copy = copy_bytes(depth);
  const auto shuffle_of = [](const unsigned char(&order)[4]) {
    alignas(16) unsigned char bytes[16];
    for (unsigned i = 0; i < 16; ++i) bytes[i] = static_cast<unsigned char>(i / 4 * 4 + order[i % 4]);
    return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(bytes)));
  };
  const __m256i second = shuffle_of(engine::byte_order[1]), third = shuffle_of(engine::byte_order[2]);
  for (std::size_t r = 0; r < rows; ++r, a += lda, target += 3 * copy) {
    for (std::size_t k = 0; k < depth; k += 32) {
      const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a + k));
      const auto put = [&](std::size_t order, __m256i bytes) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(target + order * copy + k), bytes);
      };
      put(0, codes);
      put(1, _mm256_shuffle_epi8(codes, second));
      put(2, _mm256_shuffle_epi8(codes, third));
    }
  }
}

/// A chunk of rows at a time, of whole tiles, so that their copies stay in the cache: as few chunks as that
/// allows, all about as large, since each reads all of the weight.
inline void multiply_weight(const Int8Product& p) {
  constexpr std::size_t capacity = 256 * 1024, tile = ByteSteps::rows;
  const std::size_t row_bytes = engine::byte_orders * copy_bytes(p.depth);
  const std::size_t panel_bytes = strips * strip_bytes(p.depth);
  const std::size_t fitting = capacity / row_bytes < tile ? tile : capacity / row_bytes / tile * tile;
  const std::size_t chunks = p.rows > fitting ? (p.rows + fitting - 1) / fitting : 1;
  const std::size_t chunk = (p.rows + chunks * tile - 1) / (chunks * tile) * tile;
  alignas(64) unsigned char small[capacity];
  unsigned char* copies = chunk * row_bytes > capacity ? new unsigned char[chunk * row_bytes] : small;
  const char* b = static_cast<const char*>(p.b);
  for (std::size_t r = 0; r < p.rows; r += chunk) {
    const Int8Product part = rows_of(p, r, p.rows - r < chunk ? p.rows - r : chunk);
    copy_in_orders(part.a, part.lda, part.rows, part.depth, copies);
    const Words rows = {reinterpret_cast<const char*>(copies), row_bytes};
    with_finish(part.finish, [&](auto finish, const engine::GeluCoefficients* gelu) {
      for (std::size_t j = 0; j < part.cols; j += panel_cols) {
        const ChainedSteps steps = {b + j / panel_cols * panel_bytes, part.depth};
        int8_panels<decltype(finish)::value, 1, ByteSteps::rows>(part, rows, steps, j, gelu);
      }
    });
  }
  if (copies != small) delete[] copies;
}

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
