#include "experiments/timing.h"

#include <chrono>
#include <numeric>
#include <thread>

#include "catch.h"
#include "core/quantile.h"

using namespace outlierlab;

TEST_CASE("Quantiles and the median's interval by order statistics", "[experiments]") {
  std::vector<double> values(101);
  std::iota(values.rbegin(), values.rend(), 0.0);
  REQUIRE(quantile(values, 0.5) == 50);
  REQUIRE(quantile(values, 0.95) == 95);
  REQUIRE(quantile({1, 2}, 0.5) == 1.5);
  // Binomial(101, 1/2): ranks 41 and 61, counted from 1, enclose the median with 95 %.
  REQUIRE(median_interval(values).low == 40);
  REQUIRE(median_interval(values).high == 60);
  // Of six values the extremes do, with 96.9 %; of fewer, nothing would, and the extremes stand in.
  REQUIRE(median_interval({3, 1, 2, 6, 5, 4}).low == 1);
  REQUIRE(median_interval({3, 1, 2, 6, 5, 4}).high == 6);
  REQUIRE(median_interval({7}).low == 7);
  // Of 3001 values about 1500 -+ 1.96 sqrt(3001) / 2, also where 2^-3001 is no double.
  std::vector<double> many(3001);
  std::iota(many.begin(), many.end(), 0.0);
  REQUIRE(median_interval(many).low == Approx(1446).margin(1));
  REQUIRE(median_interval(many).high == Approx(1554).margin(1));
}

TEST_CASE("A rare quantile has an interval where enough values lie on both sides of it", "[experiments]") {
  // P(Binomial(n, 0.95) = n) is 0.0249 at 72 and more before; so is P(Binomial(n, 0.99) = n) at 368.
  std::vector<double> values(72);
  std::iota(values.rbegin(), values.rend(), 1.0);
  REQUIRE(quantile_interval(values, 0.95)->high == 72);
  REQUIRE(quantile_interval(values, 0.95)->low == 64);  // P(Binomial(72, 0.95) < 64) = 0.0096, < 65: 0.027
  REQUIRE(!quantile_interval(values, 0.99));
  values.pop_back();
  REQUIRE(!quantile_interval(values, 0.95));
  values.resize(368);
  std::iota(values.begin(), values.end(), 1.0);
  REQUIRE(quantile_interval(values, 0.99)->high == 368);
  const auto rows = latency_rows(values, {}, 1, 1);
  REQUIRE(rows[1].metric == "latency_p95_ms");
  REQUIRE(*rows[1].ci_low < rows[1].estimate);
  REQUIRE(*rows[1].ci_high > rows[1].estimate);
  REQUIRE(rows[2].metric == "latency_p99_ms");
  REQUIRE(*rows[2].ci_high == 368e3);
  REQUIRE(!latency_rows(std::vector<double>(100, 1.0), {}, 1, 1)[2].ci_low);
}

TEST_CASE("Rare latencies are waited for where they are near", "[experiments]") {
  TimingOptions options;
  options.seconds = 0;
  options.least_rounds = 6;
  const auto passes = [&](double pass_seconds, double patience) {
    options.patience = patience;
    const auto pass = [=] { std::this_thread::sleep_for(std::chrono::duration<double>(pass_seconds)); };
    return time_side_by_side({{"a", pass}}, options).front().size();
  };
  REQUIRE(passes(1e-3, 0) == 6);
  REQUIRE(passes(1e-3, 10) == 368);
  REQUIRE(passes(0.02, 0.9) == 20);  // 72 would take 1.4 s
  options.most_passes = 50;
  REQUIRE(passes(1e-3, 10) == 20);
}

TEST_CASE("Passes of one block count once in the median's interval", "[experiments]") {
  // Seven blocks of four: the interval of their medians 1 to 7, not that of 28 values.
  std::vector<double> values;
  for (int block = 1; block <= 7; ++block) values.insert(values.end(), 4, block);
  REQUIRE(median_interval(values).low == 3);
  REQUIRE(median_interval(values).high == 5);
  REQUIRE(median_interval(values, 4).low == 1);
  REQUIRE(median_interval(values, 4).high == 7);
  const std::vector<Row> rows = latency_rows(values, std::vector<double>(28, 14), 1, 1, 4);
  REQUIRE(*rows.front().ci_low == 1000);
  REQUIRE(*rows.back().ci_low == 2);  // speedup: 14 / 7
  REQUIRE(*rows.back().ci_high == 14);
  REQUIRE(is_disturbed(values, 4));
}

