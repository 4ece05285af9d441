#include "kernels/kernels.h"

#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "catch.h"
#include "core/matrix.h"
#include "kernels/double_kernels.h"
#include "support/tiny_bert.h"

using namespace outlierlab;

namespace {

/// The versions that this CPU can run.
std::vector<std::pair<std::string, const ModelKernels*>> versions() {
  std::vector<std::pair<std::string, const ModelKernels*>> all = {{"portable", &portable::model_kernels}};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    all.push_back({"avx2", &avx2::model_kernels});
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    all.push_back({"avx512", &avx512::model_kernels});
  }
  return all;
}

Matrix product(const ModelKernels& kernel, const Matrix& a, const Matrix& weight,
               const std::vector<float>& bias) {
  AlignedVector<float> packed(packed_size(weight.rows(), weight.cols()));
  pack_transposed(weight.data(), weight.cols(), weight.rows(), weight.cols(), packed.data());
  Matrix c(a.rows(), weight.rows());
  kernel.gemm(a.data(), a.cols(), a.rows(), a.cols(), packed.data(), weight.rows(), bias.data(), 1.0f,
              c.data(), c.cols());
  return c;
}

/// The products in double precision that this CPU can run.
std::vector<std::pair<std::string, DoubleGemm>> double_versions() {
  std::vector<std::pair<std::string, DoubleGemm>> all;
  for (const auto& [name, kernel] : versions()) {
    all.push_back({name, name == "avx512" ? avx512::double_gemm
                         : name == "avx2" ? avx2::double_gemm
                                          : portable::double_gemm});
  }
  return all;
}

/// Values that float32 does not have.
std::vector<double> random_doubles(std::size_t count, double scale, Random& random) {
  std::vector<double> values(count);
  for (double& v : values) v = scale * (test::normal(random) + 1e-9 * test::normal(random));
  return values;
}

