#include "engine/cpu/row_kernels.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "catch.h"
#include "core/isa.h"
#include "engine/cpu/gelu_table.h"
#include "engine/cpu/site_rows.h"
#include "kernels/kernels.h"
#include "quant/grid.h"
#include "support/tiny_bert.h"

using namespace outlierlab;
using engine::FormatKind;
using engine::RowKernels;
using engine::SiteFormat;
using engine::SiteRows;

namespace {

std::vector<const RowKernels*> kernels_of_this_cpu() {
  std::vector<const RowKernels*> all = {&engine::portable::row_kernels};
  if (isa() >= Isa::avx2) all.push_back(&engine::avx2::row_kernels);
  if (isa() == Isa::avx512) all.push_back(&engine::avx512::row_kernels);
  return all;
}

Grid grid_for(float lo, float hi, int bits, bool symmetric) {
  return symmetric ? Grid::symmetric(std::max(-lo, hi), bits) : Grid::affine({lo, hi}, bits);
}

SiteFormat format_of(FormatKind kind, int bits, bool symmetric, const std::vector<Grid>& grids) {
  SiteFormat f;
  f.kind = kind;
  f.bits = bits;
  f.symmetric = symmetric;
  for (const Grid& g : grids) {
    f.scale.push_back(g.scale);
    f.zero.push_back(g.zero);
  }
  return f;
}

/// v lies so near a boundary between codes that v / scale and v * (1 / scale) may round differently.
bool on_a_boundary(float v, float scale) {
  const double steps = static_cast<double>(v) / scale;
  return std::abs(steps - std::floor(steps) - 0.5) < 1e-4 + 3e-7 * std::abs(steps);
}

}  // namespace

TEST_CASE("Row kernels quantize as Grid does, for every format, width and instruction set", "[engine]") {
  Random random(5);
  for (const std::size_t cols : {3u, 16u, 30u, 384u}) {
    const Matrix values = test::random_matrix(7, cols, 2.0f, random);
    for (const int bits : {4, 8, 16}) {
      for (const bool symmetric : {false, true}) {
        for (const FormatKind kind : {FormatKind::tensor, FormatKind::columns, FormatKind::rows}) {
          std::vector<Grid> grids;
          if (kind == FormatKind::tensor) grids = {grid_for(-3, 4, bits, symmetric)};
          for (std::size_t c = 0; kind == FormatKind::columns && c < cols; ++c)
            grids.push_back(grid_for(-1.0f - 0.01f * static_cast<float>(c), 2, bits, symmetric));
          const SiteRows site(format_of(kind, bits, symmetric, grids));
          std::vector<float> first;
          for (const RowKernels* kernels : kernels_of_this_cpu()) {
            Matrix out = values;
            std::vector<std::uint8_t> low(7 * cols + 64), high(7 * cols + 64);
            std::vector<float> row_scale(7);
            std::vector<std::int32_t> row_zero(7);
            kernels->encode(site.format(), out.data(), 7, cols, cols,
                            {low.data(), high.data(), cols, row_scale.data(), row_zero.data()});
            Matrix only = values;
            kernels->round_trip(site.format(), only.data(), 7, cols, cols);
            const std::int32_t shift = symmetric ? 1 << (bits - 1) : 0;
            for (std::size_t r = 0; r < 7; ++r) {
              Grid row_grid;
              if (kind == FormatKind::rows) {
                const auto [least, most] = std::minmax_element(values.row(r), values.row(r) + cols);
                row_grid = grid_for(std::min(*least, 0.0f), std::max(*most, 0.0f), bits, symmetric);
                REQUIRE(row_scale[r] == row_grid.scale);
                REQUIRE(row_zero[r] == row_grid.zero + shift);
              }
              for (std::size_t c = 0; c < cols; ++c) {
                INFO("bits " << bits << " symmetric " << symmetric << " cols " << cols << " at " << r << ", "
                             << c);
                const Grid& grid =
                    kind == FormatKind::rows ? row_grid : grids[kind == FormatKind::tensor ? 0 : c];
                const std::size_t at = r * cols + c;
                const std::int32_t code = low[at] + (bits > 8 ? 256 * high[at] : 0);
                if (!on_a_boundary(values(r, c), grid.scale)) {
                  REQUIRE(code == grid.quantize(values(r, c)) + shift);
                  REQUIRE(out(r, c) == grid.round_trip(values(r, c)));
                }
                REQUIRE(std::abs(code - shift - grid.quantize(values(r, c))) <= 1);
                REQUIRE(out(r, c) == only(r, c));
              }
            }
            const std::vector<float> all(out.data(), out.data() + out.size());
            if (first.empty()) first = all;
            REQUIRE(all == first);
          }
        }
      }
    }
  }
}

