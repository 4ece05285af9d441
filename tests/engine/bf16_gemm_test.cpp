#include "engine/cpu/bf16_gemm.h"

#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "catch.h"
#include "core/isa.h"
#include "core/matrix.h"
#include "core/random.h"

using namespace outlierlab;
using engine::Bf16Kernels;

namespace {

std::vector<const Bf16Kernels*> kernels_of_this_cpu() {
  std::vector<const Bf16Kernels*> all = {&engine::emulated::bf16_kernels};
  if (has_bf16()) all.push_back(&engine::bf16::bf16_kernels);
  if (has_amx() && has_bf16()) all.push_back(&engine::amx::bf16_kernels);
  return all;
}

/// To the nearest number of eight significant bits, ties to even.
double to_bf16(float value) {
  int exponent = 0;
  const double mantissa = std::frexp(static_cast<double>(value), &exponent);
  return std::ldexp(std::nearbyint(mantissa * 256), exponent - 8);
}

}  // namespace

TEST_CASE("bfloat16 products: operands rounded once, sums in float32, for every shape and kernel",
          "[engine]") {
  for (const auto& [rows, depth, cols] : std::vector<std::array<std::size_t, 3>>{
           {1, 1, 1}, {3, 30, 17}, {15, 33, 16}, {16, 32, 32}, {17, 64, 48}, {37, 100, 35}, {70, 384, 40}}) {
    Random random(rows + depth + cols);
    const std::size_t lda = depth + 3, ldc = cols + 5;
    std::vector<float> a(rows * lda), b(cols * depth), bias(cols);
    for (float& v : a) v = 2 * static_cast<float>(random.uniform()) - 1;
    for (float& v : b) v = 2 * static_cast<float>(random.uniform()) - 1;
    for (float& v : bias) v = 2 * static_cast<float>(random.uniform()) - 1;
    for (const Bf16Kernels* kernels : kernels_of_this_cpu()) {
      AlignedVector<char> packed(kernels->packed_bytes(depth, cols));
      AlignedVector<std::uint16_t> scratch(kernels->scratch_size(rows, depth));
      kernels->pack_transposed(b.data(), depth, cols, depth, packed.data());
      std::vector<float> c(rows * ldc, -7.0f);
      kernels->multiply(a.data(), lda, rows, depth, packed.data(), cols, bias.data(), c.data(), ldc,
                        scratch.data());
      for (std::size_t i = 0; i < rows; ++i) {
        for (std::size_t j = 0; j < cols; ++j) {
          double exact = bias[j], size = std::abs(bias[j]);
          for (std::size_t k = 0; k < depth; ++k) {
            const double product = to_bf16(a[i * lda + k]) * to_bf16(b[j * depth + k]);
            exact += product;
            size += std::abs(product);
          }
          INFO(kernels->name << " " << rows << "x" << depth << "x" << cols << " at " << i << ", " << j);
          // float32 sums of that length; operands left unrounded would be off by 2^-9 of a product.
          REQUIRE(std::abs(c[i * ldc + j] - exact) <= size * 3e-7);
        }
        for (std::size_t j = cols; j < ldc; ++j) REQUIRE(c[i * ldc + j] == -7.0f);
      }
    }
  }
}
