#include "engine/cuda/network.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

namespace {

using Kind = SiteFormat::Kind;

DeviceArray<float> to_device(const Array<float>& values, std::size_t padded_size) {
  std::vector<float> padded(padded_size, 0.0f);
  std::copy(values.begin(), values.end(), padded.begin());
  return DeviceArray<float>(padded);
}

/// The layout of what enters a layer (or the pooler, behind the last one).
SiteLayout input_layout(const Model& model, std::size_t layer, Precision precision) {
  const SiteFormat& site = layer == 0 ? model.embeddings_norm_site : model.layers[layer - 1].sites[output];
  if (layer == model.shape.layers)
    return SiteLayout(site, model.shape.hidden, precision.real, precision.eight, {&model.pooler.weight});
  const Layer& next = model.layers[layer];
  return SiteLayout(site, model.shape.hidden, precision.real, precision.eight,
                    {&next.query.weight, &next.key.weight, &next.value.weight});
}

LayerPlan plan_layer(const Model& model, std::size_t i, const SiteLayout& input, Precision precision,
                     bool watched) {
  const Layer& from = model.layers[i];
  const Shape& s = model.shape;
  LayerPlan plan;
  for (std::size_t k = 0; k < layer_sites; ++k) {
    const bool by_head = k == scores || k == probs;
    plan.sites[k] = SiteLayout(from.sites[k],
                               by_head           ? s.heads
                               : k == ffn_hidden ? s.intermediate
                                                 : s.hidden,
                               precision.real, false, {});
  }
  plan.sites[context] = SiteLayout(from.sites[context], s.hidden, precision.real, precision.eight,
                                   {&from.attention_output.weight});
  plan.sites[ffn_input] =
      SiteLayout(from.sites[ffn_input], s.hidden, precision.real, precision.eight, {&from.ffn_hidden.weight});
  plan.sites[ffn_hidden] = SiteLayout(from.sites[ffn_hidden], s.intermediate, precision.real, precision.eight,
                                      {&from.ffn_output.weight});
  plan.sites[output] = input_layout(model, i + 1, precision);

  plan.integer_scores = from.integer_scores();
  plan.integer_context = from.integer_context();

  const Linear* linears[3] = {&from.query, &from.key, &from.value};
  bool integer[3];
  for (std::size_t k = 0; k < 3; ++k) {
    const SiteFormat& site = from.sites[query + k];
    const bool as_codes = k < 2 ? plan.integer_scores : plan.integer_context;
    integer[k] = input.codes_as != Operand::Codes::none && linears[k]->weight.is_integer();
    if (as_codes) {
      plan.routes[k] = integer[k] && site.kind == Kind::tensor && !watched ? Route::fused : Route::encoded;
    } else {
      const bool at_once = site.kind == Kind::real || (integer[k] && site.kind != Kind::rows);
      plan.routes[k] = at_once && !watched ? Route::direct : Route::rounded;
    }
  }
  const auto all = [&](Route route) {
    return plan.routes[0] == route && plan.routes[1] == route && plan.routes[2] == route;
  };
  plan.merged =
      all(Route::fused) || (all(Route::direct) && integer[0] == integer[1] && integer[0] == integer[2]);
  const auto grids = [&](const std::vector<const SiteFormat*>& sites) {
    const bool rounded = std::any_of(sites.begin(), sites.end(),
                                     [](const SiteFormat* site) { return site->kind != Kind::real; });
    return rounded ? grids_of_columns(sites, natural_order(s.hidden)) : std::vector<float>();
  };
  const SiteFormat* const sites = from.sites;
  if (plan.merged && plan.routes[0] == Route::direct)
    plan.projection_grids[0] = grids({&sites[query], &sites[key], &sites[value]});
  for (std::size_t k = 0; k < 3; ++k) {
    if (!plan.merged && plan.routes[k] == Route::direct)
      plan.projection_grids[k] = grids({&sites[query + k]});
  }
  if (plan.merged) {
    plan.projections[0] = DeviceLinear({&from.query, &from.key, &from.value}, input, precision.real);
  } else {
    for (std::size_t k = 0; k < 3; ++k)
      plan.projections[k] = DeviceLinear({linears[k]}, input, precision.real);
  }
  plan.attention_output = DeviceLinear({&from.attention_output}, plan.sites[context], precision.real);
  plan.ffn_output = DeviceLinear({&from.ffn_output}, plan.sites[ffn_hidden], precision.real);
  plan.attention_norm = DeviceNorm(from.attention_norm);
  plan.output_norm = DeviceNorm(from.output_norm);

  /// A kernel can write a site's only form itself: codes on one grid, or reals that are not rounded to a
  /// grid.
  const auto writable = [&](LayerSite site) {
    const SiteLayout& layout = plan.sites[site];
    if (watched) return false;
    if (layout.codes_as == Operand::Codes::plane)
      return on_one_grid_of_bytes(from.sites[site]) && !layout.real;
    return layout.codes_as == Operand::Codes::none && from.sites[site].kind == Kind::real && !layout.eight;
  };
  plan.fuse_context = writable(context);
  const SiteLayout& hidden = plan.sites[ffn_hidden];
  const bool integer_hidden =
      plan.sites[ffn_input].codes_as != Operand::Codes::none && from.ffn_hidden.weight.is_integer();
  if (hidden.codes_as == Operand::Codes::segments) {
    plan.fuse_hidden = integer_hidden && !hidden.real && !watched;
  } else if (hidden.codes_as == Operand::Codes::plane) {
    plan.fuse_hidden = integer_hidden && writable(ffn_hidden);
  } else {
    // cublasLt's GELU is good enough for reals of two bytes.
    plan.fuse_hidden = !integer_hidden && writable(ffn_hidden) && precision.real != RealType::float32;
  }
  if (plan.fuse_hidden && hidden.codes_as == Operand::Codes::segments) {
    // The product's columns in the order of the codes, and the kept channels behind them.
    std::vector<int> order(hidden.source.begin(), hidden.source.end());
    order.insert(order.end(), hidden.kept.begin(), hidden.kept.end());
    order.resize(static_cast<std::size_t>(round_up(static_cast<int>(order.size()), 16)), -1);
    plan.hidden_grids = grids_of_columns({&from.sites[ffn_hidden]}, order);
    plan.ffn_hidden = DeviceLinear(from.ffn_hidden, plan.sites[ffn_input], order);
  } else {
    plan.ffn_hidden = DeviceLinear({&from.ffn_hidden}, plan.sites[ffn_input], precision.real);
  }
  return plan;
}

}  // namespace