TEST_CASE("Channels kept in float pass; a grid of width 0 gives 0", "[engine]") {
  SiteFormat format;
  format.kind = FormatKind::columns;
  format.bits = 8;
  format.scale = {0.5f, -1.0f, 0.0f};
  format.zero = {0, 0, 0};
  const SiteRows site(format);
  for (const RowKernels* kernels : kernels_of_this_cpu()) {
    float values[] = {0.9f, 0.123f, 7.0f};
    std::uint8_t codes[64] = {9, 9, 9};
    kernels->encode(site.format(), values, 1, 3, 3, {codes, nullptr, 3, nullptr, nullptr});
    REQUIRE(values[0] == 1.0f);
    REQUIRE(values[1] == 0.123f);
    REQUIRE(values[2] == 0.0f);
    REQUIRE(static_cast<int>(codes[0]) == 2);
    REQUIRE(static_cast<int>(codes[1]) == 0);
  }
}

TEST_CASE("Outliers of a row: kept, marked, and with the code of 0", "[engine]") {
  Random random(6);
  for (const std::size_t cols : {3u, 16u, 30u, 384u}) {
    const Matrix values = test::random_matrix(7, cols, 2.0f, random);
    for (const int bits : {8, 12}) {
      for (const bool symmetric : {false, true}) {
        SiteFormat format = format_of(FormatKind::rows, bits, symmetric, {});
        format.outlier_threshold = 2.5f;
        const SiteRows site(format);
        for (const RowKernels* kernels : kernels_of_this_cpu()) {
          Matrix out = values, only = values;
          std::vector<std::uint8_t> low(7 * cols + 64), high(7 * cols + 64);
          std::vector<float> row_scale(7);
          std::vector<std::int32_t> row_zero(7);
          std::vector<std::uint16_t> marks(7 * engine::outlier_words(cols), 0xffff);
          kernels->encode(site.format(), out.data(), 7, cols, cols,
                          {low.data(), high.data(), cols, row_scale.data(), row_zero.data(), marks.data()});
          kernels->round_trip(site.format(), only.data(), 7, cols, cols);
          for (std::size_t r = 0; r < 7; ++r) {
            float lo = 0, hi = 0;
            for (std::size_t c = 0; c < cols; ++c) {
              if (std::abs(values(r, c)) > 2.5f) continue;
              lo = std::min(lo, values(r, c));
              hi = std::max(hi, values(r, c));
            }
            const Grid grid = grid_for(lo, hi, bits, symmetric);
            const std::int32_t zero = grid.zero + (symmetric ? 1 << (bits - 1) : 0);
            REQUIRE(row_scale[r] == grid.scale);
            REQUIRE(row_zero[r] == zero);
            for (std::size_t c = 0; c < 16 * engine::outlier_words(cols); ++c) {
              CAPTURE(cols, bits, symmetric, r, c);
              const bool marked = marks[r * engine::outlier_words(cols) + c / 16] >> (c % 16) & 1;
              REQUIRE(marked == (c < cols && std::abs(values(r, c)) > 2.5f));
              if (c >= cols) continue;
              const std::int32_t code = low[r * cols + c] + (bits > 8 ? 256 * high[r * cols + c] : 0);
              REQUIRE(out(r, c) == only(r, c));
              if (marked) {
                REQUIRE(code == zero);
                REQUIRE(out(r, c) == values(r, c));
              } else if (!on_a_boundary(values(r, c), grid.scale)) {
                REQUIRE(code == grid.quantize(values(r, c)) + zero - grid.zero);
                REQUIRE(out(r, c) == grid.round_trip(values(r, c)));
              }
            }
          }
        }
      }
    }
  }
}

