// Products with weights in every form of their left side, beside sums in double over what the codes stand
// for.
#include "engine/cpu/packed_linear.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "catch.h"
#include "core/random.h"
#include "engine/cpu/left_buffer.h"
#include "support/tiny_bert.h"

using namespace outlierlab;
using engine::FormatKind;
using engine::SiteFormat;

namespace {

SiteFormat static_site(int bits, bool symmetric, float scale, std::int32_t zero) {
  SiteFormat site;
  site.kind = FormatKind::tensor;
  site.bits = bits;
  site.symmetric = symmetric;
  site.scale = {scale};
  site.zero = {zero};
  return site;
}

SiteFormat row_site(int bits, bool symmetric, float threshold) {
  SiteFormat site;
  site.kind = FormatKind::rows;
  site.bits = bits;
  site.symmetric = symmetric;
  if (threshold > 0) site.outlier_threshold = threshold;
  return site;
}

/// `grids` of them in turn; every `kept`-th channel stays float.
SiteFormat column_site(std::size_t cols, bool symmetric, std::size_t kept, std::size_t grids = 3) {
  SiteFormat site;
  site.kind = FormatKind::columns;
  site.bits = 8;
  site.symmetric = symmetric;
  for (std::size_t c = 0; c < cols; ++c) {
    const bool stays = kept > 0 && c % kept == 0;
    site.scale.push_back(stays ? -1.0f : 0.01f * static_cast<float>(1 + c % grids));
    site.zero.push_back(symmetric || stays ? 0 : 40 * static_cast<std::int32_t>(c % grids));
  }
  return site;
}

struct Case {
  std::string name;
  SiteFormat site;
};

std::vector<Case> cases(std::size_t cols) {
  std::vector<Case> all;
  for (const bool symmetric : {false, true}) {
    const std::string of = symmetric ? "symmetric " : "affine ";
    for (const std::int32_t zero : {0, 1, 127, 255})
      if (!symmetric || zero == 0)
        all.push_back({of + "8 bits, zero " + std::to_string(zero), static_site(8, symmetric, 0.03f, zero)});
    for (const std::int32_t zero : {0, 255, 256, 32769, 65535})
      if (!symmetric || zero == 0)
        all.push_back(
            {of + "16 bits, zero " + std::to_string(zero), static_site(16, symmetric, 2e-4f, zero)});
    all.push_back({of + "9 bits", static_site(9, symmetric, 0.02f, symmetric ? 0 : 300)});
    for (const int bits : {2, 8, 9, 12, 16}) {
      for (const float threshold : {0.0f, 1.0f, 1e-30f}) {
        all.push_back(
            {of + "rows of " + std::to_string(bits) + " bits, outliers above " + std::to_string(threshold),
             row_site(bits, symmetric, threshold)});
      }
    }
    for (const std::size_t kept : {0u, 1u, 5u})
      all.push_back({of + "columns, kept " + std::to_string(kept), column_site(cols, symmetric, kept)});
    all.push_back({of + "columns of one grid", column_site(cols, symmetric, 0, 1)});
  }
  return all;
}

engine::Linear random_linear(std::size_t out, std::size_t in, Random& random) {
  engine::Linear linear;
  linear.weight.rows = out;
  linear.weight.cols = in;
  linear.weight.bits = 8;
  std::vector<std::int8_t> codes(out * in);
  // Not centred: a zero point that is off shows in every sum.
  for (std::int8_t& code : codes) code = static_cast<std::int8_t>(static_cast<int>(random.below(200)) - 72);
  linear.weight.codes = std::move(codes);
  std::vector<float> scales(out);
  for (float& scale : scales) scale = 0.001f * static_cast<float>(1 + random.below(9));
  linear.weight.scales = std::move(scales);
  linear.bias = test::random_vector(out, 0, 1, random);
  return linear;
}

/// Values with a row of zeros, a constant one, one that underflows and a lone outlier among them.
Matrix hard_values(std::size_t rows, std::size_t cols, Random& random) {
  Matrix values = test::random_matrix(rows, cols, 1.0f, random);
  const auto fill = [&](std::size_t row, float value) {
    if (row < rows) std::fill_n(values.row(row), cols, value);
  };
  fill(1, 0.0f);
  fill(2, 0.7f);
  fill(3, -0.7f);
  fill(4, 1e-44f);
  if (rows > 5) values(5, cols - 1) = 300.0f;
  return values;
}

}  // namespace

