// How the weights of a product of bytes are ordered so that their products can be added as int16. Apart from
// int8_gemm_bytes_impl.h, which uses it, since what is compiled for one instruction set must not bring along
// code that others share.
#pragma once

#include <cstddef>
#include <cstdint>

namespace outlierlab::engine {

/// A step multiplies four bytes of a row, a word, by four weights of each column, and adds them in pairs: the
/// first and second byte, and the third and fourth. Those of a word can be put in three orders that differ in
/// who is paired with whom.
constexpr std::size_t byte_orders = 3;
constexpr unsigned char byte_order[byte_orders][4] = {{0, 1, 2, 3}, {0, 2, 1, 3}, {0, 3, 1, 2}};

/// The positive parts of weights that an int16 sum of products with codes up to 255 can bear, and their
/// negative parts: 255 * 128 <= 32767.
constexpr int most_parts = 128;
static_assert(255 * most_parts <= 32767 && 255 * (most_parts + 1) > 32767, "the most that int16 holds");

/// The magnitudes that it can bear where 128 times the weights is taken from the sum, which leaves the
/// products of codes from -128 to 127: 128 * 255 <= 32767. The sum may go round on its way there.
constexpr int most_magnitudes = 255;
static_assert(128 * most_magnitudes <= 32767 && 128 * (most_magnitudes + 1) > 32767,
              "the most that int16 holds");

constexpr std::size_t panel_columns = 16, panel_step_bytes = 4 * panel_columns;

/// Steps that are added before they are widened: as many as possible, and shifted only where that makes them
/// more, since a shift takes an instruction as a step's addition does.
struct ChainKind {
  int length;
  bool shifted;  ///< -128 times the weights is added to the sum as well
};
constexpr std::size_t chain_kind_count = 7;
constexpr ChainKind chain_kinds[chain_kind_count] = {{4, false}, {4, true}, {3, false}, {3, true},
                                                     {2, false}, {2, true}, {1, false}};

/// So many chains of each kind, one kind after the other, and last so many steps that int16 cannot bear.
struct ByteChains {
  std::uint16_t count[chain_kind_count], wides;
};

/// Bytes that a strip of `columns` columns takes at most: all of its steps are wide. (A chain of two with its
/// shift takes 12 bytes a column, two wide steps 16.)
constexpr std::size_t strip_room(std::size_t count, std::size_t columns) {
  return count * 8 * columns;
}

/// Takes `columns` columns (8 or 16) of a panel, a strip, from `first` on, out of `count` steps of four
/// weights of each of 16 columns, and writes the strip's steps in the order of their chains. No pair of a
/// step's products leaves int16: its weights' positive parts add up to most_parts at most, and their negative
/// parts likewise; nor do the sums of a chain, whose parts or, where it is shifted, magnitudes hold for all
/// of its steps. Each step's bytes are in the order that serves this best. A shifted chain begins with its
/// shift, an int16 for each pair of each column. A wide step, its bytes in their first order, is written as
/// int16, in two halves: the first and third weight of each column, then the second and fourth.
///
/// `words[i]` receives which 32-bit word of a row step i multiplies, where the row is there in each
/// byte_order, one `words_apart` words behind the other (3 * words_apart <= 65,536); `start[c]` what the
/// shifts have taken from a column's sum.
ByteChains chain_steps(const char* panel, std::size_t count, std::size_t first, std::size_t columns,
                       std::size_t words_apart, std::uint16_t* words, std::int32_t* start, char* steps);

}  // namespace outlierlab::engine
