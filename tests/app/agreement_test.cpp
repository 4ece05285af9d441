#include "app/agreement.h"

#include "catch.h"

using namespace outlierlab;

namespace {

/// Of `examples`, so many predictions of an engine differ from the reference's, and so many of the float32
/// simulation.
bool holds(std::size_t examples, double differ, double in_float32) {
  Agreement agreement;
  agreement.examples = examples;
  agreement.predictions = 100 - 100 * differ / static_cast<double>(examples);
  agreement.float32_predictions = 100 - 100 * in_float32 / static_cast<double>(examples);
  return agreement.holds();
}

/// Of `examples`, so many predictions differ, and so many more of them turn right than wrong.
bool unbiased(std::size_t examples, double differ, double gained) {
  Agreement agreement;
  agreement.examples = examples;
  agreement.predictions = 100 - 100 * differ / static_cast<double>(examples);
  agreement.float32_predictions = agreement.predictions;
  agreement.accuracy_change = 100 * gained / static_cast<double>(examples);
  return agreement.holds();
}

}  // namespace

TEST_CASE("Agreement: 99.5 %, or what float32 leaves of the reference's predictions but for chance",
          "[app]") {
  REQUIRE(holds(1000, 5, 0));
  REQUIRE_FALSE(holds(1000, 6, 0));
  REQUIRE(holds(1000, 12, 5));  // up to 5 + 3 sqrt(6)
  REQUIRE_FALSE(holds(1000, 13, 5));
  REQUIRE(holds(1000, 100, 100));
  REQUIRE(holds(1000, 130, 100));
  REQUIRE_FALSE(holds(1000, 131, 100));
}

TEST_CASE("Agreement: of few examples, chance is not granted all", "[app]") {
  for (const std::size_t n : {1u, 2u, 3u, 10u}) {
    REQUIRE(holds(n, 0, 0));
    REQUIRE_FALSE(holds(n, 1, 0));
  }
  REQUIRE(holds(20, 1, 0));
  REQUIRE_FALSE(holds(20, 2, 0));
  REQUIRE(holds(100, 3, 0));
  REQUIRE_FALSE(holds(100, 4, 0));
}

TEST_CASE("Agreement: accuracy within 0.2 points, or within chance of the predictions that differ", "[app]") {
  for (const double sign : {1.0, -1.0}) {
    REQUIRE(unbiased(10000, 4, sign * 4));
    REQUIRE(unbiased(10000, 100, sign * 30));  // 3 sqrt(100)
    REQUIRE_FALSE(unbiased(10000, 100, sign * 31));
    REQUIRE(unbiased(10000, 40, sign * 20));  // 0.2 points
    REQUIRE_FALSE(unbiased(10000, 40, sign * 21));
    REQUIRE(unbiased(200, 1, sign));  // 0.5 points
    REQUIRE(unbiased(200, 9, sign * 9));
    REQUIRE_FALSE(unbiased(200, 10, sign * 10));
  }
}
