#include <cstddef>
#include <cstdint>

#define OUTLIERLAB_ISA_NAMESPACE bf16
#include "engine/cpu/bf16_gemm.h"
#include "engine/cpu/bf16_gemm_impl.h"

namespace outlierlab::engine::bf16 {
using namespace outlierlab::bf16;

namespace {

constexpr std::size_t unit = 2;

void multiply(const float* a, std::size_t lda, std::size_t rows, std::size_t depth, const void* packed,
              std::size_t cols, const float* bias, float* c, std::size_t ldc, std::uint16_t* scratch) {
  // Few enough rows that their bfloat16 copies stay in the cache for all columns.
  constexpr std::size_t chunk = 4 * vector_rows;
  const std::size_t steps = bf16_steps<unit>(depth);
  for (std::size_t r = 0; r < rows; r += chunk) {
    const std::size_t count = rows - r < chunk ? rows - r : chunk;
    round_rows(a + r * lda, lda, count, depth, steps, scratch);
    bf16_multiply_rows(scratch, count, steps, static_cast<const char*>(packed), cols, bias, c + r * ldc, ldc);
  }
}

}  // namespace

const Bf16Kernels bf16_kernels = {"avx512-bf16", bf16_packed_bytes<unit>, bf16_pack<unit>,
                                  bf16_scratch_size<unit>, multiply};

}  // namespace outlierlab::engine::bf16
