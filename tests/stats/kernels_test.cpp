#include "stats/kernels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "catch.h"
#include "stats/tiles.h"

using namespace outlierlab;

namespace {

struct Outcome {
  std::vector<double> mean, m2;
  std::vector<float> min, max;
  std::vector<RowRun> runs;
  PowerSums channel_sums, value_sums;
  std::vector<std::uint32_t> counters;
};

RowRun empty_run(std::size_t end) {
  RowRun run;
  run.end = end;
  std::fill_n(run.min, 8, INFINITY);
  std::fill_n(run.max, 8, -INFINITY);
  return run;
}

Outcome run_kernels(Isa isa, const std::vector<float>& values, std::size_t rows, std::size_t cols) {
  Outcome o;
  o.mean.assign(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(cols));
  o.m2.assign(cols, 0);
  o.min.assign(cols, INFINITY);
  o.max.assign(cols, -INFINITY);
  o.counters.assign(Histogram::bins, 0);
  const StatisticsKernels& kernels = statistics_kernels(isa);
  const TileValues tile{values.data(), rows, cols, cols};
  for (int pass = 0; pass < 2; ++pass) {
    o.runs = {empty_run(rows / 3), empty_run(rows)};
    if (rows / 3 == 0) o.runs.erase(o.runs.begin());
    kernels.add_channels(tile, pass * static_cast<double>(rows),
                         {o.mean.data(), o.m2.data(), o.min.data(), o.max.data()}, o.runs.data(), 0.25f,
                         o.counters.data(), o.channel_sums);
  }
  o.runs.push_back(empty_run(rows));
  kernels.add_values(tile, o.runs.back(), 0.125f, o.counters.data(), o.value_sums);
  kernels.count(tile, o.counters.data());
  return o;
}

/// How values are spread over the lanes is the kernel's own affair.
std::array<float, 2> range(const RowRun& run) {
  return {*std::min_element(std::begin(run.min), std::end(run.min)),
          *std::max_element(std::begin(run.max), std::end(run.max))};
}

template <typename T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace

TEST_CASE("every instruction set gives the same bits", "[stats]") {
  for (const std::size_t cols : {1, 7, 12, 15, 16, 20, 40, 45, 64, 312}) {
    for (const std::size_t rows : {1, 2, 16, 37}) {
      INFO(rows << " x " << cols);
      Random random(rows * 1000 + cols);
      std::vector<float> values(rows * cols);
      for (float& v : values) v = test::normal(random) * static_cast<float>(std::exp(8 * random.uniform()));
      const float odd[] = {0.0f, -0.0f, 1e-42f, -1e-42f, 1e30f};
      for (const float v : odd) values[random.below(values.size())] = v;
      const Outcome expected = run_kernels(Isa::portable, values, rows, cols);
      for (const Isa version : {Isa::avx2, Isa::avx512}) {
        if (version > isa()) continue;
        INFO(to_string(version));
        const Outcome found = run_kernels(version, values, rows, cols);
        REQUIRE(same(found.mean, expected.mean));
        REQUIRE(same(found.m2, expected.m2));
        REQUIRE(same(found.min, expected.min));
        REQUIRE(same(found.max, expected.max));
        REQUIRE(same(found.counters, expected.counters));
        REQUIRE(std::memcmp(found.channel_sums, expected.channel_sums, sizeof(PowerSums)) == 0);
        REQUIRE(std::memcmp(found.value_sums, expected.value_sums, sizeof(PowerSums)) == 0);
        for (std::size_t i = 0; i < found.runs.size(); ++i) {
          const auto a = range(found.runs[i]), b = range(expected.runs[i]);
          REQUIRE(std::memcmp(&a, &b, sizeof a) == 0);
        }
      }
    }
  }
}
