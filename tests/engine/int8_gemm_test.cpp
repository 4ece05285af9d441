#include "engine/cpu/int8_gemm.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "catch.h"
#include "core/isa.h"
#include "core/matrix.h"
#include "core/random.h"
#include "engine/emulated_amx.h"
#include "engine/two_floats.h"

using namespace outlierlab;
using engine::Finish;
using engine::Int8Kernels;
using engine::Int8Product;
using engine::TwoFloats;

namespace {

std::vector<const Int8Kernels*> kernels_of_this_cpu() {
  std::vector<const Int8Kernels*> all = {&engine::portable::int8_kernels};
  if (isa() >= Isa::avx2) all.push_back(&engine::avx2::int8_kernels);
  if (isa() == Isa::avx512) all.push_back(&engine::avx512::int8_kernels);
  if (has_vnni()) {
    all.push_back(&engine::vnni::int8_kernels);
    all.push_back(&test::emulated_amx_kernels());
  }
  if (has_amx()) all.push_back(&engine::amx::int8_kernels);
  return all;
}

struct Problem {
  std::size_t rows, depth, cols, lda;
  AlignedVector<std::uint8_t> a;
  AlignedVector<std::int8_t> b;  // [cols, depth]
  AlignedVector<float> row_scale, col_scale, bias;
  AlignedVector<std::int32_t> row_zero, col_sum, row_sum, col_zero;

  Problem(std::size_t r, std::size_t k, std::size_t n, int least_a, int least_b)
      : rows(r), depth(k), cols(n) {
    Random random(r * 1000 + k * 10 + n);
    lda = (depth + 3) / 4 * 4;
    const auto between = [&](int low, int high) {
      return low + static_cast<int>(random.below(static_cast<std::uint64_t>(high - low + 1)));
    };
    a.resize(rows * lda + 64);
    for (auto& v : a) v = static_cast<std::uint8_t>(between(least_a, 255));
    b.resize(cols * depth + 64);
    for (auto& v : b) v = static_cast<std::int8_t>(between(least_b, 127));
    const std::size_t padded = (cols + 15) / 16 * 16;
    for (std::size_t i = 0; i < rows; ++i) {
      row_scale.push_back(0.01f * static_cast<float>(between(1, 9)));
      row_zero.push_back(between(0, 255));
      row_sum.push_back(between(-1000, 1000));
    }
    for (std::size_t j = 0; j < padded; ++j) {
      col_scale.push_back(0.001f * static_cast<float>(between(1, 9)));
      bias.push_back(0.1f * static_cast<float>(between(-9, 9)));
      col_zero.push_back(between(-128, 127));
      std::int32_t sum = 0;
      for (std::size_t k2 = 0; j < cols && k2 < depth; ++k2) sum += b[j * depth + k2];
      col_sum.push_back(sum);
    }
  }

  std::int64_t sum(std::size_t r, std::size_t j) const {
    std::int64_t total = 0;
    for (std::size_t k = 0; k < depth; ++k) total += std::int64_t{a[r * lda + k]} * b[j * depth + k];
    return total;
  }
  double real(std::size_t r, std::size_t j) const {
    const auto centred =
        sum(r, j) - std::int64_t{row_zero[r]} * col_sum[j] - std::int64_t{row_sum[r]} * col_zero[j];
    return static_cast<double>(centred) * row_scale[r] * col_scale[j] + bias[j];
  }

