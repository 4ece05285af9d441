#include <cmath>
#include <cstring>
#include <numeric>

#include "catch.h"
#include "data/batch.h"
#include "quant/distributions.h"
#include "quant/kernels.h"
#include "quant/scheme.h"

using namespace outlierlab;

namespace {
const SiteTable& sites() {
  static const SiteTable table(test::tiny_bert().config);
  return table;
}

constexpr std::size_t channels = 30, tokens = 200, heads = 3;

// Channels of very different widths, as the paper's y.
Matrix activations(std::uint64_t seed = 3) {
  Random random(seed);
  Matrix m = test::random_matrix(tokens, channels, 1.0f, random);
  for (std::size_t r = 0; r < tokens; ++r) {
    for (std::size_t c = 0; c < channels; ++c) m(r, c) *= 0.1f * static_cast<float>(1 + (c * 7) % channels);
    m(r, 11) *= 20;
  }
  return m;
}

NetworkStatistics statistics_of(std::size_t site, Matrix& values, int channel = -1) {
  NetworkStatistics network;
  for (std::size_t i = 0; i < sites().size(); ++i) {
    const bool by_head = sites()[i].kind == SiteKind::scores || sites()[i].kind == SiteKind::probs;
    network.names.push_back(sites()[i].name);
    network.sites.emplace_back(sites()[i].channels, by_head);
  }
  network.sites[site].add(test::TileOf(values, site, channel));
  return network;
}

Scheme scheme_for(const std::string& keys) {
  return Scheme::parse(Ini::parse("[activations.layer.0.ffn_residual]\nbits = 8\n" + keys, "s.ini"), "s");
}

struct Outcome {
  Matrix values;
  std::vector<Grid> grids;
};

const std::size_t y = 2 + 11;  // layer.0.ffn_residual

Outcome quantized(const std::string& keys, Matrix values) {
  const NetworkStatistics statistics = statistics_of(y, values);
  ActivationQuantizer quantizer(scheme_for(keys), sites(), &statistics);
  Outcome outcome{values, quantizer.grids(y)};
  quantizer.visit(test::TileOf(outcome.values, y), 0);
  quantizer.require_finite();
  return outcome;
}

bool same(const Matrix& a, const Matrix& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

Matrix permuted(const Matrix& m, const std::vector<std::size_t>& order) {
  Matrix result(m.rows(), m.cols());
  for (std::size_t r = 0; r < m.rows(); ++r) {
    for (std::size_t c = 0; c < m.cols(); ++c) result(r, c) = m(r, order[c]);
  }
  return result;
}

double error(const Matrix& a, const Matrix& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(double(a.data()[i]) - double(b.data()[i]), 2);
  return sum;
}
}  // namespace

TEST_CASE("the site under test is y", "[quant][activations]") {
  REQUIRE(sites().index(SiteKind::ffn_residual, 0) == y);
}

TEST_CASE("per tensor: the grid of the calibration range", "[quant][activations]") {
  const Matrix m = activations();
  const Outcome out = quantized("", m);
  const auto [lo, hi] = std::minmax_element(m.data(), m.data() + m.size());
  const Grid grid = Grid::affine({*lo, *hi}, 8);
  REQUIRE(out.grids.size() == 1);
  REQUIRE(out.grids[0].scale == grid.scale);
  REQUIRE(same(out.values, fake_quantize(m, grid)));
  const Outcome symmetric = quantized("grid = symmetric\n", m);
  REQUIRE(same(symmetric.values, fake_quantize(m, Grid::symmetric(std::max(-*lo, *hi), 8))));
}

TEST_CASE("PEG: 1 group is per tensor, C groups are per channel, for every calibrator",
          "[quant][activations]") {
  const Matrix m = activations();
  for (const std::string permute : {"none", "range"}) {
    const std::string peg = "granularity = group\npermute = " + permute + "\ngroups = ";
    REQUIRE(same(quantized(peg + "1\n", m).values, quantized("", m).values));
    for (const std::string calibrator : {"minmax", "percentile", "mse", "kl"}) {
      CAPTURE(permute, calibrator);
      const std::string tail = "calibrator = " + calibrator + "\n";
      REQUIRE(same(quantized(peg + "30\n" + tail, m).values,
                   quantized("granularity = channel\n" + tail, m).values));
    }
  }
  REQUIRE(quantized("granularity = group\ngroups = 4\n", m).grids.size() == 4);
}

TEST_CASE("PEG: finer groups lose less, sorted ones less still", "[quant][activations]") {
  Matrix m = activations();
  // One outlier in each of five of the unsorted groups; sorting gathers them in one.
  for (std::size_t r = 0; r < tokens; ++r) {
    for (const std::size_t c : {2, 8, 16, 20, 26}) m(r, c) = 40 * m(r, 0);
    m(r, 11) = m(r, 0);
  }
  const auto loss = [&](const std::string& keys) { return error(m, quantized(keys, m).values); };
  const double tensor = loss(""), six = loss("granularity = group\ngroups = 6\n"),
               sorted = loss("granularity = group\ngroups = 6\npermute = range\n"),
               channel = loss("granularity = channel\n");
  REQUIRE(six < tensor);
  REQUIRE(sorted < 0.5 * six);
  REQUIRE(channel < sorted);
}

TEST_CASE("permuting the channels permutes the results", "[quant][activations]") {
  const Matrix m = activations();
  std::vector<std::size_t> order(channels);
  std::iota(order.begin(), order.end(), std::size_t{0});
  Random random(8);
  for (std::size_t i = channels - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
  for (const std::string keys :
       {"", "granularity = channel\n", "granularity = group\ngroups = 7\npermute = range\n",
        "keep_channels = 0.1\n", "granularity = token\n", "granularity = channel\nkeep_channels = 0.1\n"}) {
    CAPTURE(keys);
    REQUIRE(same(quantized(keys, permuted(m, order)).values, permuted(quantized(keys, m).values, order)));
  }
}

TEST_CASE("the outcome does not depend on how a site is cut into tiles", "[quant][activations]") {
  Matrix m = activations();
  const NetworkStatistics statistics = statistics_of(y, m);
  for (const std::string keys :
       {"", "granularity = channel\n", "granularity = group\ngroups = 7\n", "granularity = token\n",
        "granularity = block\nblock = 8\n", "granularity = token\noutlier_threshold = 6\n"}) {
    ActivationQuantizer quantizer(scheme_for(keys), sites(), &statistics);
    Matrix whole = m, parts = m;
    quantizer.visit(test::TileOf(whole, y), 0);
    for (std::size_t r = 0; r < tokens; r += 7) {
      quantizer.visit(
          {y, parts.row(r), std::min<std::size_t>(7, tokens - r), channels, channels, -1, nullptr}, 0);
    }
    REQUIRE(same(whole, parts));
  }
}

TEST_CASE("kept channels stay in float and leave the range", "[quant][activations]") {
  const Matrix m = activations();
  for (const std::string keep : {"0.001", "0.03", "0.05"}) {
    const Outcome out = quantized("keep_channels = " + keep + "\n", m);  // 1, 1 and 2 channels
    REQUIRE(out.grids.size() == 1);
    REQUIRE(out.grids[0].scale < 0.2f * quantized("", m).grids[0].scale);
    float lo = 0, hi = 0;
    std::size_t changed = 0;
    for (std::size_t c = 0; c < channels; ++c) {
      bool differs = false;
      for (std::size_t r = 0; r < tokens; ++r) differs |= m(r, c) != out.values(r, c);
      changed += differs;
      for (std::size_t r = 0; differs && r < tokens; ++r) {
        lo = std::min(lo, m(r, c));
        hi = std::max(hi, m(r, c));
      }
    }
    REQUIRE(changed == (keep == "0.05" ? channels - 2 : channels - 1));
    REQUIRE(out.grids[0].scale == Grid::affine({lo, hi}, 8).scale);
    for (std::size_t r = 0; r < tokens; ++r) REQUIRE(out.values(r, 11) == m(r, 11));
  }
  REQUIRE(same(quantized("keep_channels = 1\n", m).values, m));
}

TEST_CASE("token and block grids come from the row itself", "[quant][activations]") {
  Matrix m = activations();
  for (const std::size_t block : {std::size_t{0}, std::size_t{8}}) {
    const std::string keys = block == 0 ? "granularity = token\n" : "granularity = block\nblock = 8\n";
    ActivationQuantizer quantizer(scheme_for(keys), sites(), nullptr);
    REQUIRE(quantizer.enabled(y));
    REQUIRE_FALSE(quantizer.is_static(y));
    REQUIRE(quantizer.grids(y).empty());
    Matrix out = m, expected = m;
    quantizer.visit(test::TileOf(out, y), 0);
    fake_quantize_rows(m.data(), expected.data(), tokens, channels, channels, block, 8, false);
    REQUIRE(same(out, expected));
  }
}

TEST_CASE("outliers of a token stay in float, whatever stands in the rows beside it",
          "[quant][activations]") {
  Matrix m = activations();
  for (const std::string grid : {"affine", "symmetric"}) {
    const std::string keys = "granularity = token\noutlier_threshold = 6\ngrid = " + grid + "\n";
    ActivationQuantizer quantizer(scheme_for(keys), sites(), nullptr);
    REQUIRE(quantizer.layout(y).outlier_threshold == 6.0f);
    Matrix out = m;
    quantizer.visit(test::TileOf(out, y), 0);
    quantizer.require_finite();
    std::size_t kept = 0;
    for (std::size_t r = 0; r < tokens; ++r) {
      float lo = 0, hi = 0;
      for (std::size_t c = 0; c < channels; ++c) {
        if (std::abs(m(r, c)) > 6) continue;
        lo = std::min(lo, m(r, c));
        hi = std::max(hi, m(r, c));
      }
      const Grid expected =
          grid == "affine" ? Grid::affine({lo, hi}, 8) : Grid::symmetric(std::max(-lo, hi), 8);
      for (std::size_t c = 0; c < channels; ++c) {
        const bool outlier = std::abs(m(r, c)) > 6;
        kept += outlier;
        REQUIRE(out(r, c) == (outlier ? m(r, c) : expected.round_trip(m(r, c))));
      }
      // A row by itself: what the others hold changes nothing.
      Matrix alone(1, channels);
      std::copy_n(m.row(r), channels, alone.row(0));
      quantizer.visit(test::TileOf(alone, y), 0);
      REQUIRE(std::memcmp(alone.row(0), out.row(r), channels * sizeof(float)) == 0);
    }
    REQUIRE(kept > tokens / 4);
    REQUIRE(kept < tokens * channels / 2);
    // An infinite value is above every threshold and still an error.
    for (const float bad : {HUGE_VALF, -HUGE_VALF, std::nanf("")}) {
      ActivationQuantizer fresh(scheme_for(keys), sites(), nullptr);
      out = m;
      out(5, 7) = bad;
      fresh.visit(test::TileOf(out, y), 0);
      REQUIRE_ERROR(fresh.require_finite(), "layer.0.ffn_residual", "NaN or Inf");
    }
  }
}

TEST_CASE("scores and probs: a channel is a head", "[quant][activations]") {
  const std::size_t scores = sites().index(SiteKind::scores, 0);
  Random random(2);
  NetworkStatistics statistics;
  std::vector<Matrix> per_head;
  for (std::size_t h = 0; h < heads; ++h) {
    per_head.push_back(test::random_matrix(20, 20, std::pow(10.0f, static_cast<float>(h)), random));
    if (h == 0) {
      statistics = statistics_of(scores, per_head[0], 0);
    } else {
      statistics.sites[scores].add(test::TileOf(per_head[h], scores, static_cast<int>(h)));
    }
  }
  const auto scheme = [](const std::string& keys) {
    return Scheme::parse(Ini::parse("[activations.layer.0.scores]\nbits = 8\n" + keys, "s.ini"), "s");
  };
  ActivationQuantizer by_head(scheme("granularity = channel\n"), sites(), &statistics);
  ActivationQuantizer kept(scheme("keep_channels = 0.01\n"), sites(), &statistics);
  REQUIRE(by_head.grids(scores).size() == heads);
  for (std::size_t h = 0; h < heads; ++h) {
    const Matrix& m = per_head[h];
    const auto [lo, hi] = std::minmax_element(m.data(), m.data() + m.size());
    Matrix out = m;
    by_head.visit(test::TileOf(out, scores, static_cast<int>(h)), 0);
    REQUIRE(same(out, fake_quantize(m, Grid::affine({*lo, *hi}, 8))));
    out = m;
    kept.visit(test::TileOf(out, scores, static_cast<int>(h)), 0);
    REQUIRE(same(out, m) == (h == 2));
  }
}

TEST_CASE("running_minmax gets the examples of a whole site", "[quant][activations]") {
  Matrix m = activations();
  const Outcome out = quantized("calibrator = running_minmax\n", m);
  REQUIRE(out.grids[0].scale == quantized("", m).grids[0].scale);  // one example: one batch
}

TEST_CASE("sites can be switched off, and failures are named", "[quant][activations]") {
  Matrix m = activations();
  const NetworkStatistics statistics = statistics_of(y, m);
  ActivationQuantizer quantizer(scheme_for(""), sites(), &statistics);
  REQUIRE_FALSE(quantizer.enabled(0));
  quantizer.enable(0, true);
  REQUIRE_FALSE(quantizer.enabled(0));  // float by its scheme
  quantizer.enable(y, false);
  Matrix out = m;
  quantizer.visit(test::TileOf(out, y), 0);
  REQUIRE(same(out, m));
  quantizer.enable(y, true);
  out(3, 3) = std::nanf("");
  quantizer.visit(test::TileOf(out, y), 0);
  REQUIRE_ERROR(quantizer.require_finite(), "layer.0.ffn_residual", "NaN");

  REQUIRE_ERROR(ActivationQuantizer(scheme_for(""), sites(), nullptr), "statistics", "layer.0.ffn_residual");
  Matrix bad = m;
  bad(0, 0) = HUGE_VALF;
  const NetworkStatistics poisoned = statistics_of(y, bad);
  REQUIRE_ERROR(ActivationQuantizer(scheme_for(""), sites(), &poisoned), "layer.0.ffn_residual");
  // A site that calibration never reached.
  const NetworkStatistics other = statistics_of(0, m);
  ActivationQuantizer uncalibrated(scheme_for(""), sites(), &other);
  out = m;
  uncalibrated.visit(test::TileOf(out, y), 0);
  REQUIRE_ERROR(uncalibrated.require_finite(), "layer.0.ffn_residual", "calibration");
}

TEST_CASE("sequential calibration sees what the quantized network sees", "[quant][activations]") {
  const BertRunner runner(test::tiny_bert(1, 1));
  const auto examples = test::random_examples({5, 9, 12, 7, 20, 3});
  const std::vector<Batch> batches = make_batches(examples, 4);
  const auto scheme = [](const std::string& order) {
    return Scheme::parse(
        Ini::parse("[calibration]\norder = " + order + "\n[activations]\nbits = 4\n[activations.x]\n" +
                       "granularity = token\n[activations.pooler]\nbits = 32\n",
                   "s.ini"),
        "s");
  };
  ActivationQuantizer sequential(scheme("sequential"), runner.sites(), nullptr);
  calibrate_sequentially(sequential, runner, batches);
  // By its definition: for each site in turn, a whole pass with everything before it quantized.
  StatisticsCollector collector(runner.sites());
  for (const Batch& batch : batches) runner.logits(batch, &collector);
  const NetworkStatistics in_float = collector.finish();
  ActivationQuantizer slow(scheme("parallel"), runner.sites(), &in_float);
  std::size_t differing = 0;
  struct UpTo : SiteHook {
    ActivationQuantizer& quantizer;
    StatisticsCollector collector;
    std::size_t site;
    UpTo(ActivationQuantizer& q, const SiteTable& table, std::size_t s)
        : quantizer(q), collector(table, {s}), site(s) {}
    void visit(const SiteTile& tile, int thread) override {
      if (tile.site < site) quantizer.visit(tile, thread);
      if (tile.site == site) collector.visit(tile, thread);
    }
  };
  for (std::size_t s = 0; s < runner.sites().size(); ++s) {
    if (!slow.is_static(s)) continue;
    UpTo hook(slow, runner.sites(), s);
    for (const Batch& batch : batches) runner.logits(batch, &hook);
    const float before = slow.grids(s)[0].scale;
    slow.calibrate(s, hook.collector.finish().sites[s]);
    CAPTURE(runner.sites()[s].name);
    REQUIRE(sequential.grids(s).size() == 1);
    REQUIRE(sequential.grids(s)[0].scale == slow.grids(s)[0].scale);
    REQUIRE(sequential.grids(s)[0].zero == slow.grids(s)[0].zero);
    differing += before != slow.grids(s)[0].scale;
  }
  REQUIRE(differing > 6);
  for (const Batch& batch : batches) runner.logits(batch, &sequential);
  sequential.require_finite();
}