bool on_one_grid_of_bytes(const SiteFormat& site) {
  return site.bits <= 8 && site.kind == Kind::tensor;
}

DeviceTable::DeviceTable(const Weight& weight, RealType type) {
  const std::size_t stride = (weight.cols + 15) / 16 * 16;
  view.stride = static_cast<int>(stride);
  if (weight.is_integer()) {
    std::vector<std::int8_t> padded(weight.rows * stride, 0);
    for (std::size_t r = 0; r < weight.rows; ++r)
      std::copy_n(weight.codes.data() + r * weight.cols, weight.cols, padded.data() + r * stride);
    codes = padded;
    scales = to_device(weight.scales, weight.scales.size());
    view.codes = codes.data();
    view.scales = scales.data();
    view.scale_per_row = weight.scales.size() > 1;
    return;
  }
  const auto size = static_cast<std::size_t>(bytes_of(type));
  std::vector<unsigned char> padded(weight.rows * stride * size, 0);
  for (std::size_t r = 0; r < weight.rows; ++r) {
    for (std::size_t c = 0; c < weight.cols; ++c) {
      const float v = weight.values[r * weight.cols + c];
      const std::uint16_t bits = type == RealType::float32 ? std::uint16_t{0} : to_bits(v, type);
      std::memcpy(padded.data() + (r * stride + c) * size,
                  type == RealType::float32 ? static_cast<const void*>(&v) : &bits, size);
    }
  }
  values = padded;
  view.values = values.data();
  view.type = type;
}

DeviceNorm::DeviceNorm(const LayerNorm& norm)
    : gain(to_device(norm.gain, (norm.gain.size() + 15) / 16 * 16)),
      bias(to_device(norm.bias, (norm.bias.size() + 15) / 16 * 16)) {}

DeviceNetwork::DeviceNetwork(const Model& model, Precision precision, bool watched) {
  const Shape& s = model.shape;
  const bool plain =
      model.embeddings_sum_site.kind == Kind::real && model.embeddings_norm_site.kind == Kind::real;
  const RealType table_type = plain ? precision.real : RealType::float32;
  words = DeviceTable(model.word_embeddings, table_type);
  types = DeviceTable(model.token_type_embeddings, table_type);
  positions = DeviceTable(model.position_embeddings, table_type);
  embeddings_norm = DeviceNorm(model.embeddings_norm);
  embeddings_sum = SiteLayout(model.embeddings_sum_site, s.hidden, precision.real, false, {});
  embeddings_norm_site = input_layout(model, 0, precision);
  for (std::size_t i = 0; i < s.layers; ++i)
    layers.push_back(plan_layer(model, i, output_layout(i), precision, watched));
  pooler = DeviceLinear({&model.pooler}, output_layout(s.layers), precision.real);
  pooler_site =
      SiteLayout(model.pooler_site, s.hidden, precision.real, precision.eight, {&model.classifier.weight});
  classifier = DeviceLinear({&model.classifier}, pooler_site, precision.real);
}

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