TEST_CASE("A column of the weight is added alike in every version", "[engine]") {
  Random random(8);
  for (const std::size_t count : {1u, 15u, 16u, 70u}) {
    std::vector<std::uint8_t> codes(count);
    for (std::uint8_t& code : codes) code = static_cast<std::uint8_t>(1 + random.below(255));
    std::vector<float> scale = test::random_vector((count + 15) / 16 * 16, 0.02f, 0.001f, random);
    const std::vector<float> before = test::random_vector(count, 0, 3, random);
    for (const RowKernels* kernels : kernels_of_this_cpu()) {
      std::vector<float> out = before;
      kernels->add_column(out.data(), codes.data(), scale.data(), -7.3f, count);
      for (std::size_t j = 0; j < count; ++j)
        REQUIRE(out[j] == std::fma(-7.3f * scale[j], static_cast<float>(codes[j]) - 128.0f, before[j]));
    }
  }
}

TEST_CASE("Residual sum with LayerNorm, and softmax to codes, equal their parts", "[engine]") {
  Random random(9);
  for (const std::size_t cols : {30u, 64u}) {
    const Matrix product = test::random_matrix(5, cols, 1.0f, random),
                 residual = test::random_matrix(5, cols, 1.0f, random);
    const std::vector<float> gain = test::random_vector(cols, 1, 0.1f, random),
                             bias = test::random_vector(cols, 0, 0.1f, random);
    const SiteRows first(format_of(FormatKind::tensor, 8, false, {Grid::affine({-3, 3}, 8)}));
    const SiteRows second(format_of(FormatKind::tensor, 8, false, {Grid::affine({-5, 4}, 8)}));
    const SiteRows probs(format_of(FormatKind::tensor, 8, false, {Grid::affine({0, 1}, 8)}));
    for (const RowKernels* kernels : kernels_of_this_cpu()) {
      Matrix sum = product, out(5, cols), expected = product, normed(5, cols);
      kernels->residual_norm(first.format(), second.format(), sum.data(), residual.data(), out.data(), 5,
                             cols, gain.data(), bias.data(), 1e-12f);
      kernels->round_trip(first.format(), expected.data(), 5, cols, cols);
      for (std::size_t i = 0; i < expected.size(); ++i) expected.data()[i] += residual.data()[i];
      kernels->round_trip(second.format(), expected.data(), 5, cols, cols);
      portable::model_kernels.layer_norm(expected.data(), normed.data(), 5, cols, gain.data(), bias.data(),
                                         1e-12f);
      for (std::size_t i = 0; i < out.size(); ++i) REQUIRE(out.data()[i] == normed.data()[i]);

      Matrix scores = product, soft = product;
      std::vector<std::uint8_t> codes(5 * cols + 64);
      kernels->softmax_codes(first.format(), probs.format(), scores.data(), 5, cols, cols, codes.data(),
                             cols);
      kernels->round_trip(first.format(), soft.data(), 5, cols, cols);
      portable::model_kernels.softmax(soft.data(), 5, cols, cols);
      for (std::size_t i = 0; i < soft.size(); ++i) {
        if (!on_a_boundary(soft.data()[i], probs.format().scale))
          REQUIRE(codes[i] == Grid::affine({0, 1}, 8).quantize(soft.data()[i]));
      }
    }
  }
}

