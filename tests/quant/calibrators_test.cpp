#include <cmath>

#include "catch.h"
#include "quant/calibrator.h"
#include "quant/distributions.h"

using namespace outlierlab;

namespace {
IniSection options(const std::vector<std::pair<std::string, std::string>>& keys) {
  IniSection section;
  section.name = "activations";
  section.place = "test.ini:1";
  int line = 2;
  for (const auto& [key, value] : keys) section.set(key, value, "test.ini:" + std::to_string(line++));
  return section;
}

Range range_of(const std::string& name, const Distribution& d,
               const std::vector<std::pair<std::string, std::string>>& keys = {}, int bits = 8,
               bool symmetric = false) {
  CalibrationContext context;
  context.bits = bits;
  context.symmetric = symmetric;
  context.place = "site";
  return make_calibrator(name, options(keys))->range(d, context);
}

Grid grid_for(Range range, int bits, bool symmetric) {
  return symmetric ? Grid::symmetric(std::max(std::abs(range.lo), std::abs(range.hi)), bits)
                   : Grid::affine(range, bits);
}

std::vector<float> gelu_values(std::size_t count) {
  std::vector<float> values = test::normal_values(count, 1.5f, 9);
  for (float& v : values) v = 0.5f * v * (1 + std::erf(v / std::sqrt(2.0f)));
  return values;
}

std::vector<float> softmax_values(std::size_t rows, std::size_t width) {
  std::vector<float> values = test::normal_values(rows * width, 3.0f, 11);
  for (std::size_t r = 0; r < rows; ++r) {
    float sum = 0;
    for (std::size_t c = 0; c < width; ++c) sum += values[r * width + c] = std::exp(values[r * width + c]);
    for (std::size_t c = 0; c < width; ++c) values[r * width + c] /= sum;
  }
  return values;
}

std::vector<float> with_outliers(std::vector<float> values, std::size_t count, float size) {
  for (std::size_t i = 0; i < count; ++i) values.push_back(i % 2 ? -size : size);
  return values;
}
}  // namespace

TEST_CASE("the registry lists every calibrator and names the nearest", "[quant][calibrators]") {
  REQUIRE(calibrators().size() >= 6);
  for (const CalibratorEntry& entry : calibrators()) {
    REQUIRE_FALSE(entry.summary.empty());
    if (entry.name != "clip") REQUIRE(make_calibrator(entry.name, options({})));
  }
  REQUIRE_ERROR(make_calibrator("percentil", options({})), "percentil", "did you mean 'percentile'");
}

TEST_CASE("minmax is the exact range", "[quant][calibrators]") {
  const Distribution d = test::distribution_of(with_outliers(test::normal_values(1000, 1), 2, 60));
  REQUIRE(range_of("minmax", d).lo == -60);
  REQUIRE(range_of("minmax", d).hi == 60);
}

TEST_CASE("percentile ignores a few outliers and is minmax at 100", "[quant][calibrators]") {
  const auto values = with_outliers(test::normal_values(100000, 1), 4, 60);
  const Distribution d = test::distribution_of(values);
  const Range r = range_of("percentile", d, {{"percentile", "99.9"}});
  REQUIRE(r.hi == Approx(3.09).epsilon(0.05));
  REQUIRE(r.lo == Approx(-3.09).epsilon(0.05));
  REQUIRE(range_of("percentile", d).hi < 10);
  REQUIRE(range_of("percentile", d, {{"percentile", "100"}}).hi == 60);
  REQUIRE(range_of("percentile", d, {{"percentile", "100"}}).lo == -60);
  for (const std::string bad : {"50", "49.9", "100.1", "0", "-3", "abc", "nan"}) {
    REQUIRE_ERROR(make_calibrator("percentile", options({{"percentile", bad}})), "test.ini:2", bad);
  }
}