  /// `weight`: b packed as a weight.
  Int8Product product(const Int8Kernels& kernels, bool weight, AlignedVector<char>& packed, Finish finish,
                      void* c) const {
    packed.resize(weight ? kernels.weight_bytes(depth, cols) : kernels.packed_bytes(depth, cols));
    if (weight) {
      // What is used is kept alone, and ends where the memory ends.
      const std::size_t used = kernels.pack_weight(b.data(), depth, cols, depth, 0, packed.data());
      REQUIRE(used <= packed.size());
      REQUIRE(used == (cols + 15) / 16 * kernels.weight_panel(packed.data(), depth));
      packed.resize(used);
      packed.shrink_to_fit();
    } else {
      kernels.pack_transposed(b.data(), depth, cols, depth, 0, packed.data());
    }
    Int8Product p;
    p.a = a.data();
    p.lda = lda;
    p.rows = rows;
    p.depth = depth;
    p.cols = p.ldc = cols;
    p.b = packed.data();
    p.row_scale = row_scale.data();
    p.row_zero = row_zero.data();
    p.col_scale = col_scale.data();
    p.col_sum = col_sum.data();
    p.row_sum = row_sum.data();
    p.col_zero = col_zero.data();
    p.bias = bias.data();
    p.finish = finish;
    p.c = c;
    return p;
  }
};

void multiply(const Int8Kernels& kernels, bool weight, const Int8Product& p) {
  (weight ? kernels.multiply_weight : kernels.multiply)(p);
}

/// The sums of a weight are exact, whatever set of kernels packs it.
void require_exact_weight(const Problem& problem) {
  for (const Int8Kernels* kernels : kernels_of_this_cpu()) {
    INFO(kernels->name);
    AlignedVector<char> packed;
    std::vector<std::int32_t> sums(problem.rows * problem.cols);
    kernels->multiply_weight(problem.product(*kernels, true, packed, Finish::sums, sums.data()));
    for (std::size_t i = 0; i < problem.rows; ++i) {
      for (std::size_t j = 0; j < problem.cols; ++j) REQUIRE(sums[i * problem.cols + j] == problem.sum(i, j));
    }
  }
}

}  // namespace

TEST_CASE("Int8 sums are exact for every shape and instruction set", "[engine]") {
  for (const Int8Kernels* kernels : kernels_of_this_cpu()) {
    for (const bool weight : {false, true})
      for (const auto& [r, k, n] : std::vector<std::array<std::size_t, 3>>{{1, 1, 1},
                                                                           {3, 30, 17},
                                                                           {14, 32, 32},
                                                                           {15, 64, 33},
                                                                           {29, 70, 16},
                                                                           {40, 384, 96},
                                                                           {16, 128, 16},
                                                                           {31, 100, 47},
                                                                           {33, 192, 48},
                                                                           {70, 384, 36},
                                                                           {5, 4, 130}}) {
        const Problem problem(r, k, n, 0, -127);
        AlignedVector<char> packed;
        std::vector<std::int32_t> sums(r * n, -1);
        multiply(*kernels, weight, problem.product(*kernels, weight, packed, Finish::sums, sums.data()));
        for (std::size_t i = 0; i < r; ++i) {
          for (std::size_t j = 0; j < n; ++j) {
            INFO(kernels->name << " " << r << "x" << k << "x" << n << " at " << i << ", " << j);
            REQUIRE(sums[i * n + j] == problem.sum(i, j));
          }
        }
      }
  }
}

TEST_CASE("Int8 sums stay exact where float32 sums and 16-bit saturation do not", "[engine]") {
  // Extreme codes only: pairs exceed int16 (2 x 255 x 127), totals exceed 2^24.
  const std::size_t depth = 3072;
  Problem problem(3, depth, 18, 255, 127);
  problem.a[5] = 254;  // an odd total: not a multiple of a coarser float grid
  for (const Int8Kernels* kernels : kernels_of_this_cpu())
    for (const bool weight : {false, true}) {
      AlignedVector<char> packed;
      std::vector<std::int32_t> sums(3 * 18);
      multiply(*kernels, weight, problem.product(*kernels, weight, packed, Finish::sums, sums.data()));
      INFO(kernels->name);
      REQUIRE(problem.sum(0, 0) > 1 << 24);
      REQUIRE(static_cast<std::int64_t>(static_cast<float>(problem.sum(0, 0))) != problem.sum(0, 0));
      REQUIRE(sums[0] == problem.sum(0, 0));
      REQUIRE(sums[3 * 18 - 1] == problem.sum(2, 17));
    }
}

