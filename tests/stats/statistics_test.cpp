#include "stats/statistics.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "catch.h"
#include "core/parallel.h"
#include "paths.h"
#include "stats/compare.h"
#include "stats/tiles.h"

using namespace outlierlab;
using test::add_rows;
using test::Rows;

namespace {

/// Adds rows in random order of tiles of random height.
void add_in_random_tiles(SiteStatistics& statistics, const Rows& rows, Random& random) {
  std::vector<std::size_t> cuts = {0};
  while (cuts.back() < rows.tokens.size()) {
    cuts.push_back(std::min<std::size_t>(rows.tokens.size(), cuts.back() + 1 + random.below(100)));
  }
  for (const std::size_t i : test::shuffled(cuts.size() - 1, random)) {
    add_rows(statistics, rows, cuts[i], cuts[i + 1]);
  }
}

SiteStatistics of_values(const std::vector<float>& values, std::size_t rows_per_tile) {
  SiteStatistics statistics(1, false);
  Rows rows{1, -1, values, {}};
  for (std::uint32_t i = 0; i < values.size(); ++i) rows.tokens.push_back({i / 100, i % 100});
  for (std::size_t r = 0; r < values.size(); r += rows_per_tile) {
    add_rows(statistics, rows, r, std::min(values.size(), r + rows_per_tile));
  }
  return statistics;
}

}  // namespace

TEST_CASE("token statistics equal a plain computation", "[stats]") {
  const Rows rows = test::token_rows(60, 37, 3);
  SiteStatistics statistics(37, false);
  add_rows(statistics, rows, 0, rows.tokens.size());
  const std::size_t n = rows.tokens.size();
  REQUIRE(statistics.moments().count == n * 37);
  long double total = 0;
  for (const float v : rows.values) total += v;
  const long double center = total / static_cast<long double>(rows.values.size());
  long double power[5] = {};
  for (const float v : rows.values) {
    long double p = 1;
    for (int k = 1; k <= 4; ++k) power[k] += p *= v - center;
  }
  const auto close = [](long double x) { return Approx(static_cast<double>(x)).epsilon(1e-10); };
  REQUIRE(statistics.moments().mean == close(center));
  REQUIRE(statistics.moments().m2 == close(power[2]));
  REQUIRE(statistics.moments().m3 == close(power[3]));
  REQUIRE(statistics.moments().m4 == close(power[4]));
  for (std::size_t c = 0; c < 37; ++c) {
    long double sum = 0, m2 = 0, energy = 0;
    float low = INFINITY, high = -INFINITY;
    for (std::size_t r = 0; r < n; ++r) {
      const float v = rows.values[r * 37 + c];
      sum += v;
      energy += static_cast<long double>(v) * v;
      low = std::min(low, v);
      high = std::max(high, v);
    }
    const long double mean = sum / static_cast<long double>(n);
    for (std::size_t r = 0; r < n; ++r) {
      const long double d = rows.values[r * 37 + c] - mean;
      m2 += d * d;
    }
    INFO(c);
    REQUIRE(statistics.by_channel().count[c] == n);
    REQUIRE(statistics.by_channel().min[c] == low);
    REQUIRE(statistics.by_channel().max[c] == high);
    REQUIRE(statistics.by_channel().mean[c] ==
            Approx(static_cast<double>(mean)).epsilon(1e-13).margin(1e-13));
    REQUIRE(statistics.by_channel().m2[c] == Approx(static_cast<double>(m2)).epsilon(1e-9));
    REQUIRE(statistics.by_channel().energy[c] == Approx(static_cast<double>(energy)).epsilon(1e-12));
  }
  REQUIRE(statistics.by_channel().m2[3] == 0.0);
}

TEST_CASE("moments agree with numpy in nasty cases, whatever the tiles", "[stats]") {
  std::ifstream in(test::source("tests/golden/stats/distributions.json"));
  const auto golden = nlohmann::json::parse(in);
  std::ifstream data(test::source("tests/golden/stats/distributions.f32"), std::ios::binary);
  std::vector<float> values(golden.at("n").get<std::size_t>());
  for (const auto& expected : golden.at("distributions")) {
    data.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * 4));
    REQUIRE(data.good());
    for (const std::size_t rows_per_tile : {1, 16, 1536}) {
      INFO(expected.at("name") << ", " << rows_per_tile << " rows per tile");
      const SiteStatistics statistics = of_values(values, rows_per_tile);
      const Moments& m = statistics.moments();
      const auto close = [](double x) { return Approx(x).epsilon(1e-9).margin(1e-9); };
      REQUIRE(m.mean == Approx(expected.at("mean").get<double>()).epsilon(1e-12).margin(1e-12));
      REQUIRE(m.variance() == Approx(expected.at("variance").get<double>()).epsilon(1e-9));
      REQUIRE(m.skewness() == close(expected.at("skewness")));
      REQUIRE(m.kurtosis() == close(expected.at("kurtosis")));
      REQUIRE(statistics.by_channel().m2[0] == Approx(m.m2).epsilon(1e-9));
    }
  }
}