TEST_CASE("clip takes exactly one of bound and sigmas and never widens", "[quant][calibrators]") {
  const Distribution d = test::distribution_of(with_outliers(test::normal_values(100000, 1), 4, 60));
  REQUIRE(range_of("clip", d, {{"bound", "5"}}).hi == 5);
  REQUIRE(range_of("clip", d, {{"bound", "5"}}).lo == -5);
  REQUIRE(range_of("clip", d, {{"bound", "500"}}).hi == 60);
  const double sd = d.moments.stddev();
  REQUIRE(range_of("clip", d, {{"sigmas", "3"}}).hi == Approx(d.moments.mean + 3 * sd));
  REQUIRE(range_of("clip", d, {{"sigmas", "300"}}).lo == -60);
  REQUIRE_ERROR(make_calibrator("clip", options({})), "test.ini:1", "exactly one", "neither");
  REQUIRE_ERROR(make_calibrator("clip", options({{"bound", "1"}, {"sigmas", "1"}})), "exactly one", "both");
  REQUIRE_ERROR(make_calibrator("clip", options({{"bound", "0"}})), "above 0");
  REQUIRE_ERROR(make_calibrator("clip", options({{"sigmas", "-1"}})), "above 0");
  const Distribution far = test::distribution_of({10, 11, 12});
  const Range beyond = range_of("clip", far, {{"bound", "5"}});
  REQUIRE(beyond.lo <= beyond.hi);
  REQUIRE(beyond.hi == 5);
  const Distribution constant = test::distribution_of({3, 3, 3});
  REQUIRE(range_of("clip", constant, {{"sigmas", "2"}}).hi == 3);
}

TEST_CASE("mse finds the known optimum for a normal", "[quant][calibrators]") {
  // The best uniform steps for a standard normal are 0.3352 with 16 levels, 0.3534 with 15 (Max 1960, table
  // II) and 0.0308 with 256. An affine grid has 16 levels but one of them at 0, so its best step lies between
  // the first two.
  const Distribution d = test::distribution_of(test::normal_values(1000000, 1));
  const float four = Grid::affine(range_of("mse", d, {}, 4), 4).scale;
  REQUIRE(four > 0.334f);
  REQUIRE(four < 0.355f);
  REQUIRE(Grid::affine(range_of("mse", d, {}, 8), 8).scale == Approx(0.0308).margin(0.001));
  const Range symmetric = range_of("mse", d, {}, 4, true);
  REQUIRE(symmetric.hi == -symmetric.lo);
  REQUIRE(Grid::symmetric(symmetric.hi, 4).scale == Approx(0.3534).margin(0.006));
}

TEST_CASE("mse is never worse than minmax, on the values themselves", "[quant][calibrators]") {
  const std::vector<std::vector<float>> cases = {test::normal_values(50000, 1),
                                                 with_outliers(test::normal_values(50000, 1), 2, 60),
                                                 with_outliers(test::normal_values(50000, 1), 200, 60),
                                                 gelu_values(50000),
                                                 softmax_values(500, 100),
                                                 std::vector<float>(100, 2.5f),
                                                 std::vector<float>(100, -2.5f),
                                                 std::vector<float>(100, 0.0f),
                                                 {0, 0, 0, 1e-30f},
                                                 {-1e30f, 1, 1e30f},
                                                 {5}};
  for (const auto& values : cases) {
    const Distribution d = test::distribution_of(values);
    for (const int bits : {2, 4, 8, 16}) {
      for (const bool symmetric : {false, true}) {
        const double minmax = test::mean_squared_error(values, grid_for({d.min, d.max}, bits, symmetric));
        const Range r = range_of("mse", d, {}, bits, symmetric);
        CAPTURE(d.min, d.max, bits, symmetric, r.lo, r.hi);
        REQUIRE(r.lo <= r.hi);
        REQUIRE(test::mean_squared_error(values, grid_for(r, bits, symmetric)) <= minmax * 1.02);
      }
    }
  }
}

