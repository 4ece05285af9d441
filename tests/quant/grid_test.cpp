#include "quant/grid.h"

#include <cfloat>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>

#include "catch.h"
#include "core/matrix.h"
#include "paths.h"
#include "quant/kernels.h"

using namespace outlierlab;

namespace {
float from_bits(const std::string& hex) {
  const auto bits = static_cast<std::uint32_t>(std::stoul(hex, nullptr, 16));
  float v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}

std::uint32_t to_bits(float v) {
  std::uint32_t bits;
  std::memcpy(&bits, &v, sizeof v);
  return bits;
}
}  // namespace

TEST_CASE("grids and round trips equal numpy's float32 to the bit", "[quant]") {
  std::ifstream in(test::source("tests/golden/quant_grid.txt"));
  REQUIRE(in);
  Grid grid;
  std::size_t grids = 0, values = 0;
  for (std::string line, word; std::getline(in, line);) {
    INFO(line);
    std::istringstream words(line);
    words >> word;
    if (word == "matrix") break;
    if (word == "grid") {
      std::string kind, lo, hi, scale;
      int bits, zero, qmin, qmax;
      words >> kind >> bits >> lo >> hi >> scale >> zero >> qmin >> qmax;
      const Range range{from_bits(lo), from_bits(hi)};
      grid = kind == "affine" ? Grid::affine(range, bits)
                              : Grid::symmetric(std::max(std::abs(range.lo), std::abs(range.hi)), bits);
      REQUIRE(to_bits(grid.scale) == to_bits(from_bits(scale)));
      REQUIRE(grid.zero == zero);
      REQUIRE(grid.qmin == qmin);
      REQUIRE(grid.qmax == qmax);
      ++grids;
    } else {
      std::string v, result;
      int q;
      words >> v >> q >> result;
      REQUIRE(grid.quantize(from_bits(v)) == q);
      REQUIRE(to_bits(grid.round_trip(from_bits(v))) == to_bits(from_bits(result)));
      ++values;
    }
  }
  REQUIRE(grids > 150);
  REQUIRE(values > 3000);
}

TEST_CASE("one grid per column equals numpy's along that axis", "[quant]") {
  std::ifstream in(test::source("tests/golden/quant_grid.txt"));
  std::size_t matrices = 0;
  for (std::string word; in >> word;) {
    if (word != "matrix") {
      std::getline(in, word);
      continue;
    }
    int bits;
    std::size_t rows, cols;
    in >> bits >> rows >> cols;
    Matrix m(rows, cols), expected(rows, cols);
    for (std::size_t i = 0; i < m.size(); ++i) {
      std::string v, q, result;
      in >> word >> v >> q >> result;
      m.data()[i] = from_bits(v);
      expected.data()[i] = from_bits(result);
    }
    std::vector<Grid> grids;
    for (std::size_t c = 0; c < cols; ++c) {
      Range range{m(0, c), m(0, c)};
      for (std::size_t r = 0; r < rows; ++r) {
        range = {std::min(range.lo, m(r, c)), std::max(range.hi, m(r, c))};
      }
      grids.push_back(Grid::affine(range, bits));
    }
    const Matrix quantized = fake_quantize(m, grids);
    REQUIRE(std::memcmp(quantized.data(), expected.data(), m.size() * sizeof(float)) == 0);
    ++matrices;
  }
  REQUIRE(matrices == 2);
}

TEST_CASE("zero is exact on every grid, and width 0 quantizes to 0", "[quant]") {
  for (int bits = 2; bits <= 16; ++bits) {
    for (const Range range : {Range{-1, 3}, Range{2, 3}, Range{-9, -4}, Range{-1e-3f, 1e3f}}) {
      REQUIRE(Grid::affine(range, bits).round_trip(0.0f) == 0.0f);
    }
  }
  const Grid none = Grid::affine({0, 0}, 8);
  REQUIRE(none.scale == 0);
  // Scales whose inverse might overflow in a kernel that multiplies by it.
  for (const float width : {1e-38f, 2.9e-37f, 255 * std::nextafter(FLT_MIN, 0.0f)}) {
    REQUIRE(Grid::affine({0, width}, 8).scale == 0);
    REQUIRE(Grid::affine({0, width}, 8).quantize(width) == 0);
    REQUIRE(Grid::symmetric(width / 3, 8).quantize(width) == 0);
  }
  REQUIRE(Grid::affine({0, 255 * FLT_MIN}, 8).quantize(255 * FLT_MIN) == 255);
  for (const float v : {-1.0f, 0.0f, 5.0f, 1e38f}) REQUIRE(none.round_trip(v) == 0.0f);
}

TEST_CASE("extreme ranges and values stay defined", "[quant]") {
  const float inf = std::numeric_limits<float>::infinity(), most = std::numeric_limits<float>::max();
  for (int bits : {2, 8, 16}) {
    const Grid wide = Grid::affine({-inf, inf}, bits);
    REQUIRE(std::isfinite(wide.scale));
    for (const float v : {most, -most, inf, -inf}) REQUIRE(std::isfinite(wide.round_trip(v)));
    const Grid grid = Grid::affine({-1, 3}, bits);
    REQUIRE(grid.quantize(inf) == grid.qmax);
    REQUIRE(grid.quantize(-inf) == 0);
    REQUIRE(grid.quantize(std::nanf("")) == 0);
  }
  REQUIRE_ERROR(Grid::affine({std::nanf(""), 1}, 8), "NaN");
  for (const int bits : {0, 1, 17, 31, 32}) {
    REQUIRE_ERROR(Grid::affine({0, 1}, bits), "2 to 16", std::to_string(bits));
    REQUIRE_ERROR(Grid::symmetric(1, bits), "2 to 16", std::to_string(bits));
  }
}

TEST_CASE("granularities by name", "[quant]") {
  REQUIRE(parse_granularity("group", "f:1") == Granularity::group);
  REQUIRE_ERROR(parse_granularity("chanel", "f:1"), "f:1", "did you mean 'channel'");
}

TEST_CASE("Dequantized values have their codes again, others none", "[quant]") {
  for (const int bits : {2, 4, 8, 16}) {
    const int largest = (1 << (bits - 1)) - 1;
    for (const float scale : {0.1f, 3.7e-5f, 1e3f / 3}) {
      for (int code = -largest; code <= largest; ++code)
        REQUIRE(symmetric_code(scale * static_cast<float>(code), scale, bits) == code);
      REQUIRE_FALSE(symmetric_code(scale * static_cast<float>(largest + 1), scale, bits));
      REQUIRE_FALSE(symmetric_code(0.75f * scale, scale, bits));
    }
    REQUIRE(symmetric_code(0, 0, bits) == 0);
    REQUIRE_FALSE(symmetric_code(1, 0, bits));
  }
}
