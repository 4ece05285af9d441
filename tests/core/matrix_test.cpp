#include "core/matrix.h"

#include <cstdint>

#include "catch.h"

using namespace outlierlab;

TEST_CASE("Rows of a SpreadMatrix start on cache lines, an odd number of them apart, and do not overlap",
          "[matrix]") {
  SpreadMatrix matrix;
  for (const std::size_t cols : {1, 15, 16, 17, 384, 400, 1152, 1536}) {
    matrix.resize(5, cols);
    REQUIRE(matrix.cols() == cols);
    REQUIRE(matrix.stride() >= cols);
    REQUIRE(matrix.stride() <= cols + 31);
    REQUIRE(matrix.stride() % 32 == 16);
    for (std::size_t r = 0; r < 5; ++r) {
      REQUIRE(matrix.row(r) == matrix.row(0) + r * matrix.stride());
      REQUIRE(reinterpret_cast<std::uintptr_t>(matrix.row(r)) % 64 == 0);
      for (std::size_t c = 0; c < cols; ++c) matrix.row(r)[c] = static_cast<float>(r * cols + c);
    }
    for (std::size_t r = 0; r < 5; ++r) {
      for (std::size_t c = 0; c < cols; ++c) {
        if (matrix.row(r)[c] != static_cast<float>(r * cols + c)) FAIL("overlap at " << r << ", " << c);
      }
    }
  }
  Matrix plain(3, 7);
  REQUIRE(plain.stride() == 7);
}