bool same_bits(const Matrix& a, const Matrix& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("The product agrees with double precision for every tail of rows and columns", "[kernels]") {
  Random random(3);
  for (const auto& [name, kernel] : versions()) {
    for (const std::size_t rows : {1, 5, 13, 14, 15, 29}) {
      for (const std::size_t cols : {1, 15, 16, 17, 31, 32, 33, 48, 50}) {
        for (const std::size_t depth : {1, 7, 64}) {
          const Matrix a = test::random_matrix(rows, depth, 1, random),
                       w = test::random_matrix(cols, depth, 1, random);
          const std::vector<float> bias = test::random_vector(cols, 0, 1, random);
          const Matrix c = product(*kernel, a, w, bias);
          for (std::size_t r = 0; r < rows; ++r) {
            for (std::size_t j = 0; j < cols; ++j) {
              double sum = bias[j], magnitude = std::fabs(bias[j]);
              for (std::size_t k = 0; k < depth; ++k) {
                sum += static_cast<double>(a(r, k)) * w(j, k);
                magnitude += std::fabs(static_cast<double>(a(r, k)) * w(j, k));
              }
              INFO(name << " " << rows << "x" << depth << "x" << cols << " at " << r << "," << j);
              // A chain of `depth` rounded additions is off by at most depth * 2^-24 of the summed
              // magnitudes.
              REQUIRE(std::fabs(c(r, j) - sum) <= static_cast<double>(depth + 2) * 0x1p-24 * magnitude);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("A row's product does not depend on the rows beside it", "[kernels]") {
  Random random(4);
  const Matrix a = test::random_matrix(31, 96, 1, random), w = test::random_matrix(50, 96, 1, random);
  const std::vector<float> bias = test::random_vector(50, 0, 1, random);
  for (const auto& [name, kernel] : versions()) {
    const Matrix whole = product(*kernel, a, w, bias);
    for (std::size_t r = 0; r < a.rows(); ++r) {
      Matrix one(1, a.cols());
      std::copy_n(a.row(r), a.cols(), one.data());
      const Matrix alone = product(*kernel, one, w, bias);
      INFO(name << " row " << r);
      REQUIRE(std::memcmp(alone.data(), whole.row(r), 50 * sizeof(float)) == 0);
    }
  }
}

TEST_CASE("Every instruction set gives the same bits", "[kernels]") {
  Random random(5);
  const Matrix a = test::random_matrix(23, 77, 2, random), w = test::random_matrix(45, 77, 1, random);
  const std::vector<float> bias = test::random_vector(45, 0, 1, random),
                           gain = test::random_vector(77, 1, 1, random),
                           shift = test::random_vector(77, 0, 1, random);
  const auto outputs = [&](const ModelKernels& kernel) {
    std::vector<Matrix> all = {product(kernel, a, w, bias), a, a, a, a, a};
    kernel.gelu(all[1].data(), all[1].size());
    kernel.softmax(all[2].data(), a.rows(), a.cols(), a.cols());
    kernel.add(a.data(), a.data(), all[3].data(), a.size());
    kernel.layer_norm(a.data(), all[4].data(), a.rows(), a.cols(), gain.data(), shift.data(), 1e-12f);
    kernel.tanh(all[5].data(), all[5].size());
    return all;
  };
  const std::vector<Matrix> expected = outputs(portable::model_kernels);
  for (const auto& [name, kernel] : versions()) {
    const std::vector<Matrix> found = outputs(*kernel);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      INFO(name << " kernel " << i);
      REQUIRE(same_bits(expected[i], found[i]));
    }
  }
}

TEST_CASE("GELU, softmax, tanh and LayerNorm agree with double precision", "[kernels]") {
  std::vector<float> inputs;
  for (double v = -12; v <= 12; v += 1.0 / 64) inputs.push_back(static_cast<float>(v));
  for (const float v : {0.0f, -0.0f, 1e-30f, -1e-20f, 50.0f, -50.0f, 1000.0f, -1000.0f, 3e38f})
    inputs.push_back(v);
  for (const auto& [name, kernel] : versions()) {
    std::vector<float> gelu = inputs, tanh = inputs;
    kernel->gelu(gelu.data(), gelu.size());
    kernel->tanh(tanh.data(), tanh.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const double v = inputs[i];
      INFO(name << " at " << v);
      REQUIRE(gelu[i] == Approx(v * 0.5 * std::erfc(-v / std::sqrt(2.0))).epsilon(2e-6).margin(1e-12));
      REQUIRE(tanh[i] == Approx(std::tanh(v)).epsilon(5e-7).margin(1e-30));
    }
  }
  Random random(6);
  Matrix scores = test::random_matrix(9, 37, 4, random);
  scores(2, 5) = 500.0f;
  scores(3, 0) = -1e30f;
  for (std::size_t c = 0; c < 37; ++c) scores(4, c) = 7.0f;
  for (const auto& [name, kernel] : versions()) {
    Matrix probs = scores;
    kernel->softmax(probs.data(), 9, 37, 37);
    for (std::size_t r = 0; r < 9; ++r) {
      double top = -1e300, sum = 0;
      for (std::size_t c = 0; c < 37; ++c) top = std::max(top, static_cast<double>(scores(r, c)));
      for (std::size_t c = 0; c < 37; ++c) sum += std::exp(scores(r, c) - top);
      for (std::size_t c = 0; c < 37; ++c) {
        INFO(name << " row " << r << " column " << c);
        // The float difference to the largest score is off by up to 2^-24 of its size, which the exponential
        // passes on.
        REQUIRE(probs(r, c) == Approx(std::exp(scores(r, c) - top) / sum).epsilon(5e-6).margin(1e-37));
      }
    }
  }
}

TEST_CASE("LayerNorm keeps its precision about a large mean", "[kernels]") {
  Random random(8);
  Matrix values = test::random_matrix(4, 77, 1, random), out(4, 77);
  for (std::size_t c = 0; c < 77; ++c) values(1, c) = 1000.0f + values(1, c);
  values(2, 9) = 5000.0f;
  const std::vector<float> gain = test::random_vector(77, 1, 0.2f, random),
                           bias = test::random_vector(77, 0, 0.2f, random);
  for (const auto& [name, kernel] : versions()) {
    kernel->layer_norm(values.data(), out.data(), 4, 77, gain.data(), bias.data(), 1e-12f);
    for (std::size_t r = 0; r < 4; ++r) {
      double mean = 0, variance = 0;
      for (std::size_t c = 0; c < 77; ++c) mean += values(r, c) / 77.0;
      for (std::size_t c = 0; c < 77; ++c) variance += (values(r, c) - mean) * (values(r, c) - mean) / 77.0;
      for (std::size_t c = 0; c < 77; ++c) {
        INFO(name << " row " << r << " column " << c);
        const double expected = (values(r, c) - mean) / std::sqrt(variance + 1e-12) * gain[c] + bias[c];
        REQUIRE(out(r, c) == Approx(expected).epsilon(1e-5).margin(2e-4));
      }
    }
  }
}

TEST_CASE("Softmax of every width is the same to the bit and leaves what stands after a row", "[kernels]") {
  for (std::size_t cols = 1; cols <= 50; ++cols) {
    const std::size_t rows = 3, stride = cols + 3;
    Random random(cols);
    const Matrix values = test::random_matrix(rows, stride, 4, random);
    Matrix expected = values;
    portable::model_kernels.softmax(expected.data(), rows, cols, stride);
    for (std::size_t r = 0; r < rows; ++r) {
      const float* row = expected.row(r);
      REQUIRE(std::accumulate(row, row + cols, 0.0) == Approx(1).margin(1e-6));
      REQUIRE(std::memcmp(row + cols, values.row(r) + cols, 3 * sizeof(float)) == 0);
    }
    for (const auto& [name, kernel] : versions()) {
      INFO(name << ", " << cols << " columns");
      Matrix found = values;
      kernel->softmax(found.data(), rows, cols, stride);
      REQUIRE(std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)) == 0);
    }
  }
}

TEST_CASE("Products in double precision are the exact sums to 1e-13, with the same bits everywhere",
          "[kernels]") {
  Random random(8);
  for (const std::size_t rows : {1, 2, 9, 10, 11, 23}) {
    for (const std::size_t cols : {1, 16, 17, 50}) {
      const std::size_t depth = 300, lda = depth + 3, ldc = cols + 2;
      const std::vector<double> a = random_doubles(rows * lda, 3, random),
                                w = random_doubles(cols * depth, 1, random),
                                bias = random_doubles(cols, 1, random);
      std::vector<double> packed(packed_size(cols, depth)), again = packed, first;
      pack_doubles(w.data(), 1, depth, cols, depth, packed.data());
      std::vector<double> transposed(w.size());
      for (std::size_t i = 0; i < w.size(); ++i) transposed[i % depth * cols + i / depth] = w[i];
      pack_doubles(transposed.data(), cols, 1, cols, depth, again.data());
      REQUIRE(packed == again);
      for (const auto& [name, gemm] : double_versions()) {
        std::vector<double> c(rows * ldc, 7), alone(ldc, 7);
        gemm(a.data(), lda, rows, depth, packed.data(), cols, bias.data(), c.data(), ldc);
        if (first.empty()) first = c;
        REQUIRE(c == first);
        gemm(a.data(), lda, 1, depth, packed.data(), cols, nullptr, alone.data(), ldc);
        for (std::size_t r = 0; r < rows; ++r) {
          for (std::size_t j = 0; j < cols; ++j) {
            long double sum = 0, magnitude = std::abs(bias[j]);
            for (std::size_t k = 0; k < depth; ++k) {
              const long double term = static_cast<long double>(a[r * lda + k]) * w[j * depth + k];
              sum += term;
              magnitude += std::abs(term);
            }
            INFO(name << " " << rows << "x" << cols << " at " << r << "," << j);
            REQUIRE(std::abs(c[r * ldc + j] - (sum + bias[j])) <= 1e-13 * magnitude);
            if (r == 0) REQUIRE(alone[j] + bias[j] == c[j]);
          }
          REQUIRE(c[r * ldc + cols] == 7);
        }
      }
    }
  }
}

TEST_CASE("Functions in double precision are exact to 1e-14", "[kernels]") {
  std::vector<double> inputs;
  for (double v = -12; v <= 12; v += 1.0 / 65) inputs.push_back(v);
  std::vector<double> gelu = inputs, tanh = inputs;
  double_gelu(gelu.data(), gelu.size());
  double_tanh(tanh.data(), tanh.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const long double v = inputs[i];
    INFO(inputs[i]);
    // The argument's own rounding counts as its square times in the tail of erfc.
    REQUIRE(gelu[i] ==
            Approx(static_cast<double>(v * std::erfc(-v / std::sqrt(2.0L)) / 2)).epsilon(1e-13).margin(0));
    REQUIRE(tanh[i] == Approx(static_cast<double>(std::tanh(v))).epsilon(1e-15).margin(0));
  }
  Random random(9);
  const std::vector<double> values = random_doubles(3 * 384, 5, random),
                            gain = random_doubles(384, 1, random), shift = random_doubles(384, 1, random);
  std::vector<double> norm = values, probs = values;
  double_layer_norm(norm.data(), 3, 384, gain.data(), shift.data(), 1e-2);
  double_softmax(probs.data(), 3, 384);
  for (std::size_t r = 0; r < 3; ++r) {
    const double* const row = values.data() + r * 384;
    long double mean = 0, variance = 0, top = row[0], total = 0;
    for (std::size_t c = 0; c < 384; ++c) {
      mean += row[c] / 384.0L;
      top = std::max<long double>(top, row[c]);
    }
    for (std::size_t c = 0; c < 384; ++c) {
      variance += (row[c] - mean) * (row[c] - mean) / 384.0L;
      total += std::exp(row[c] - top);
    }
    for (std::size_t c = 0; c < 384; ++c) {
      const long double scaled = (row[c] - mean) / std::sqrt(variance + 1e-2L) * gain[c];
      INFO(r << "," << c);
      REQUIRE(norm[r * 384 + c] ==
              Approx(static_cast<double>(scaled + shift[c])).epsilon(1e-14).margin(1e-14));
      REQUIRE(probs[r * 384 + c] ==
              Approx(static_cast<double>(std::exp(row[c] - top) / total)).epsilon(1e-14).margin(0));
    }
  }
}
