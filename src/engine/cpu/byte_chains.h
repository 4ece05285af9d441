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

/// A strip's columns: half a panel, or all of it.
constexpr std::size_t panel_columns = 16, panel_step_bytes = 4 * panel_columns;

/// So many chains of four steps, then so many of two, then steps that stand alone, and last so many that
/// int16 cannot bear.
struct ByteChains {
  std::uint16_t fours, pairs, singles, wides;
};

/// Takes `columns` columns (8 or 16) of a panel, from `first` on, out of `count` steps of four weights of each
/// of 16 columns, and writes their steps in the order of their chains. Within a chain, or a single step, the
/// weights of every pair and column have positive parts that add up to most_parts at most, and negative parts
/// likewise; each step's bytes are in the order that serves this best. `words[i]` receives which 32-bit word of
/// a row step i multiplies, where the row is there in each byte_order, one `words_apart` words behind the
/// other (3 * words_apart <= 65,536). A wide step is written as int16, in two halves: the first and third
/// weight of each column, then the second and fourth. `steps` has room for as many bytes as if all were wide.
ByteChains chain_steps(const char* panel, std::size_t count, std::size_t first, std::size_t columns,
                       std::size_t words_apart, std::uint16_t* words, char* steps);

}  // namespace outlierlab::engine
