#include "quant/kernels.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "catch.h"
#include "core/isa.h"
#include "core/random.h"
#include "quant/kernel_versions.h"

using namespace outlierlab;

namespace {
struct Version {
  const char* name;
  const QuantKernels* kernels;
};

std::vector<Version> versions() {
  std::vector<Version> all = {{"portable", &portable::quant_kernels}};
  if (isa() >= Isa::avx2) all.push_back({"avx2", &avx2::quant_kernels});
  if (isa() >= Isa::avx512) all.push_back({"avx512", &avx512::quant_kernels});
  return all;
}

GridSteps steps_of(const Grid& g) {
  if (!(g.scale > 0)) return {1, 0, 0, 0};
  return {g.scale, g.scale, float(g.qmin - g.zero), float(g.qmax - g.zero)};
}

constexpr float no_threshold = std::numeric_limits<float>::infinity();

bool same_bits(float a, float b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

// Random values, ties of the grid and their neighbours, huge ones, denormals, both zeros.
std::vector<float> hard_values(const Grid& grid, std::size_t count, Random& random) {
  std::vector<float> values = {0.0f, -0.0f, 1e-45f, -1e-45f, 1e-39f, 3.4e38f, -3.4e38f, 1e30f};
  const float scale = grid.scale > 0 ? grid.scale : 1.0f;
  while (values.size() < count) {
    const float step = static_cast<float>(static_cast<long>(random.below(140000)) - 70000);
    const float tie = (step + 0.5f) * scale;
    values.push_back(tie);
    values.push_back(std::nextafter(tie, 0.0f));
    values.push_back((static_cast<float>(static_cast<long>(random.below(600)) - 300) + 0.5f) * scale);
    values.push_back(static_cast<float>(random.uniform() * 600 - 300) * scale);
  }
  for (float& v : values) {
    if (!std::isfinite(v)) v = 1.0f;
  }
  values.resize(count);
  return values;
}

std::vector<Grid> hard_grids() {
  std::vector<Grid> grids;
  for (const int bits : {2, 4, 8, 11, 16}) {
    for (const Range r : {Range{-1, 1}, Range{-0.17f, 7}, Range{0, 0}, Range{-3, 0}, Range{-1e38f, 1e38f},
                          Range{0, 1e-43f}, Range{-1e-40f, 3e-40f}, Range{0, 1e-45f}}) {
      grids.push_back(Grid::affine(r, bits));
      grids.push_back(Grid::symmetric(std::max(-r.lo, r.hi), bits));
    }
  }
  return grids;
}
}  // namespace

TEST_CASE("every version of the tensor kernel gives the bits of Grid::round_trip", "[quant]") {
  Random random(3);
  for (const Version& version : versions()) {
    for (const Grid& grid : hard_grids()) {
      const std::vector<float> values = hard_values(grid, 1003, random);
      std::vector<float> result(values.size());
      REQUIRE(version.kernels->tensor(values.data(), result.data(), 1, 1003, 1003, steps_of(grid)));
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (same_bits(result[i], grid.round_trip(values[i]))) continue;
        CAPTURE(version.name, grid.scale, grid.zero, values[i], result[i], grid.round_trip(values[i]));
        REQUIRE(false);
      }
    }
  }
}

TEST_CASE("every number of columns and stride, in place, without touching what lies between", "[quant]") {
  Random random(4);
  const Grid grid = Grid::affine({-2, 3}, 8);
  for (const Version& version : versions()) {
    for (std::size_t cols = 1; cols <= 50; ++cols) {
      for (const std::size_t stride : {cols, cols + 1, cols + 16}) {
        std::vector<float> values(4 * stride);
        for (float& v : values) v = static_cast<float>(random.uniform() * 8 - 4);
        const std::vector<float> before = values;
        // The gaps may hold anything.
        for (std::size_t i = 0; i < values.size(); ++i) {
          if (i % stride >= cols) values[i] = std::nanf("");
        }
        REQUIRE(version.kernels->tensor(values.data(), values.data(), 4, cols, stride, steps_of(grid)));
        for (std::size_t i = 0; i < values.size(); ++i) {
          const bool gap = i % stride >= cols;
          if (gap ? !std::isnan(values[i]) : !same_bits(values[i], grid.round_trip(before[i]))) {
            CAPTURE(version.name, cols, stride, i);
            REQUIRE(false);
          }
        }
      }
    }
  }
}

TEST_CASE("NaN and Inf are reported wherever they stand", "[quant]") {
  const Grid grid = Grid::affine({-2, 3}, 8);
  const std::vector<float> scale(37, 0.1f), zero(37, 3.0f);
  for (const Version& version : versions()) {
    for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
      for (std::size_t at = 0; at < 2 * 37; ++at) {
        std::vector<float> values(2 * 37, 1.0f), result(2 * 37);
        values[at] = bad;
        CAPTURE(version.name, bad, at);
        REQUIRE_FALSE(version.kernels->tensor(values.data(), result.data(), 2, 37, 37, steps_of(grid)));
        REQUIRE_FALSE(version.kernels->columns(values.data(), result.data(), 2, 37, 37, scale.data(),
                                               zero.data(), 0, 255));
        REQUIRE_FALSE(
            version.kernels->rows(values.data(), result.data(), 2, 37, 37, 16, 8, false, no_threshold));
        REQUIRE_FALSE(version.kernels->rows(values.data(), result.data(), 2, 37, 37, 0, 8, false, 0.5f));
      }
    }
  }
}