TEST_CASE("A product in every form is that of what its codes stand for", "[engine]") {
  Random random(21);
  for (const std::size_t rows : {1u, 7u, 37u}) {
    for (const std::size_t in : {1u, 30u, 64u, 130u}) {
      const std::size_t out = in == 64 ? 96 : 35;
      const engine::Linear linear = random_linear(out, in, random);
      const Matrix before = hard_values(rows, in, random);
      for (const Case& c : cases(in)) {
        INFO(c.name << ", " << rows << "x" << in << "x" << out);
        const engine::PackedLinear packed(linear, c.site, engine::RealPrecision::float32);
        const engine::SiteRows site(c.site);
        engine::SegmentOrder order;
        if (packed.form() == engine::Form::segments) order = engine::SegmentOrder(c.site);
        engine::LeftBuffer left;
        left.reserve(rows, in, packed.form(), order, c.site.keeps_outliers());
        AlignedVector<float> values(before.data(), before.data() + before.size());
        left.encode(site.format(), values.data(), 0, rows);
        std::vector<float> found(rows * out, -1);
        packed.apply(left.rows(values.data()), rows, 0, out, {found.data(), out});
        for (std::size_t r = 0; r < rows; ++r) {
          for (std::size_t j = 0; j < out; ++j) {
            double sum = linear.bias[j], size = std::abs(sum), weights = 0;
            for (std::size_t k = 0; k < in; ++k) {
              const double term = static_cast<double>(values[r * in + k]) * linear.weight.value(j, k);
              sum += term;
              size += std::abs(term);
              weights += std::abs(linear.weight.value(j, k));
            }
            INFO("row " << r << ", column " << j);
            // Low and high bytes are two products, which are rounded before they cancel.
            const double step =
                c.site.scale.empty() ? left.rows(values.data()).row_scale[r] : c.site.scale[0];
            const double planes = packed.form() == engine::Form::wide ? 255 * step * weights : 0;
            REQUIRE(found[r * out + j] == Approx(sum).margin(2e-6 * size + 1.2e-7 * planes));
          }
        }
      }
    }
  }
}

TEST_CASE("A product in every form stores the codes of its result", "[engine]") {
  Random random(22);
  const std::size_t rows = 37, out = 150, in = 70;  // more columns than are summed together
  const engine::Linear linear = random_linear(out, in, random);
  const Matrix before = hard_values(rows, in, random);
  const engine::SiteRows next(static_site(8, false, 0.05f, 100));
  std::size_t fused = 0;
  for (const Case& c : cases(in)) {
    INFO(c.name);
    // What remains are floats: an outlier is added when the sums are, and kept channels alone have no sums.
    const bool all_kept = c.name.find("kept 1") != std::string::npos;
    REQUIRE(engine::can_fuse(c.site, linear.weight) == !(c.site.keeps_outliers() || all_kept));
    if (!engine::can_fuse(c.site, linear.weight)) continue;
    ++fused;
    const engine::PackedLinear real(linear, c.site, engine::RealPrecision::float32);
    REQUIRE_FALSE(real.gives_codes());
    const engine::SiteRows site(c.site);
    engine::SegmentOrder order;
    if (real.form() == engine::Form::segments) order = engine::SegmentOrder(c.site);
    engine::LeftBuffer left;
    left.reserve(rows, in, real.form(), order, false);
    AlignedVector<float> values(before.data(), before.data() + before.size());
    left.encode(site.format(), values.data(), 0, rows);
    std::vector<float> reals(rows * out);
    real.apply(left.rows(values.data()), rows, 0, out, {reals.data(), out});
    for (const engine::Finish finish : {engine::Finish::codes, engine::Finish::gelu_codes}) {
      const engine::PackedLinear packed(linear, c.site, engine::RealPrecision::float32,
                                        {finish, &next.format()});
      REQUIRE(packed.gives_codes());
      std::vector<std::uint8_t> codes(rows * out);
      packed.apply(left.rows(values.data()), rows, 0, out, {codes.data(), out});
      for (std::size_t i = 0; i < codes.size(); ++i) {
        INFO("row " << i / out << ", column " << i % out);
        double v = reals[i];
        if (finish == engine::Finish::gelu_codes) v *= 0.5 * std::erfc(-v / std::sqrt(2.0));
        const double steps = v / next.format().scale, code = std::nearbyint(steps) + 100;
        // A value at a threshold may go to either side.
        const bool tie = std::abs(steps - std::floor(steps) - 0.5) < 2e-5 * (1 + std::abs(steps));
        REQUIRE(std::abs(codes[i] - std::clamp(code, 0.0, 255.0)) <= (tie ? 1 : 0));
      }
    }
  }
  REQUIRE(fused > 20);
}