TEST_CASE("kurtosis of known distributions", "[stats]") {
  Random random(11);
  std::vector<float> normal(200000), uniform(200000), laplace(200000);
  for (std::size_t i = 0; i < normal.size(); ++i) {
    normal[i] = test::normal(random);
    uniform[i] = static_cast<float>(random.uniform());
    const double u = random.uniform() - 0.5;
    laplace[i] = static_cast<float>((u < 0 ? 1 : -1) * std::log(1 - 2 * std::fabs(u)));
  }
  REQUIRE(of_values(normal, 64).moments().kurtosis() == Approx(3).margin(0.05));
  REQUIRE(of_values(uniform, 64).moments().kurtosis() == Approx(1.8).margin(0.02));
  REQUIRE(of_values(laplace, 64).moments().kurtosis() == Approx(6).margin(0.3));
  REQUIRE(of_values({1, -1, 1, -1}, 2).moments().kurtosis() == Approx(1));
  REQUIRE(of_values({4, 4, 4}, 2).moments().kurtosis() == 0);
  REQUIRE(Moments().kurtosis() == 0);
}

TEST_CASE("tiles, order and splits do not matter for token sites", "[stats]") {
  const Rows rows = test::token_rows(300, 40, 17);
  SiteStatistics whole(40, false);
  add_rows(whole, rows, 0, rows.tokens.size());
  REQUIRE(whole.sample().rows() == SiteStatistics::max_sample_values / 40);
  REQUIRE(whole.example_ranges().size() == 300);
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    Random random(seed);
    SiteStatistics other(40, false);
    add_in_random_tiles(other, rows, random);
    test::require_same_exact_part(whole, other);
    test::require_close_moments(whole, other);

    std::vector<SiteStatistics> parts(1 + random.below(5), SiteStatistics(40, false));
    for (std::size_t r = 0; r < rows.tokens.size();) {
      const std::size_t end = std::min<std::size_t>(rows.tokens.size(), r + 1 + random.below(60));
      add_rows(parts[random.below(parts.size())], rows, r, end);
      r = end;
    }
    SiteStatistics merged(40, false);
    for (const std::size_t p : test::shuffled(parts.size(), random)) merged.merge(parts[p]);
    test::require_same_exact_part(whole, merged);
    test::require_close_moments(whole, merged);
  }
}

TEST_CASE("tiles, order and splits do not matter for scores", "[stats]") {
  const std::vector<Rows> tiles = test::score_rows(60, 3, 23);
  SiteStatistics whole(3, true);
  for (const Rows& rows : tiles) add_rows(whole, rows, 0, rows.tokens.size());
  REQUIRE(whole.sample().rows() <= SiteStatistics::max_sample_values);
  REQUIRE(whole.sample().rows() > SiteStatistics::max_sample_values - 50);
  REQUIRE(whole.sample().cols() == 1);
  REQUIRE(whole.sample_heads().size() == whole.sample().rows());
  REQUIRE(whole.by_channel().m2[2] / static_cast<double>(whole.by_channel().count[2]) ==
          Approx(9).epsilon(0.05));
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    Random random(seed);
    std::vector<SiteStatistics> parts(3, SiteStatistics(3, true));
    for (const std::size_t t : test::shuffled(tiles.size(), random)) {
      add_in_random_tiles(parts[random.below(3)], tiles[t], random);
    }
    SiteStatistics merged = parts[2];
    merged.merge(parts[0]);
    merged.merge(parts[1]);
    test::require_same_exact_part(whole, merged);
    test::require_close_moments(whole, merged);
  }
}

