#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "engine/cuda/products.h"
#include "engine/cuda/row_kernels.h"
#include "engine/cuda/runtime.h"
#include "engine/model.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

/// How products that are not integer run.
struct Precision {
  RealType real = RealType::float32;  ///< of operands, and of what lies between kernels
  bool eight = false;                 ///< operands of products with weights in e4m3
};

/// A grid per tensor of at most 8 bits.
bool on_one_grid_of_bytes(const SiteFormat& site);

/// An embedding table in device memory.
struct DeviceTable {
  DeviceArray<std::int8_t> codes;
  DeviceArray<float> scales;
  DeviceArray<unsigned char> values;
  Table view;

  DeviceTable() = default;
  DeviceTable(const Weight& weight, RealType type);
};

struct DeviceNorm {
  DeviceArray<float> gain, bias;
  DeviceNorm() = default;
  explicit DeviceNorm(const LayerNorm& norm);
};

/// How queries, keys or values get from their product to the attention.
enum class Route {
  fused,    ///< the product writes codes
  encoded,  ///< the product writes reals, a row kernel codes
  direct,   ///< the product writes reals, an integer one also such that are rounded to the site's grid
  rounded   ///< the product writes reals, a row kernel such that are rounded to the site's grid
};

struct LayerPlan {
  bool merged = false;          ///< queries, keys and values are one product
  DeviceLinear projections[3];  ///< merged: the first alone
  Route routes[3] = {};
  DeviceArray<float> projection_grids[3];  ///< direct: of the projection's columns; empty: not rounded
  DeviceLinear attention_output, ffn_hidden, ffn_output;
  std::array<SiteLayout, layer_sites> sites;  ///< context, ffn_input, ffn_hidden and output with their forms
  DeviceNorm attention_norm, output_norm;
  bool integer_scores = false, integer_context = false;
  bool fuse_context = false;        ///< attention writes the operand of the next product
  bool fuse_hidden = false;         ///< so does the product before GELU
  DeviceArray<float> hidden_grids;  ///< fuse_hidden into segments: of the product's columns
};

/// A model in device memory, with how each of its products and sites is executed.
struct DeviceNetwork {
  DeviceTable words, types, positions;
  DeviceNorm embeddings_norm;
  SiteLayout embeddings_sum, embeddings_norm_site, pooler_site;
  std::vector<LayerPlan> layers;
  DeviceLinear pooler, classifier;

  DeviceNetwork() = default;
  /// `watched`: an observer wants to see every site, so no kernel may write codes at once.
  DeviceNetwork(const Model& model, Precision precision, bool watched);
  /// The layout of what enters a layer; of the last layer's output for the number of layers.
  const SiteLayout& output_layout(std::size_t layer) const {
    return layer == 0 ? embeddings_norm_site : layers[layer - 1].sites[output];
  }
};

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