TEST_CASE("A LayerNorm between static grids is that of the whole numbers, rounded once", "[engine]") {
  Random random(10);
  const std::size_t rows = 6, cols = 384;
  const float epsilon = 1e-5f;
  for (const bool symmetric : {false, true}) {
    for (const float width : {5.0f, 0.0f}) {
      const SiteRows first(format_of(FormatKind::tensor, 8, symmetric, {grid_for(-3, 4, 8, symmetric)})),
          second(format_of(FormatKind::tensor, 8, symmetric, {grid_for(-width, width, 8, symmetric)})),
          third(format_of(FormatKind::tensor, 8, symmetric, {grid_for(-2, 2.5f, 8, symmetric)})), none;
      Matrix product = test::random_matrix(rows, cols, 1.0f, random);
      const Matrix residual = test::random_matrix(rows, cols, 1.0f, random);
      std::fill_n(product.row(2), cols, 0.7f);   // without a residual no variance
      std::fill_n(product.row(3), cols, 50.0f);  // beyond the grid
      const std::vector<float> gain = test::random_vector(cols, 1, 0.1f, random),
                               bias = test::random_vector(cols, 0, 0.1f, random);
      struct Case {
        bool quantized, as_codes, with_residual;
      };
      for (const Case c : {Case{true, false, true}, Case{true, true, true}, Case{true, true, false},
                           Case{false, false, true}, Case{false, false, false}}) {
        INFO("symmetric " << symmetric << ", width " << width << ", product "
                          << (c.as_codes    ? "codes"
                              : c.quantized ? "quantized"
                                            : "real")
                          << ", residual " << c.with_residual);
        for (const RowKernels* kernels : kernels_of_this_cpu()) {
          std::vector<std::uint8_t> product_codes(rows * cols + 64);
          Matrix sum = product;
          const SiteRows& product_site = c.quantized ? first : none;
          if (c.as_codes) {
            kernels->encode(first.format(), sum.data(), rows, cols, cols,
                            {product_codes.data(), nullptr, cols, nullptr, nullptr});
          } else {
            kernels->round_trip(product_site.format(), sum.data(), rows, cols, cols);
          }
          for (std::size_t i = 0; c.with_residual && i < sum.size(); ++i) sum.data()[i] += residual.data()[i];
          kernels->round_trip(second.format(), sum.data(), rows, cols, cols);

          Matrix values = product, out(rows, cols);
          const std::size_t stride = cols + 4;
          std::vector<std::uint8_t> codes(rows * stride + 64);
          engine::StaticNorm norm;
          norm.product_site = &product_site.format();
          norm.sum_site = &second.format();
          norm.norm_site = &third.format();
          norm.values = values.data();
          norm.product = c.as_codes ? product_codes.data() : nullptr;
          norm.residual = c.with_residual ? residual.data() : nullptr;
          norm.gain = gain.data();
          norm.bias = bias.data();
          norm.epsilon = epsilon;
          norm.out = out.data();
          norm.codes = codes.data();
          norm.stride = stride;
          REQUIRE(engine::StaticNorm::fits(*norm.product_site, *norm.sum_site, *norm.norm_site, cols));
          kernels->static_norm(norm, rows, cols);

          const double unit = second.format().scale;
          const float step = third.format().scale;
          for (std::size_t r = 0; r < rows; ++r) {
            double mean = 0, variance = 0;
            for (std::size_t j = 0; j < cols; ++j) {
              REQUIRE(values(r, j) * second.format().scale == sum(r, j));
              mean += values(r, j) / static_cast<double>(cols);
            }
            for (std::size_t j = 0; j < cols; ++j)
              variance += std::pow(values(r, j) - mean, 2) / static_cast<double>(cols);
            for (std::size_t j = 0; j < cols; ++j) {
              const double normal =
                  unit * (values(r, j) - mean) / std::sqrt(unit * unit * variance + epsilon);
              const double steps = (normal * gain[j] + bias[j]) / step;
              const float low = third.format().low_steps(), high = third.format().high_steps();
              const float expected = std::clamp(static_cast<float>(std::nearbyint(steps)), low, high);
              if (std::abs(steps - std::floor(steps) - 0.5) < 1e-9) continue;
              REQUIRE(out(r, j) == expected * step);
              REQUIRE(codes[r * stride + j] == expected + third.format().offset);
            }
          }
        }
      }
    }
  }
  const engine::RowFormat real;
  const SiteRows rows_site(format_of(FormatKind::rows, 8, false, {})),
      grid(format_of(FormatKind::tensor, 8, false, {Grid::affine({0, 1}, 8)})),
      wide(format_of(FormatKind::tensor, 16, false, {Grid::affine({0, 1}, 16)}));
  const auto fits = engine::StaticNorm::fits;
  REQUIRE(fits(real, grid.format(), grid.format(), 4096));
  REQUIRE(!fits(real, grid.format(), grid.format(), 4112));
  REQUIRE(!fits(real, grid.format(), grid.format(), 30));
  REQUIRE(!fits(rows_site.format(), grid.format(), grid.format(), 64));
  REQUIRE(!fits(real, rows_site.format(), grid.format(), 64));
  REQUIRE(!fits(real, grid.format(), rows_site.format(), 64));
  REQUIRE(!fits(real, wide.format(), grid.format(), 64));
  REQUIRE(!fits(real, grid.format(), wide.format(), 64));
  REQUIRE(!fits(real, real, grid.format(), 64));
}