TEST_CASE("mse equals an exhaustive search", "[quant][calibrators]") {
  const auto values = with_outliers(gelu_values(20000), 6, 30);
  const Distribution d = test::distribution_of(values);
  double least = HUGE_VAL;
  for (double a = 1; a > 0.003; a *= 0.9) {
    for (double b = 1; b > 0.003; b *= 0.95) {
      const Range r{static_cast<float>(d.min * a), static_cast<float>(d.max * b)};
      least = std::min(least, test::mean_squared_error(values, Grid::affine(r, 4)));
    }
  }
  const Range r = range_of("mse", d, {}, 4);
  REQUIRE(test::mean_squared_error(values, Grid::affine(r, 4)) < 1.02 * least);
}

TEST_CASE("kl clips a heavy tail and keeps a uniform", "[quant][calibrators]") {
  const Distribution heavy = test::distribution_of(with_outliers(test::normal_values(200000, 1), 20, 12));
  for (const bool symmetric : {false, true}) {
    const Range r = range_of("kl", heavy, {}, 8, symmetric);
    CAPTURE(symmetric, r.lo, r.hi);
    REQUIRE(r.hi > 2.5);
    REQUIRE(r.hi < 8);
    REQUIRE(r.lo == -r.hi);
  }
  std::vector<float> uniform;
  for (int i = 0; i < 100000; ++i) uniform.push_back(static_cast<float>(i) / 50000.0f - 1.0f);
  const Range whole = range_of("kl", test::distribution_of(uniform));
  REQUIRE(whole.hi > 0.97);
  REQUIRE(whole.lo < -0.97);
}

TEST_CASE("kl on one-sided and degenerate distributions", "[quant][calibrators]") {
  const auto gelu = gelu_values(100000);
  const Range r = range_of("kl", test::distribution_of(gelu));
  REQUIRE(r.lo == Approx(-0.17).margin(0.002));
  REQUIRE(r.hi > 2);
  const Range probs = range_of("kl", test::distribution_of(softmax_values(1000, 100)));
  REQUIRE(probs.lo >= 0);
  REQUIRE(probs.hi > 0.05);
  REQUIRE(probs.hi <= 1);
  for (const std::vector<float>& values : {std::vector<float>{0}, std::vector<float>{2, 2},
                                           std::vector<float>{-3, -3}, std::vector<float>{-1, 1}}) {
    const Distribution d = test::distribution_of(values);
    for (const bool symmetric : {false, true}) {
      const Range same = range_of("kl", d, {}, 8, symmetric);
      REQUIRE(same.lo == d.min);
      REQUIRE(same.hi == d.max);
    }
  }
  const Distribution d = test::distribution_of(gelu);
  REQUIRE(range_of("kl", d, {}, 16).hi == d.max);
}

TEST_CASE("running_minmax follows the moving average over batches", "[quant][calibrators]") {
  std::vector<ExampleRange> examples;
  for (std::uint32_t e = 0; e < 16; ++e) examples.push_back({e, 0, 0});
  for (std::uint32_t e = 16; e < 48; ++e) examples.push_back({e, -1.0f, 10.0f + (e == 20 ? 10.0f : 0.0f)});
  CalibrationContext context;
  context.example_ranges = &examples;
  const auto calibrator = make_calibrator("running_minmax", options({}));
  // 0, then 0.1 * 20, then 0.9 * 2 + 0.1 * 10.
  const Range r = calibrator->range(Distribution(), context);
  REQUIRE(r.hi == Approx(2.8));
  REQUIRE(r.lo == Approx(-0.19));
  const auto last = make_calibrator("running_minmax", options({{"momentum", "0"}, {"batch", "40"}}));
  REQUIRE(last->range(Distribution(), context).hi == 10);
  CalibrationContext none;
  none.place = "layer.0.query";
  REQUIRE_ERROR(calibrator->range(Distribution(), none), "layer.0.query", "granularity = tensor");
  REQUIRE_ERROR(make_calibrator("running_minmax", options({{"momentum", "1"}})), "less than 1");
  REQUIRE_ERROR(make_calibrator("running_minmax", options({{"batch", "0"}})), "at least 1");
}
