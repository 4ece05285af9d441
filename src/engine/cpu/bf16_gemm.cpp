#include "engine/cpu/bf16_gemm.h"

#include <cstring>
#include <vector>

#include "core/isa.h"
#include "kernels/kernels.h"

namespace outlierlab::engine {

namespace emulated {

namespace {

float rounded(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, 4);
  bits = (bits + 0x7fffu + (bits >> 16 & 1)) & 0xffff0000u;
  std::memcpy(&value, &bits, 4);
  return value;
}

// Float panels of the rounded weight.
std::size_t float_packed_bytes(std::size_t depth, std::size_t cols) {
  return packed_size(cols, depth) * sizeof(float);
}

void float_pack(const float* source, std::size_t stride, std::size_t cols, std::size_t depth, void* packed) {
  std::vector<float> copy(cols * depth);
  for (std::size_t j = 0; j < cols; ++j) {
    for (std::size_t k = 0; k < depth; ++k) copy[j * depth + k] = rounded(source[j * stride + k]);
  }
  pack_transposed(copy.data(), depth, cols, depth, static_cast<float*>(packed));
}

void float_multiply(const float* a, std::size_t lda, std::size_t rows, std::size_t depth, const void* packed,
                    std::size_t cols, const float* bias, float* c, std::size_t ldc, std::uint16_t*) {
  std::vector<float> copy(rows * depth);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t k = 0; k < depth; ++k) copy[r * depth + k] = rounded(a[r * lda + k]);
  }
  model_kernels().gemm(copy.data(), depth, rows, depth, static_cast<const float*>(packed), cols, bias, 1.0f,
                       c, ldc);
}

std::size_t no_scratch(std::size_t, std::size_t) {
  return 0;
}

}  // namespace

const Bf16Kernels bf16_kernels = {"float32 on rounded operands", float_packed_bytes, float_pack, no_scratch,
                                  float_multiply};

}  // namespace emulated

const Bf16Kernels& bf16_kernels() {
  static const Bf16Kernels& chosen = has_amx() && has_bf16() ? amx::bf16_kernels
                                     : has_bf16()            ? bf16::bf16_kernels
                                                             : emulated::bf16_kernels;
  return chosen;
}

}  // namespace outlierlab::engine
