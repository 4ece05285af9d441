// Which steps of a product of bytes can be added as int16. Apart from int8_gemm_bytes_impl.h, which uses it,
// since what is compiled for one instruction set must not bring along code that others share.
#pragma once

#include <cstddef>
#include <cstdint>

namespace outlierlab::engine {

/// A step of a panel: four weights, one after the other in k, of each of 16 columns.
constexpr std::size_t byte_step_columns = 16, byte_step_bytes = 4 * byte_step_columns;

/// The positive parts of weights that an int16 sum of products with codes up to 255 can bear, and their
/// negative parts: 255 * 128 <= 32767.
constexpr int most_parts = 128;
static_assert(255 * most_parts <= 32767 && 255 * (most_parts + 1) > 32767, "the most that int16 holds");

/// So many chains of four steps, then so many of two, then steps that stand alone, and last so many that
/// int16 cannot bear.
struct ByteChains {
  std::uint16_t fours, pairs, singles, wides;
};

/// Brings `count` steps (at most 65,535) into the order of their chains. Within a chain, or a single step,
/// the weights of every pair (k, k + 1 with k even) and column have positive parts that add up to most_parts
/// at most, and negative parts likewise. words[i] receives which 32-bit word of a row of bytes step i
/// multiplies.
ByteChains chain_steps(char* steps, std::size_t count, std::uint16_t* words);

}  // namespace outlierlab::engine