TEST_CASE("Weights of which few, some or many pairs exceed int16 give exact sums", "[engine]") {
  // The share of large codes decides how many of a panel's steps AVX2 packs as int16.
  for (const std::uint64_t large_in_1000 : {0u, 2u, 20u, 300u, 1000u}) {
    Problem problem(13, 384, 80, 0, -20);
    Random random(large_in_1000 + 1);
    for (auto& v : problem.b) {
      v = static_cast<std::int8_t>(v % 21);
      if (random.below(1000) < large_in_1000) v = random.below(2) ? 127 : -127;
    }
    INFO(large_in_1000 << " of 1000 codes large");
    require_exact_weight(problem);
  }
}

TEST_CASE("Sums of many rows and of great depth are exact", "[engine]") {
  struct Size {
    std::size_t rows, depth, cols;
  };
  for (const Size size : {Size{230, 384, 17}, Size{61, 3072, 17}, Size{9, 15000, 17}, Size{1, 4096, 33}}) {
    INFO(size.rows << " rows of " << size.depth);
    require_exact_weight(Problem(size.rows, size.depth, size.cols, 0, -127));
  }
}

TEST_CASE("A packed weight takes less than five quarters of a byte per code", "[engine]") {
  // Bell-shaped codes, as weights have them, the largest at 127.
  const std::size_t depth = 384, cols = 400;
  std::vector<std::int8_t> codes(depth * cols);
  Random random(5);
  for (std::int8_t& code : codes) {
    double sum = 0;
    for (int i = 0; i < 12; ++i) sum += random.uniform();
    code = static_cast<std::int8_t>(std::clamp(32 * (sum - 6), -127.0, 127.0));
  }
  for (const Int8Kernels* kernels : kernels_of_this_cpu()) {
    if (kernels == &engine::portable::int8_kernels) continue;  // widens them once
    INFO(kernels->name);
    AlignedVector<char> packed(kernels->weight_bytes(depth, cols));
    const std::size_t used = kernels->pack_weight(codes.data(), depth, cols, depth, 0, packed.data());
    REQUIRE(used >= codes.size());
    REQUIRE(used < codes.size() / 4 * 5);
  }
}

TEST_CASE("Sums at the very edge of int16 are exact", "[engine]") {
  // Weights of which one to four steps make a sum of 255 * 128 of either sign, or just not, and codes at both
  // ends. Every third column has the other sign, some pairs are of one weight, some of two, every fifth
  // column's are of both signs.
  const auto code_at = [](int pattern, std::size_t k) {
    const bool high = pattern == 0 || (pattern == 2 && k % 2 == 0) || (pattern == 3 && k / 4 % 2 == 0);
    return static_cast<std::uint8_t>(high ? 255 : 0);
  };
  for (const int pair : {128, 127, 64, 65, 63, 85, 84, 86, 42, 43, 32, 33, 31, 16}) {
    for (const std::size_t depth : {4u, 8u, 12u, 16u, 30u, 384u}) {
      for (int pattern = 0; pattern < 4; ++pattern) {
        Problem problem(7, depth, 35, 255, 0);
        for (std::size_t i = 0; i < problem.rows; ++i) {
          for (std::size_t k = 0; k < depth; ++k) problem.a[i * problem.lda + k] = code_at(pattern, k);
        }
        for (std::size_t j = 0; j < problem.cols; ++j) {
          for (std::size_t k = 0; k < depth; ++k) {
            const int first = j % 2 ? std::min(pair, 127) : pair / 2;
            const int weight = k % 2 ? pair - first : first;
            const bool negative = j % 5 == 4 ? k / 4 % 2 == 0 : j % 3 == 0;
            problem.b[j * depth + k] = static_cast<std::int8_t>(negative ? -weight : weight);
          }
        }
        INFO("pairs of " << pair << ", depth " << depth << ", codes " << pattern);
        require_exact_weight(problem);
      }
    }
  }
}