TEST_CASE("the sample holds the rows with the smallest hashes, in order", "[stats]") {
  const Rows rows = test::token_rows(400, 64, 29);
  SiteStatistics statistics(64, false);
  add_rows(statistics, rows, 0, rows.tokens.size());
  const std::size_t kept = SiteStatistics::max_sample_values / 64;
  std::vector<std::uint64_t> hashes;
  for (const TokenId& token : rows.tokens) hashes.push_back(SiteStatistics::sample_hash(token));
  std::vector<std::uint64_t> sorted = hashes;
  std::sort(sorted.begin(), sorted.end());
  std::size_t s = 0;
  for (std::size_t r = 0; r < rows.tokens.size(); ++r) {
    if (hashes[r] >= sorted[kept]) continue;
    REQUIRE(statistics.sample_tokens()[s].example == rows.tokens[r].example);
    REQUIRE(statistics.sample_tokens()[s].position == rows.tokens[r].position);
    REQUIRE(std::memcmp(statistics.sample().row(s), &rows.values[r * 64], 64 * sizeof(float)) == 0);
    ++s;
  }
  REQUIRE(s == kept);
}

TEST_CASE("example ranges are exact, bounded and ascending", "[stats]") {
  Random random(31);
  const std::size_t examples = SiteStatistics::max_example_ranges + 500;
  SiteStatistics left(1, false), right(1, false);
  for (const std::size_t e : test::shuffled(examples, random)) {
    float values[2] = {static_cast<float>(e), -static_cast<float>(e) / 2};
    const TokenId tokens[2] = {{static_cast<std::uint32_t>(e), 0}, {static_cast<std::uint32_t>(e), 1}};
    left.add({0, values, 1, 1, 1, -1, tokens});
    right.add({0, values + 1, 1, 1, 1, -1, tokens + 1});
  }
  left.merge(right);
  REQUIRE(left.example_ranges().size() == SiteStatistics::max_example_ranges);
  for (std::uint32_t e = 0; e < SiteStatistics::max_example_ranges; ++e) {
    const ExampleRange& range = left.example_ranges()[e];
    REQUIRE(range.example == e);
    REQUIRE(range.min == -static_cast<float>(e) / 2);
    REQUIRE(range.max == static_cast<float>(e));
  }
}

TEST_CASE("gathered and settled is as added", "[stats]") {
  const Rows rows = test::token_rows(40, 24, 3);
  SiteStatistics added(24, false), gathered(24, false);
  for (std::size_t r = 0; r < rows.tokens.size(); ++r) {
    const SiteTile tile{0, const_cast<float*>(rows.values.data()) + r * 24, 1, 24, 24, -1, &rows.tokens[r]};
    added.add(tile);
    gathered.gather(tile);
  }
  SiteStatistics merged(24, false), twice = added;
  merged.merge(gathered);
  REQUIRE(merged.by_channel().count == added.by_channel().count);
  test::require_close_moments(merged, added);
  twice.merge(gathered);
  REQUIRE(twice.by_channel().count[5] == 2 * added.by_channel().count[5]);
  gathered.settle();
  REQUIRE(gathered.by_channel().count == added.by_channel().count);
  REQUIRE(test::same_bits(gathered.by_channel().energy, added.by_channel().energy));
  REQUIRE(test::same_bits(gathered.by_channel().mean, added.by_channel().mean));
  REQUIRE(gathered.histogram().nonzero() == added.histogram().nonzero());
}

TEST_CASE("-0 and +0 leave the same statistics in either order", "[stats]") {
  for (const bool by_head : {false, true}) {
    for (const std::size_t rows_per_tile : {1, 2}) {
      SiteStatistics ascending(1, by_head), descending(1, by_head);
      for (const bool negative_first : {true, false}) {
        const Rows rows{1,
                        by_head ? 0 : -1,
                        negative_first ? std::vector<float>{-0.0f, 0.0f} : std::vector<float>{0.0f, -0.0f},
                        {{0, 0}, {0, 1}}};
        for (std::size_t r = 0; r < 2; r += rows_per_tile) {
          add_rows(negative_first ? ascending : descending, rows, r, r + rows_per_tile);
        }
      }
      REQUIRE(test::same_bits(ascending.by_channel().min, descending.by_channel().min));
      REQUIRE(test::same_bits(ascending.by_channel().max, descending.by_channel().max));
      REQUIRE(test::same_bits(ascending.example_ranges(), descending.example_ranges()));
    }
  }
}

TEST_CASE("more than 2^24 values do not saturate", "[stats]") {
  SiteStatistics statistics(64, false);
  std::vector<float> values(1024 * 64);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = i / 64 % 2 ? 100.0f : 101.0f;
  std::vector<TokenId> tokens(1024, TokenId{0, 0});
  const int tiles = 300;
  for (int t = 0; t < tiles; ++t) statistics.add({0, values.data(), 1024, 64, 64, -1, tokens.data()});
  const std::uint64_t n = 1024ull * tiles * 64;
  REQUIRE(n > 1u << 24);
  REQUIRE(statistics.moments().count == n);
  REQUIRE(statistics.histogram().total() == n);
  REQUIRE(statistics.moments().mean == Approx(100.5).epsilon(1e-13));
  REQUIRE(statistics.moments().variance() == Approx(0.25).epsilon(1e-10));
  REQUIRE(statistics.moments().kurtosis() == Approx(1).epsilon(1e-9));
  REQUIRE(statistics.by_channel().m2[5] == Approx(0.25 * 1024 * tiles).epsilon(1e-10));
}