TEST_CASE("At least six blocks are timed, however long they take", "[experiments]") {
  TimingOptions options;
  options.block = 4;
  options.seconds = 0;
  REQUIRE(time_side_by_side({{"a", [] {}}}, options).front().size() == 24);
}

TEST_CASE("Contenders are run in turn, as often as each other", "[experiments]") {
  std::vector<int> order;
  TimingOptions options;
  options.warm_up = 1;
  options.least_rounds = options.most_passes = 3;
  const auto seconds =
      time_side_by_side({{"a", [&] { order.push_back(0); }}, {"b", [&] { order.push_back(1); }}}, options);
  REQUIRE(order == std::vector<int>{0, 1, 0, 1, 0, 1, 0, 1});
  REQUIRE(seconds.size() == 2);
  REQUIRE(seconds[0].size() == 3);
}

TEST_CASE("Contenders run blocks of passes where they are asked to", "[experiments]") {
  std::vector<int> order;
  TimingOptions options;
  options.warm_up = 0;
  options.block = 2;
  options.least_rounds = 2;
  options.most_passes = 4;
  const auto seconds =
      time_side_by_side({{"a", [&] { order.push_back(0); }}, {"b", [&] { order.push_back(1); }}}, options);
  REQUIRE(order == std::vector<int>{0, 0, 1, 1, 0, 0, 1, 1});
  REQUIRE(seconds[1].size() == 4);
  REQUIRE(latency_rows({1, 1}, {}, 1, 1).back().metric == "throughput_tokens");
}

TEST_CASE("The first passes after another contender's are not timed where a block is led in",
          "[experiments]") {
  std::vector<int> order;
  TimingOptions options;
  options.warm_up = 0;
  options.block = 2;
  options.before_block = 1;
  options.least_rounds = 2;
  options.most_passes = 4;
  const auto slow_first = [&](int which) {
    if (order.empty() || order.back() != which) std::this_thread::sleep_for(std::chrono::milliseconds(30));
    order.push_back(which);
  };
  const auto seconds =
      time_side_by_side({{"a", [&] { slow_first(0); }}, {"b", [&] { slow_first(1); }}}, options);
  REQUIRE(order == std::vector<int>{0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1});
  for (const std::vector<double>& all : seconds) {
    REQUIRE(all.size() == 4);
    REQUIRE(median(all) < 0.03);
  }
}

TEST_CASE("Rows of latency: percentiles only from enough passes, speedup by rounds", "[experiments]") {
  const std::vector<double> ours(25, 0.01), theirs(25, 0.03);
  const std::vector<Row> rows = latency_rows(ours, theirs, 8, 512);
  const auto find = [&](const std::string& metric) -> const Row* {
    for (const Row& row : rows) {
      if (row.metric == metric) return &row;
    }
    return nullptr;
  };
  REQUIRE(find("latency_p50_ms")->estimate == Approx(10));
  REQUIRE(find("latency_p95_ms") != nullptr);
  REQUIRE(find("latency_p99_ms") == nullptr);
  REQUIRE(find("throughput_examples")->estimate == Approx(800));
  REQUIRE(find("throughput_tokens")->estimate == Approx(51200));
  REQUIRE(find("speedup")->estimate == Approx(3));
  REQUIRE(*find("speedup")->n == 25);
}

TEST_CASE("Passes that alternate between fast and slow are called disturbed, one late pass is not",
          "[experiments]") {
  std::vector<double> steady, alternating;
  for (int i = 0; i < 20; ++i) {
    steady.push_back(i == 7 ? 0.3 : 0.01 + 1e-5 * i);
    alternating.push_back(i % 2 ? 0.008 : 0.124);
  }
  REQUIRE_FALSE(is_disturbed(steady));
  REQUIRE(is_disturbed(alternating));
}