TEST_CASE("Softmax of scores far below zero leaves out what lies behind the row", "[engine]") {
  const SiteRows scores_site(format_of(FormatKind::tensor, 8, false, {Grid::affine({-255, 0}, 8)})),
      probs(format_of(FormatKind::tensor, 8, false, {Grid::affine({0, 1}, 8)}));
  for (const RowKernels* kernels : kernels_of_this_cpu()) {
    for (const std::size_t cols : {1u, 5u, 17u}) {
      // What is not of the row must count neither as its largest score nor in its sum.
      std::vector<float> scores(32, 0.0f);
      std::fill_n(scores.begin(), cols, -200.0f);
      std::vector<std::uint8_t> codes(32 + 64);
      kernels->softmax_codes(scores_site.format(), probs.format(), scores.data(), 1, cols, 32, codes.data(),
                             32);
      for (std::size_t j = 0; j < cols; ++j)
        REQUIRE(codes[j] == Grid::affine({0, 1}, 8).quantize(1.0f / static_cast<float>(cols)));
    }
  }
}

TEST_CASE("GELU by pieces is as near as float32 has it", "[engine]") {
  const engine::GeluTable& table = engine::gelu_table();
  double worst = 0;
  for (double v = -12; v <= 12; v += 1e-3) {
    const double scaled = std::min(std::abs(v) * table.pieces / table.reach, 15.999999);
    const int i = static_cast<int>(scaled);
    const double f = scaled - i;
    double p = 0;
    for (int n = table.terms - 1; n >= 0; --n) p = p * f + table.c[n][i];
    const double exact = 0.5 * v * std::erfc(-v / std::sqrt(2.0));
    worst = std::max(worst, std::abs(std::max(v, 0.0) - std::abs(v) * p - exact) / (1 + std::abs(v)));
  }
  REQUIRE(worst < 2e-8);
  REQUIRE(worst > 1e-10);
  std::vector<float> inputs = {-1e10f, -1e6f, 1e6f, 1e38f};
  for (float v = -12; v <= 12; v += 1e-3f) inputs.push_back(v);
  const float inf = std::numeric_limits<float>::infinity();
  for (const RowKernels* kernels : kernels_of_this_cpu()) {
    float ends[] = {-inf, inf, std::numeric_limits<float>::quiet_NaN()};
    kernels->gelu(ends, 3);
    REQUIRE(std::abs(ends[0]) < 7e-8);
    REQUIRE(ends[1] == inf);
    REQUIRE(std::isnan(ends[2]));
    std::vector<float> outputs = inputs;
    kernels->gelu(outputs.data(), outputs.size());
    double largest = 0;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const double v = inputs[i], exact = 0.5 * v * std::erfc(-v / std::sqrt(2.0));
      largest = std::max(largest, std::abs(outputs[i] - exact) / (1 + std::max(v, 0.0)));
    }
    REQUIRE(largest < 7e-8);
  }
}