TEST_CASE("NaN and Inf are named with site and channel", "[stats]") {
  Rows rows = test::token_rows(3, 20, 1);
  rows.values[20 + 7] = std::numeric_limits<float>::quiet_NaN();
  SiteStatistics statistics(20, false);
  add_rows(statistics, rows, 0, rows.tokens.size());
  REQUIRE_ERROR(statistics.require_finite("layer.1.ffn_output"), "layer.1.ffn_output", "1 NaN and 0 Inf",
                "channel 7");
  REQUIRE_ERROR((SiteStatistics(statistics)).require_finite("x"), "1 NaN");
  SiteStatistics scores(4, true);
  std::vector<float> values(30, 1.0f);
  values[29] = -std::numeric_limits<float>::infinity();
  scores.add({0, values.data(), 3, 10, 10, 2, rows.tokens.data()});
  REQUIRE_ERROR(scores.require_finite("layer.0.scores"), "layer.0.scores", "0 NaN and 1 Inf", "head 2");
  REQUIRE_NOTHROW(SiteStatistics(4, true).require_finite("empty"));
}

TEST_CASE("the top energy share follows the rounding rule", "[stats]") {
  const auto share = [](std::size_t channels, double top) {
    SiteStatistics statistics(channels, false);
    std::vector<float> row(channels, 1.0f);
    row[channels / 2] = 3.0f;
    const TokenId token{0, 0};
    statistics.add({0, row.data(), 1, channels, channels, -1, &token});
    return statistics.top_energy_share(top);
  };
  const auto expected = [](double channels, double top) { return (9 + top - 1) / (9 + channels - 1); };
  REQUIRE(share(20, 0.01) == Approx(expected(20, 1)));       // 0.2 -> 0 -> 1
  REQUIRE(share(149, 0.01) == Approx(expected(149, 1)));     // 1.49 -> 1
  REQUIRE(share(150, 0.01) == Approx(expected(150, 2)));     // 1.5 -> 2
  REQUIRE(share(384, 0.01) == Approx(expected(384, 4)));     // 3.84 -> 4
  REQUIRE(share(1536, 0.01) == Approx(expected(1536, 15)));  // 15.36 -> 15
  REQUIRE(share(10, 1.0) == Approx(1.0));
  REQUIRE(share(10, 2.0) == Approx(1.0));
  REQUIRE(SiteStatistics(8, false).top_energy_share() == 0);
}

TEST_CASE("channels are ordered by energy, ties by index", "[stats]") {
  SiteStatistics statistics(5, false);
  std::vector<float> row = {1, -4, 2, 4, 0};
  const TokenId token{0, 0};
  statistics.add({0, row.data(), 1, 5, 5, -1, &token});
  REQUIRE(statistics.channels_by_energy() == std::vector<std::size_t>{1, 3, 2, 0, 4});
}

TEST_CASE("the distribution of some channels", "[stats]") {
  const Rows rows = test::token_rows(50, 32, 41);
  SiteStatistics statistics(32, false);
  add_rows(statistics, rows, 0, rows.tokens.size());
  const Distribution whole = statistics.distribution();
  REQUIRE(whole.histogram.total() == rows.values.size());
  REQUIRE(whole.max == statistics.max());

  // Few rows: all of them are in the sample, so everything is exact.
  std::vector<float> chosen;
  for (std::size_t r = 0; r < rows.tokens.size(); ++r) {
    chosen.push_back(rows.values[r * 32 + 1]);
    chosen.push_back(rows.values[r * 32 + 9]);
  }
  const SiteStatistics expected = of_values(chosen, 64);
  const Distribution part = statistics.distribution({9, 1});
  REQUIRE(part.min == expected.min());
  REQUIRE(part.max == expected.max());
  REQUIRE(part.histogram.nonzero() == expected.histogram().nonzero());
  REQUIRE(part.moments.count == chosen.size());
  REQUIRE(part.moments.variance() == Approx(expected.moments().variance()));
  REQUIRE(part.moments.kurtosis() == Approx(expected.moments().kurtosis()));
  REQUIRE(part.moments.skewness() == Approx(expected.moments().skewness()).margin(1e-9));
  REQUIRE_THROWS(statistics.distribution({32}));
  REQUIRE_THROWS(statistics.distribution({1, 1}));

  SiteStatistics scores(2, true);
  std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const TokenId tokens[2] = {{0, 0}, {0, 1}};
  scores.add({0, values.data(), 2, 2, 2, 0, tokens});
  scores.add({0, values.data() + 4, 1, 2, 2, 1, tokens});
  REQUIRE(scores.distribution({1}).min == 5);
  REQUIRE(scores.distribution({1}).moments.count == 2);
  REQUIRE(scores.distribution({1}).histogram.total() == 2);
  REQUIRE(scores.distribution({0}).max == 4);
}

