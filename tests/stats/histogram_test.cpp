#include "stats/histogram.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "core/random.h"
#include "paths.h"
#include "stats/tiles.h"

using namespace outlierlab;

static void add(Histogram& histogram, const std::vector<float>& values) {
  histogram.add(values.data(), 1, values.size(), values.size());
}

TEST_CASE("a histogram's bins hold their values and ascend", "[stats]") {
  Random random(1);
  std::vector<float> values = {0.0f,     -0.0f, FLT_MAX, -FLT_MAX, FLT_MIN,
                               -FLT_MIN, 1.0f,  -1.0f,   1e-44f,   -1e-44f};
  for (int i = 0; i < 5000; ++i) {
    values.push_back(
        static_cast<float>(std::ldexp(random.uniform() - 0.5, static_cast<int>(random.below(80)) - 40)));
  }
  Histogram histogram;
  add(histogram, values);
  REQUIRE(histogram.total() == values.size());
  REQUIRE(histogram.finite());
  const auto bins = histogram.sorted();
  std::uint64_t counted = 0;
  for (std::size_t i = 0; i < bins.size(); ++i) {
    REQUIRE(bins[i].count > 0);
    REQUIRE(bins[i].lower <= bins[i].upper);
    if (i > 0) REQUIRE(bins[i - 1].upper <= bins[i].lower);
    const float widest = std::max(std::fabs(bins[i].lower), std::fabs(bins[i].upper));
    if (widest > FLT_MIN && widest < FLT_MAX) REQUIRE(bins[i].upper - bins[i].lower <= widest / 256);
    std::uint64_t inside = 0;
    for (const float v : values) {
      const bool zero = bins[i].lower == 0 && bins[i].upper == 0;
      if (zero    ? std::fabs(v) < 5e-41f
          : v > 0 ? v >= bins[i].lower && (v < bins[i].upper || v == bins[i].upper * (v == FLT_MAX)) &&
                        bins[i].upper > 0
                  : v <= bins[i].upper && (v > bins[i].lower || v == bins[i].lower * (v == -FLT_MAX)) &&
                        bins[i].lower < 0) {
        ++inside;
      }
    }
    REQUIRE(inside == bins[i].count);
    counted += inside;
  }
  REQUIRE(counted == values.size());
}

TEST_CASE("+0 and -0 share a bin of width 0", "[stats]") {
  Histogram histogram;
  add(histogram, {0.0f, -0.0f, -0.0f});
  histogram.add(-0.0f, 4);
  const auto bins = histogram.sorted();
  REQUIRE(bins.size() == 1);
  REQUIRE(bins[0].lower == 0.0f);
  REQUIRE(bins[0].upper == 0.0f);
  REQUIRE(bins[0].count == 7);
}

TEST_CASE("a histogram takes a range that grows a millionfold", "[stats]") {
  Histogram histogram;
  std::vector<float> values;
  for (int i = 0; i < 3000; ++i) {
    values.push_back((i % 2 ? -1e-3f : 1e-3f) * std::pow(10.0f, static_cast<float>(i) / 500.0f));
  }
  add(histogram, values);
  std::sort(values.begin(), values.end());
  REQUIRE(histogram.percentile(0, values.front(), values.back()) == values.front());
  REQUIRE(histogram.percentile(100, values.front(), values.back()) == values.back());
  REQUIRE(histogram.percentile(75, values.front(), values.back()) == Approx(1.0).epsilon(0.01));
}

TEST_CASE("NaN and Inf are counted apart", "[stats]") {
  Histogram histogram;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  add(histogram, {1.0f, nan, -nan, infinity, -infinity, infinity});
  REQUIRE_FALSE(histogram.finite());
  for (int settled = 0; settled < 2; ++settled, histogram.settle()) {
    REQUIRE(histogram.nans() == 2);
    REQUIRE(histogram.infinities() == 3);
    REQUIRE(histogram.total() == 6);
    REQUIRE(histogram.sorted().size() == 1);
  }
}

TEST_CASE("counts pass 2^24 and 2^32", "[stats]") {
  Histogram histogram;
  const std::vector<float> row(1 << 16, 1.5f);
  for (int i = 0; i < 300; ++i) add(histogram, row);
  REQUIRE(histogram.sorted().at(0).count == 300u << 16);
  // What the table may still take is booked without counting, so that the next tile has to go to a fresh one.
  histogram.counters(0xffffffffull - (300ull << 16) - 100);
  add(histogram, row);
  REQUIRE(histogram.sorted().at(0).count == 301u << 16);
  Histogram large;
  large.add(1.5f, 1ull << 40);
  large.merge(histogram);
  REQUIRE(large.total() == (1ull << 40) + (301ull << 16));
  REQUIRE(large.sorted().size() == 1);
}

TEST_CASE("histograms merge, copy and rebuild to the same bins", "[stats]") {
  Random random(5);
  std::vector<float> values(4000);
  for (float& v : values) v = test::normal(random);
  Histogram whole, left, right;
  add(whole, values);
  for (std::size_t i = 0; i < values.size(); ++i) (random.below(2) ? left : right).add(&values[i], 1, 1, 1);
  Histogram merged = right;
  merged.merge(left);
  REQUIRE(merged.nonzero() == whole.nonzero());
  REQUIRE(Histogram::of(values).nonzero() == whole.nonzero());
  auto bins = whole.nonzero();
  std::reverse(bins.begin(), bins.end());
  REQUIRE(Histogram::from_bins(bins).nonzero() == whole.nonzero());
  Histogram copy = whole;
  add(whole, values);
  REQUIRE(copy.total() == values.size());
  copy = whole;
  REQUIRE(copy.total() == 2 * values.size());
  REQUIRE_THROWS(Histogram::from_bins({{Histogram::bins, 1}}));
}

TEST_CASE("percentiles agree with numpy", "[stats]") {
  std::ifstream in(test::source("tests/golden/stats/distributions.json"));
  const auto golden = nlohmann::json::parse(in);
  std::ifstream data(test::source("tests/golden/stats/distributions.f32"), std::ios::binary);
  std::vector<float> values(golden.at("n").get<std::size_t>());
  for (const auto& expected : golden.at("distributions")) {
    INFO(expected.at("name"));
    data.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * 4));
    REQUIRE(data.good());
    Histogram histogram;
    add(histogram, values);
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    std::vector<float> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t i = 0; i < golden.at("percentiles").size(); ++i) {
      const double p = golden["percentiles"][i];
      const double exact = expected.at("percentiles")[i];
      // Between two neighbours of the order, the larger sets the error.
      const double rank = p / 100 * static_cast<double>(sorted.size() - 1);
      const double scale = std::max(std::fabs(sorted[static_cast<std::size_t>(std::floor(rank))]),
                                    std::fabs(sorted[static_cast<std::size_t>(std::ceil(rank))]));
      INFO(p);
      REQUIRE(std::fabs(histogram.percentile(p, *low, *high) - exact) <= scale / 256);
    }
  }
}

TEST_CASE("percentiles at the edges of use", "[stats]") {
  Histogram histogram;
  REQUIRE(histogram.percentile(50, 0, 0) == 0.0f);
  histogram.add(-2.75f);
  for (const double p : {0.0, 37.0, 100.0}) REQUIRE(histogram.percentile(p, -2.75f, -2.75f) == -2.75f);
  REQUIRE_THROWS(histogram.percentile(100.1, 0, 1));
  REQUIRE_THROWS(histogram.percentile(NAN, 0, 1));
}
