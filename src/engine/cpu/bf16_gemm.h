#pragma once

#include <cstddef>
#include <cstdint>

namespace outlierlab::engine {

/// c[r, j] = sum_k a[r, k] * b[k, j] + bias[j] with a and b in bfloat16 and sums in float32. AMX-BF16 or
/// AVX512_BF16 where the CPU has them (which treat denormals as 0 and add products in pairs), else float32 on
/// the rounded operands: they agree to a few units of float32's last place of the largest partial sum, not to
/// the bit.
struct Bf16Kernels {
  const char* name;
  std::size_t (*packed_bytes)(std::size_t depth, std::size_t cols);
  /// Packs a float weight [cols, depth], rounding to nearest even.
  void (*pack_transposed)(const float* source, std::size_t stride, std::size_t cols, std::size_t depth,
                          void* packed);
  /// Elements of multiply()'s scratch.
  std::size_t (*scratch_size)(std::size_t rows, std::size_t depth);
  /// Columns from a multiple of 16 on can be multiplied alone: their packed b begins packed_bytes(depth,
  /// column) after its start.
  void (*multiply)(const float* a, std::size_t lda, std::size_t rows, std::size_t depth, const void* packed,
                   std::size_t cols, const float* bias, float* c, std::size_t ldc, std::uint16_t* scratch);
};

const Bf16Kernels& bf16_kernels();

namespace emulated {
extern const Bf16Kernels bf16_kernels;
}
namespace bf16 {
extern const Bf16Kernels bf16_kernels;
}
namespace amx {
extern const Bf16Kernels bf16_kernels;
}

}  // namespace outlierlab::engine