TEST_CASE("empty statistics are harmless", "[stats]") {
  const SiteStatistics empty(3, false);
  REQUIRE(empty.min() == 0);
  REQUIRE(empty.absmax() == 0);
  REQUIRE(empty.by_channel().absmax(1) == 0);
  REQUIRE(empty.sample().rows() == 0);
  REQUIRE(empty.distribution().histogram.percentile(50, 0, 0) == 0);
  REQUIRE(empty.distribution({1}).max == 0);
}

TEST_CASE("tiles of a wrong shape are refused", "[stats]") {
  SiteStatistics statistics(4, false);
  std::vector<float> values(8, 0.0f);
  const TokenId token{0, 0};
  REQUIRE_THROWS(statistics.add({0, values.data(), 1, 5, 5, -1, &token}));
  REQUIRE_THROWS(statistics.add({0, values.data(), 1, 4, 4, 0, &token}));
  REQUIRE_THROWS(SiteStatistics(2, true).add({0, values.data(), 1, 4, 4, 2, &token}));
  REQUIRE_THROWS(statistics.merge(SiteStatistics(5, false)));
}

TEST_CASE("a sample outlives concurrent first use", "[stats]") {
  const Rows rows = test::token_rows(100, 16, 43);
  SiteStatistics statistics(16, false);
  add_rows(statistics, rows, 0, rows.tokens.size());
  std::vector<const Matrix*> seen(8);
  parallel_chunks(seen.size(), 1, [&](std::size_t i, std::size_t, int) { seen[i] = &statistics.sample(); });
  REQUIRE(std::set<const Matrix*>(seen.begin(), seen.end()).size() == 1);
}

TEST_CASE("a collector merges its threads and names a bad site", "[stats]") {
  BertConfig config;
  config.vocab_size = 30;
  config.hidden_size = 16;
  config.layers = 1;
  config.heads = 2;
  config.intermediate_size = 32;
  const SiteTable sites(config);
  const std::size_t output = sites.index("layer.0.ffn_output");
  const std::size_t scores = sites.index("layer.0.scores");
  Rows rows = test::token_rows(40, 16, 47);
  const int before = threads();
  set_threads(2);
  StatisticsCollector collector(sites), one(sites, {output});
  set_threads(before);
  SiteStatistics expected(16, false);
  for (std::size_t r = 0, t = 0; r < rows.tokens.size(); r += 10, ++t) {
    const std::size_t end = std::min(rows.tokens.size(), r + 10);
    add_rows(expected, rows, r, end);
    for (StatisticsCollector* each : {&collector, &one}) {
      each->visit({output, &rows.values[r * 16], end - r, 16, 16, -1, &rows.tokens[r]},
                  static_cast<int>(t % 2));
      each->visit({scores, &rows.values[r * 16], end - r, 16, 16, 1, &rows.tokens[r]}, 0);
    }
  }
  const NetworkStatistics all = collector.finish();
  REQUIRE(all.sites.size() == sites.size());
  test::require_same_exact_part(all.at("layer.0.ffn_output"), expected);
  test::require_close_moments(all.at("layer.0.ffn_output"), expected);
  REQUIRE(all.at("layer.0.scores").by_head());
  REQUIRE(all.at("layer.0.scores").moments().count == rows.values.size());
  REQUIRE(all.at("pooler").moments().count == 0);
  REQUIRE_ERROR(all.at("layer.0.ffn_outptu"), "layer.0.ffn_output");
  const NetworkStatistics some = one.finish();
  REQUIRE(some.at("layer.0.ffn_output").moments().count == rows.values.size());
  REQUIRE(some.at("layer.0.scores").moments().count == 0);

  rows.values[0] = INFINITY;
  collector.visit({output, rows.values.data(), 1, 16, 16, -1, rows.tokens.data()}, 0);
  REQUIRE_ERROR(collector.finish(), "layer.0.ffn_output", "1 Inf");
}
