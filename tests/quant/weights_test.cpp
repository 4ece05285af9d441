#include <cmath>

#include "catch.h"
#include "quant/distributions.h"
#include "quant/scheme.h"
#include "quant/weight_quantizer.h"

using namespace outlierlab;

namespace {
Matrix weight(std::size_t rows, std::size_t cols, std::uint64_t seed = 1) {
  Random random(seed);
  Matrix m = test::random_matrix(rows, cols, 0.1f, random);
  m(0, 0) = 3.0f;
  return m;
}

QuantizedWeight quantize(const std::string& name, const Matrix& m, int bits, Granularity granularity,
                         std::size_t block = 0) {
  WeightContext context;
  context.bits = bits;
  context.granularity = granularity;
  context.block = block;
  context.name = "w";
  return make_weight_quantizer(name, IniSection())->quantize(m, context);
}

double error(const Matrix& a, const Matrix& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(double(a.data()[i]) - double(b.data()[i]), 2);
  return sum;
}
}  // namespace

TEST_CASE("absmax weights by tensor, row and block", "[quant][weights]") {
  const Matrix m = weight(5, 37);
  const QuantizedWeight tensor = quantize("absmax", m, 8, Granularity::tensor);
  REQUIRE(tensor.scales == std::vector<float>{3.0f / 127});
  REQUIRE(tensor.stored_bytes == 5 * 37 + 4);
  const Grid grid = Grid::symmetric(3.0f, 8);
  for (std::size_t i = 0; i < m.size(); ++i) REQUIRE(tensor.values.data()[i] == grid.round_trip(m.data()[i]));

  const QuantizedWeight rows = quantize("absmax", m, 4, Granularity::channel);
  REQUIRE(rows.scales.size() == 5);
  REQUIRE(rows.stored_bytes == 5 * (19 + 4));  // 37 values of 4 bits take 19 bytes
  for (std::size_t r = 0; r < 5; ++r) {
    float absmax = 0;
    for (std::size_t c = 0; c < 37; ++c) absmax = std::max(absmax, std::abs(m(r, c)));
    REQUIRE(rows.scales[r] == absmax / 7);
    for (std::size_t c = 0; c < 37; ++c) {
      REQUIRE(rows.values(r, c) == Grid::symmetric(absmax, 4).round_trip(m(r, c)));
    }
  }

  const QuantizedWeight blocks = quantize("absmax", m, 8, Granularity::block, 16);
  REQUIRE(blocks.scales.size() == 5 * 3);
  REQUIRE(blocks.stored_bytes == 5 * (37 + 3 * 4));
  float last = 0;
  for (std::size_t c = 32; c < 37; ++c) last = std::max(last, std::abs(m(4, c)));
  REQUIRE(blocks.scales[14] == last / 127);
  REQUIRE(error(m, blocks.values) < error(m, rows.values));
}

TEST_CASE("mse weights are never worse than absmax and clip an outlier at few bits", "[quant][weights]") {
  const Matrix m = weight(40, 300);
  for (const int bits : {2, 3, 4, 8, 16}) {
    for (const Granularity g : {Granularity::tensor, Granularity::channel, Granularity::block}) {
      const auto absmax = quantize("absmax", m, bits, g, 32), mse = quantize("mse", m, bits, g, 32);
      CAPTURE(bits, to_string(g));
      REQUIRE(error(m, mse.values) <= error(m, absmax.values) * (1 + 1e-6));
      REQUIRE(mse.stored_bytes == absmax.stored_bytes);
    }
  }
  REQUIRE(quantize("mse", m, 4, Granularity::channel).scales[1] <
          quantize("absmax", m, 4, Granularity::channel).scales[1]);
}

TEST_CASE("weights that are zero, empty, or not finite", "[quant][weights]") {
  for (const std::string name : {"absmax", "mse"}) {
    const auto zero = quantize(name, Matrix(3, 4, 0.0f), 8, Granularity::channel);
    REQUIRE(error(zero.values, Matrix(3, 4, 0.0f)) == 0);
    REQUIRE(quantize(name, Matrix(), 8, Granularity::tensor).stored_bytes == 0);
    for (const Granularity g : {Granularity::tensor, Granularity::channel, Granularity::block}) {
      Matrix bad = weight(3, 20);
      bad(2, 19) = std::nanf("");
      REQUIRE_ERROR(quantize(name, bad, 8, g, 16), "weight w", "NaN");
    }
    REQUIRE_ERROR(quantize(name, weight(3, 4), 8, Granularity::token), "granularity");
  }
  REQUIRE_ERROR(make_weight_quantizer("absmx", IniSection()), "did you mean 'absmax'");
}

TEST_CASE("quantize_weights applies the rules and counts the bytes", "[quant][weights]") {
  const BertWeights w = test::tiny_bert();
  const auto scheme =
      Scheme::parse(Ini::parse("[weights]\nbits = 8\n[weights.layer.0.*]\nbits = 4\ngranularity = channel\n"
                               "[weights.classifier]\nbits = 32\n",
                               "s.ini"),
                    "s");
  std::size_t bytes = 0, expected = w.parameter_count() * 4;
  BertWeights quantized = quantize_weights(w, scheme, nullptr, &bytes);
  std::vector<Matrix> originals;
  BertWeights copy = w;
  copy.for_each_matrix([&](const std::string&, const std::string&, Matrix& m) { originals.push_back(m); });
  std::size_t i = 0;
  quantized.for_each_matrix([&](const std::string& name, const std::string&, Matrix& m) {
    const Matrix& original = originals[i++];
    CAPTURE(name);
    if (name == "classifier") {
      REQUIRE(error(m, original) == 0);
    } else if (name.rfind("layer.0.", 0) == 0) {
      REQUIRE(error(m, quantize("absmax", original, 4, Granularity::channel).values) == 0);
      expected -= original.size() * 4;
      expected += original.rows() * ((original.cols() + 1) / 2 + 4);
    } else {
      REQUIRE(error(m, quantize("absmax", original, 8, Granularity::tensor).values) == 0);
      expected -= original.size() * 3;
      expected += 4;
    }
  });
  REQUIRE(bytes == expected);
  REQUIRE(w.layers[0].query.bias == quantized.layers[0].query.bias);
}
