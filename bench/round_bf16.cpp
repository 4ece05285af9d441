#include "round_bf16.h"

#define OUTLIERLAB_ISA_NAMESPACE round_bf16
#include "engine/cpu/bf16_gemm_impl.h"

namespace outlierlab {

void round_to_bf16(const float* values, std::size_t rows, std::size_t cols, std::uint16_t* out) {
  round_bf16::round_rows(values, cols, rows, cols, cols / 2, out);
}

}  // namespace outlierlab