TEST_CASE("one grid per column; negative scales leave a column alone", "[quant]") {
  Random random(5);
  for (const Version& version : versions()) {
    for (const std::size_t cols : {1u, 7u, 16u, 45u}) {
      std::vector<Grid> grids;
      std::vector<float> scale, zero;
      for (std::size_t c = 0; c < cols; ++c) {
        const float lo = static_cast<float>(-random.uniform()),
                    hi = static_cast<float>(10 * random.uniform());
        grids.push_back(c % 5 == 3 ? Grid::affine({0, 0}, 8) : Grid::affine({lo, hi}, 8));
        scale.push_back(c % 4 == 2 ? -1.0f : grids[c].scale);
        zero.push_back(static_cast<float>(grids[c].zero));
      }
      std::vector<float> values(6 * cols), result(6 * cols);
      for (float& v : values) v = static_cast<float>(random.uniform() * 16 - 4);
      values[0] = -0.0f;
      REQUIRE(version.kernels->columns(values.data(), result.data(), 6, cols, cols, scale.data(), zero.data(),
                                       0, 255));
      for (std::size_t i = 0; i < values.size(); ++i) {
        const float expected = scale[i % cols] < 0 ? values[i] : grids[i % cols].round_trip(values[i]);
        CAPTURE(version.name, cols, i, values[i]);
        REQUIRE(same_bits(result[i], expected));
      }
    }
  }
}

TEST_CASE("one grid per row or run, from its own range", "[quant]") {
  Random random(6);
  constexpr std::size_t cols = 53;
  for (const Version& version : versions()) {
    for (const std::size_t block : {0u, 1u, 8u, 16u, 20u, 53u, 100u}) {
      for (const bool symmetric : {false, true}) {
        std::vector<float> values(3 * cols);
        for (float& v : values) v = static_cast<float>(random.uniform() * 16 - 4);
        for (std::size_t c = 0; c < cols; ++c) values[cols + c] = 0;  // a row of width 0
        std::vector<float> result = values;
        REQUIRE(version.kernels->rows(result.data(), result.data(), 3, cols, cols, block, 8, symmetric,
                                      no_threshold));
        const std::size_t run = block == 0 ? cols : block;
        for (std::size_t r = 0; r < 3; ++r) {
          for (std::size_t begin = 0; begin < cols; begin += run) {
            const float* first = values.data() + r * cols + begin;
            const float* last = values.data() + r * cols + std::min(cols, begin + run);
            const Range range{*std::min_element(first, last), *std::max_element(first, last)};
            const Grid grid = symmetric ? Grid::symmetric(std::max(std::abs(range.lo), std::abs(range.hi)), 8)
                                        : Grid::affine(range, 8);
            for (const float* v = first; v < last; ++v) {
              REQUIRE(same_bits(result[static_cast<std::size_t>(v - values.data())], grid.round_trip(*v)));
            }
          }
        }
      }
    }
  }
}

TEST_CASE("outliers of a row stay as they are, and the others' range is theirs alone", "[quant]") {
  Random random(7);
  for (const Version& version : versions()) {
    for (const std::size_t cols : {1u, 15u, 16u, 53u, 64u}) {
      for (const bool symmetric : {false, true}) {
        for (const float threshold : {0.5f, 6.0f, 1000.0f}) {
          std::vector<float> values(4 * cols);
          for (float& v : values) v = static_cast<float>(random.uniform() * 16 - 8);
          values[0] = threshold;  // not above
          values[cols] = std::nextafter(-threshold, -1e9f);
          for (std::size_t c = 0; c < cols; ++c) values[3 * cols + c] = 2 * threshold;  // nothing else
          std::vector<float> result = values;
          REQUIRE(
              version.kernels->rows(result.data(), result.data(), 4, cols, cols, 0, 8, symmetric, threshold));
          for (std::size_t r = 0; r < 4; ++r) {
            float lo = 0, hi = 0;
            for (std::size_t c = 0; c < cols; ++c) {
              const float v = values[r * cols + c];
              if (std::abs(v) > threshold) continue;
              lo = std::min(lo, v);
              hi = std::max(hi, v);
            }
            const Grid grid = symmetric ? Grid::symmetric(std::max(-lo, hi), 8) : Grid::affine({lo, hi}, 8);
            for (std::size_t c = 0; c < cols; ++c) {
              const float v = values[r * cols + c];
              CAPTURE(version.name, cols, symmetric, threshold, r, c);
              REQUIRE(same_bits(result[r * cols + c], std::abs(v) > threshold ? v : grid.round_trip(v)));
            }
          }
        }
      }
    }
  }
}

TEST_CASE("the squared error is that of round_trip, alike in all versions", "[quant]") {
  Random random(7);
  const Grid grid = Grid::symmetric(1.0f, 4);
  std::vector<float> values(5000);
  double expected = 0;
  for (float& v : values) {
    v = static_cast<float>(random.uniform() * 3 - 1.5);
    const double e = double(v) - double(grid.round_trip(v));
    expected += e * e;
  }
  const double first = versions()[0].kernels->error(values.data(), values.size(), steps_of(grid));
  REQUIRE(first == Approx(expected).epsilon(1e-5));
  for (const Version& version : versions()) {
    REQUIRE(version.kernels->error(values.data(), values.size(), steps_of(grid)) == first);
  }
}

TEST_CASE("fake_quantize returns a new matrix and refuses NaN", "[quant]") {
  Matrix m(3000, 70, 0.3f);
  const Grid grid = Grid::affine({-1, 1}, 4);
  const Matrix q = fake_quantize(m, grid);
  REQUIRE(m(2999, 69) == 0.3f);
  REQUIRE(q(2999, 69) == grid.round_trip(0.3f));
  m(2999, 69) = std::nanf("");
  REQUIRE_ERROR(fake_quantize(m, grid), "NaN");
  REQUIRE(fake_quantize(Matrix(), grid).empty());
}
