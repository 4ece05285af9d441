#include "engine/model.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>
#include <utility>

#include "core/error.h"
#include "engine/model_parts.h"

namespace outlierlab::engine {

namespace {

/// A sum of so many products of codes, both sides centred on zero points, fits into int32: 255 * 255 * 32768
/// < 2^31.
constexpr std::size_t most_products = 32768;

/// Each grid of a site is a product of its own, whose steps take so many channels: with fewer it would be
/// padding above all, and slower and larger than in float.
constexpr std::size_t least_channels_per_grid = 4;

std::string count(std::size_t n, const char* what) {
  return std::to_string(n) + " " + what;
}

void check_finite(const std::string& place, const Array<float>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) fail_expected(place, "finite values", std::to_string(values[i]));
  }
}

void check_scale(const std::string& place, float scale) {
  if (!std::isfinite(scale) || scale < 0)
    fail_expected(place, "finite scales of 0 or more", std::to_string(scale));
}

void check_sum(const std::string& place, std::size_t products) {
  if (products > most_products)
    fail_expected(place, "at most " + count(most_products, "products in an int32 sum"),
                  std::to_string(products));
}

void check_vector(const std::string& place, const Array<float>& values, std::size_t size) {
  if (values.size() != size) fail_expected(place, count(size, "values"), std::to_string(values.size()));
  check_finite(place, values);
}

void check_weight(const std::string& place, const Weight& weight, std::size_t rows, std::size_t cols) {
  if (weight.rows != rows || weight.cols != cols) {
    fail_expected(place, "the shape [" + std::to_string(rows) + ", " + std::to_string(cols) + "]",
                  "[" + std::to_string(weight.rows) + ", " + std::to_string(weight.cols) + "]");
  }
  if (!weight.is_integer()) return check_vector(place, weight.values, rows * cols);
  if (weight.codes.size() != rows * cols)
    fail_expected(place, count(rows * cols, "codes"), std::to_string(weight.codes.size()));
  if (weight.bits < 2 || weight.bits > 8) fail_expected(place, "2 to 8 bits", std::to_string(weight.bits));
  if (weight.scales.size() != 1 && weight.scales.size() != rows)
    fail_expected(place, "1 or " + count(rows, "scales"), std::to_string(weight.scales.size()));
  check_sum(place, cols);
  for (const float scale : weight.scales) check_scale(place, scale);
  const int largest = (1 << (weight.bits - 1)) - 1;
  for (const std::int8_t code : weight.codes) {
    if (std::abs(code) > largest)
      fail_expected(place, "codes within +-" + std::to_string(largest), std::to_string(code));
  }
}

void check_site(const std::string& place, const SiteFormat& site, std::size_t channels) {
  using Kind = SiteFormat::Kind;
  if (site.kind == Kind::real) return;
  if (site.bits < 2 || site.bits > 16) fail_expected(place, "2 to 16 bits", std::to_string(site.bits));
  if (!(site.outlier_threshold > 0))
    fail_expected(place, "an outlier threshold above 0", std::to_string(site.outlier_threshold));
  if (site.keeps_outliers() && site.kind != Kind::rows)
    fail_expected(place, "outliers kept only where each row has its own range", "a static grid");
  if (site.kind == Kind::rows) return;
  const std::size_t grids = site.kind == Kind::tensor ? 1 : channels;
  if (site.scale.size() != grids || site.zero.size() != grids)
    fail_expected(place, count(grids, "scales and zero points"), std::to_string(site.scale.size()));
  for (std::size_t i = 0; i < grids; ++i) {
    // A channel that stays float has a scale below 0.
    const bool stays_float = site.kind == Kind::columns && site.scale[i] < 0;
    check_scale(place, stays_float ? -site.scale[i] : site.scale[i]);
    if (std::fpclassify(site.scale[i]) == FP_SUBNORMAL)
      fail_expected(place, "scales of 0 or at least 2^-126", "a subnormal one");
    if (site.zero[i] < site.qmin() || site.zero[i] > site.qmax())
      fail_expected(place, "a zero point that is a code", std::to_string(site.zero[i]));
  }
}

std::size_t bytes_of(const Weight& weight) {
  return weight.codes.size() + (weight.scales.size() + weight.values.size()) * sizeof(float);
}

std::size_t bytes_of(const Linear& linear) {
  return bytes_of(linear.weight) + linear.bias.size() * sizeof(float);
}

std::size_t bytes_of(const LayerNorm& norm) {
  return (norm.gain.size() + norm.bias.size()) * sizeof(float);
}

}  // namespace