TEST_CASE("What follows an int8 sum: scales, zero points, bias, codes, GELU", "[engine]") {
  const Problem problem(17, 66, 35, 0, -127);
  std::vector<std::vector<float>> reals;
  for (const Int8Kernels* kernels : kernels_of_this_cpu())
    for (const bool weight : {false, true}) {
      INFO(kernels->name);
      AlignedVector<char> packed;
      std::vector<float> real(17 * 35);
      multiply(*kernels, weight, problem.product(*kernels, weight, packed, Finish::real, real.data()));
      std::vector<float> twice = real;
      const auto onto = [&](Finish finish, void* target) {
        Int8Product p = problem.product(*kernels, weight, packed, finish, target);
        p.partial = real.data();
        p.partial_stride = 35;
        p.inverse = 12.5f;
        p.low = -100;
        p.high = 155;
        p.offset = 100;
        multiply(*kernels, weight, p);
      };
      onto(Finish::real, twice.data());
      std::vector<std::uint8_t> codes(17 * 35), gelu(17 * 35), twice_codes(17 * 35), twice_gelu(17 * 35);
      onto(Finish::codes, twice_codes.data());
      onto(Finish::gelu_codes, twice_gelu.data());
      for (const auto& [finish, target] :
           {std::pair{Finish::codes, codes.data()}, {Finish::gelu_codes, gelu.data()}}) {
        Int8Product p = problem.product(*kernels, weight, packed, finish, target);
        p.inverse = 12.5f;
        p.low = -100;
        p.high = 155;
        p.offset = 100;
        multiply(*kernels, weight, p);
      }
      for (std::size_t i = 0; i < 17; ++i) {
        for (std::size_t j = 0; j < 35; ++j) {
          const std::size_t at = i * 35 + j;
          const double exact = problem.real(i, j);
          REQUIRE(real[at] == Approx(exact).epsilon(1e-5).margin(1e-4));
          REQUIRE(twice[at] == Approx(2 * exact - problem.bias[j]).epsilon(1e-5).margin(1e-3));
          const auto code = [](double v) {
            return std::clamp(std::nearbyint(v * 12.5), -100.0, 155.0) + 100;
          };
          REQUIRE(std::abs(codes[at] - code(exact)) <= 1);
          if (std::abs(exact * 12.5 - std::floor(exact * 12.5) - 0.5) > 1e-3)
            REQUIRE(codes[at] == code(exact));
          const double g = 0.5 * exact * std::erfc(-exact / std::sqrt(2.0));
          REQUIRE(std::abs(gelu[at] - code(g)) <= 1);
          const double both = 2 * exact - problem.bias[j];
          REQUIRE(std::abs(twice_codes[at] - code(both)) <= 1);
          REQUIRE(std::abs(twice_gelu[at] - code(0.5 * both * std::erfc(-both / std::sqrt(2.0)))) <= 1);
        }
      }
      reals.push_back(real);
      REQUIRE(real == reals[0]);  // the same bits on every instruction set
    }
}

