#pragma once

#include <cstddef>
#include <cstdint>

namespace outlierlab {

/// Rows of `cols` values, a multiple of 16, to bfloat16, as the products of bfloat16 round their left side
/// before they begin. Only with has_bf16().
void round_to_bf16(const float* values, std::size_t rows, std::size_t cols, std::uint16_t* out);

}  // namespace outlierlab