bool multiplies_codes(const SiteFormat& left, const Weight& weight) {
  using Kind = SiteFormat::Kind;
  if (!weight.is_integer() || left.kind == Kind::real) return false;
  if (left.kind != Kind::columns) return true;
  std::set<std::pair<float, std::int32_t>> grids;
  std::size_t channels = 0;  // with a grid
  for (std::size_t c = 0; c < left.scale.size(); ++c) {
    if (left.scale[c] < 0) continue;
    ++channels;
    grids.emplace(left.scale[c], left.zero[c]);
  }
  return left.bits <= 8 && channels > 0 && channels >= least_channels_per_grid * grids.size();
}

bool Layer::integer_scores() const {
  using Kind = SiteFormat::Kind;
  const auto of_bytes = [](const SiteFormat& site) {
    return site.bits <= 8 && (site.kind == Kind::tensor || site.kind == Kind::rows) && !site.keeps_outliers();
  };
  return of_bytes(sites[LayerSite::query]) && of_bytes(sites[LayerSite::key]);
}

bool Layer::integer_context() const {
  using Kind = SiteFormat::Kind;
  const SiteFormat& left = sites[probs];
  const bool every_head = left.kind != Kind::columns || std::all_of(left.scale.begin(), left.scale.end(),
                                                                    [](float scale) { return scale >= 0; });
  return sites[LayerSite::value].kind == Kind::tensor && sites[LayerSite::value].bits <= 8 &&
         left.kind != Kind::real && left.bits <= 8 && every_head && !left.keeps_outliers();
}

std::size_t Model::integer_products() const {
  std::size_t count = 0;
  const SiteFormat* input = &embeddings_norm_site;
  for (const Layer& layer : layers) {
    for (const Linear* linear : {&layer.query, &layer.key, &layer.value})
      count += multiplies_codes(*input, linear->weight);
    count += layer.integer_scores() + layer.integer_context();
    count += multiplies_codes(layer.sites[context], layer.attention_output.weight);
    count += multiplies_codes(layer.sites[ffn_input], layer.ffn_hidden.weight);
    count += multiplies_codes(layer.sites[LayerSite::ffn_hidden], layer.ffn_output.weight);
    input = &layer.sites[output];
  }
  return count;
}

std::size_t Model::weight_bytes() const {
  std::size_t bytes = bytes_of(word_embeddings) + bytes_of(position_embeddings) +
                      bytes_of(token_type_embeddings) + bytes_of(embeddings_norm) + bytes_of(pooler) +
                      bytes_of(classifier);
  for (const Layer& layer : layers) {
    for (const Linear* linear : {&layer.query, &layer.key, &layer.value, &layer.attention_output,
                                 &layer.ffn_hidden, &layer.ffn_output}) {
      bytes += bytes_of(*linear);
    }
    bytes += bytes_of(layer.attention_norm) + bytes_of(layer.output_norm);
  }
  return bytes;
}

const SiteFormat& Model::site(std::size_t index) const {
  if (index == 0) return embeddings_sum_site;
  if (index == 1) return embeddings_norm_site;
  if (index + 1 == site_count()) return pooler_site;
  return layers[(index - 2) / layer_sites].sites[(index - 2) % layer_sites];
}

void Model::check() const {
  visit_sizes(shape, [](const char* name, std::size_t size) {
    if (size == 0 && std::string(name) != "layers")
      fail_expected("shape", std::string(name) + " above 0", "0");
  });
  if (shape.hidden % shape.heads != 0)
    fail_expected("shape", "a hidden size that the heads divide",
                  std::to_string(shape.hidden) + " and " + count(shape.heads, "heads"));
  check_sum("shape: head size", shape.head_size());
  check_sum("shape: positions", shape.positions);
  if (!(shape.epsilon >= 0) || !std::isfinite(shape.epsilon))
    fail_expected("shape", "a LayerNorm epsilon of 0 or more", std::to_string(shape.epsilon));
  if (layers.size() != shape.layers)
    fail_expected("model", count(shape.layers, "layers"), std::to_string(layers.size()));
  struct Checker {
    void weight(const std::string& name, const Weight& part, std::size_t rows, std::size_t cols) {
      check_weight(name, part, rows, cols);
    }
    void vector(const std::string& name, const Array<float>& part, std::size_t size) {
      check_vector(name, part, size);
    }
    void site(const std::string& name, const SiteFormat& part, std::size_t channels) {
      check_site("site " + name, part, channels);
    }
  };
  visit_parts(*this, Checker());
}

const char* to_string(LayerSite site) {
  static const char* const names[layer_sites] = {"query",
                                                 "key",
                                                 "value",
                                                 "scores",
                                                 "probs",
                                                 "context",
                                                 "attention_output",
                                                 "attention_residual",
                                                 "ffn_input",
                                                 "ffn_hidden",
                                                 "ffn_output",
                                                 "ffn_residual",
                                                 "output"};
  return names[site];
}

}  // namespace outlierlab::engine
