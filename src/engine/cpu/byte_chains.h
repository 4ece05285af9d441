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

/// So many chains of four steps, then so many of two; the steps that are left stand alone.
struct ByteChains {
  std::uint16_t fours, pairs;
};

/// Brings `count` steps (at most 16,384) into the order of their chains. Within a chain the weights of every
/// pair (k, k + 1 with k even) and column have positive parts that add up to most_parts at most, and negative
/// parts likewise, if that holds for each step alone. words[i] receives where in a row of bytes the word
/// belongs that step i multiplies.
ByteChains chain_steps(char* steps, std::size_t count, std::uint16_t* words);

}  // namespace outlierlab::engine