TEST_CASE("What follows an int8 sum of rows on one static grid is rounded once", "[engine]") {
  const Problem problem(17, 66, 35, 0, -127);
  const std::int32_t zero = 113;
  const double scale = 0.0123;
  AlignedVector<float> factor, rest;
  AlignedVector<std::int32_t> shift;
  AlignedVector<double> steps, addend;
  for (std::size_t j = 0; j < problem.col_scale.size(); ++j) {
    const double exact = scale * problem.col_scale[j];
    const TwoFloats two(exact);
    REQUIRE(std::abs(double{two.value} + two.rest - exact) <= 1e-14 * exact);
    factor.push_back(two.value);
    rest.push_back(two.rest);
    shift.push_back(-zero * problem.col_sum[j]);
    steps.push_back(exact * 12.5);
    addend.push_back(problem.bias[j] * 12.5);
  }
  for (const Int8Kernels* kernels : kernels_of_this_cpu())
    for (const bool weight : {false, true})
      for (const bool zeros : {false, true}) {
        INFO(kernels->name << (weight ? ", weight" : "") << (zeros ? ", zero points of columns" : ""));
        AlignedVector<char> packed;
        const auto product = [&](Finish finish, void* c) {
          Int8Product p = problem.product(*kernels, weight, packed, finish, c);
          p.row_scale = nullptr;
          p.row_zero = nullptr;
          p.col_sum = nullptr;
          p.col_scale = factor.data();
          p.col_rest = rest.data();
          p.col_shift = shift.data();
          p.col_factor = steps.data();
          p.col_addend = addend.data();
          if (!zeros) p.row_sum = p.col_zero = nullptr;
          p.inverse = 12.5f;
          p.low = -100;
          p.high = 155;
          p.offset = 100;
          return p;
        };
        std::vector<float> real(17 * 35);
        multiply(*kernels, weight, product(Finish::real, real.data()));
        std::vector<float> twice = real;
        std::vector<std::uint8_t> codes(17 * 35), gelu(17 * 35), twice_codes(17 * 35);
        const auto onto = [&](Finish finish, void* target) {
          Int8Product p = product(finish, target);
          p.partial = real.data();
          p.partial_stride = 35;
          multiply(*kernels, weight, p);
        };
        onto(Finish::real, twice.data());
        onto(Finish::codes, twice_codes.data());
        multiply(*kernels, weight, product(Finish::codes, codes.data()));
        multiply(*kernels, weight, product(Finish::gelu_codes, gelu.data()));
        const auto code = [](double v) { return std::clamp(std::nearbyint(v * 12.5), -100.0, 155.0) + 100; };
        for (std::size_t i = 0; i < 17; ++i) {
          for (std::size_t j = 0; j < 35; ++j) {
            const std::size_t at = i * 35 + j;
            auto sum = static_cast<double>(problem.sum(i, j) + shift[j]);
            if (zeros) sum -= static_cast<double>(problem.row_sum[i]) * problem.col_zero[j];
            const double product_alone = sum * scale * problem.col_scale[j];
            const double exact = product_alone + problem.bias[j];
            // One rounding of the result and one of the bias with the correction.
            REQUIRE(std::abs(real[at] - exact) <=
                    6e-8 * (std::abs(exact) + std::abs(problem.bias[j])) + 1e-14 * std::abs(product_alone));
            REQUIRE(twice[at] == Approx(product_alone + real[at]).epsilon(1e-7).margin(1e-6));
            REQUIRE(twice_codes[at] == code(twice[at]));
            REQUIRE(codes[at] == code(exact));
            const double g = 0.5 * exact * std::erfc(-exact / std::sqrt(2.0));
            REQUIRE(std::abs(gelu[at] - code(g)) <= 1);
            if (std::abs(g * 12.5 - std::floor(g * 12.5) - 0.5) > 1e-4) REQUIRE(gelu[at] == code(g));
          }
        }
      }
}

TEST_CASE("Packing rows equals packing their transpose; flipped codes are codes - 128", "[engine]") {
  for (const Int8Kernels* kernels : kernels_of_this_cpu()) {
    for (const std::size_t depth : {1u, 7u, 16u, 50u}) {
      for (const std::size_t cols : {10u, 16u, 32u, 33u}) {
        std::vector<std::int8_t> rows(depth * cols + 64), transposed(depth * cols + 64);
        Random random(depth * cols);
        for (std::size_t k = 0; k < depth; ++k) {
          for (std::size_t j = 0; j < cols; ++j) {
            const auto code = static_cast<std::int8_t>(static_cast<std::uint8_t>(random.below(256)));
            rows[k * cols + j] = transposed[j * depth + k] = code;
          }
        }
        const std::size_t bytes = kernels->packed_bytes(depth, cols);
        AlignedVector<char> a(bytes), b(bytes), c(bytes);
        kernels->pack_rows(rows.data(), cols, cols, depth, 128, a.data());
        kernels->pack_transposed(transposed.data(), depth, cols, depth, 128, b.data());
        INFO(kernels->name << " depth " << depth << ", cols " << cols);
        REQUIRE(a == b);
        for (std::size_t i = 0; i < depth * cols; ++i)
          transposed[i] = static_cast<std::int8_t>(static_cast<std::uint8_t>(transposed[i]) - 128);
        kernels->pack_transposed(transposed.data(), depth, cols, depth, 0, c.data());
        REQUIRE(b == c);
      }
    }
  }
}
