#pragma once

#include <string>

#include "engine/model.h"

namespace outlierlab::engine {

/// Visits every part of a model (whose `shape` is set and whose layers exist) under the name that it has in a
/// packed file: Hugging Face's names for parameters, the suite's for sites.
///
///     visitor.weight(name, Weight&, rows, cols)
///     visitor.vector(name, Array<float>&, size)
///     visitor.site(name, SiteFormat&, channels)
template <typename AnyModel, typename Visitor>
void visit_parts(AnyModel& model, Visitor&& visitor) {
  const Shape& s = model.shape;
  const auto linear = [&](const std::string& name, auto& part, std::size_t out, std::size_t in) {
    visitor.weight(name + ".weight", part.weight, out, in);
    visitor.vector(name + ".bias", part.bias, out);
  };
  const auto norm = [&](const std::string& name, auto& part) {
    visitor.vector(name + ".weight", part.gain, s.hidden);
    visitor.vector(name + ".bias", part.bias, s.hidden);
  };
  const std::string embeddings = "bert.embeddings.";
  visitor.weight(embeddings + "word_embeddings.weight", model.word_embeddings, s.vocabulary, s.hidden);
  visitor.weight(embeddings + "position_embeddings.weight", model.position_embeddings, s.positions, s.hidden);
  visitor.weight(embeddings + "token_type_embeddings.weight", model.token_type_embeddings, s.token_types,
                 s.hidden);
  norm(embeddings + "LayerNorm", model.embeddings_norm);
  visitor.site("embeddings.sum", model.embeddings_sum_site, s.hidden);
  visitor.site("embeddings.norm", model.embeddings_norm_site, s.hidden);
  for (std::size_t i = 0; i < s.layers; ++i) {
    auto& layer = model.layers[i];
    const std::string name = "bert.encoder.layer." + std::to_string(i) + ".";
    linear(name + "attention.self.query", layer.query, s.hidden, s.hidden);
    linear(name + "attention.self.key", layer.key, s.hidden, s.hidden);
    linear(name + "attention.self.value", layer.value, s.hidden, s.hidden);
    linear(name + "attention.output.dense", layer.attention_output, s.hidden, s.hidden);
    norm(name + "attention.output.LayerNorm", layer.attention_norm);
    linear(name + "intermediate.dense", layer.ffn_hidden, s.intermediate, s.hidden);
    linear(name + "output.dense", layer.ffn_output, s.hidden, s.intermediate);
    norm(name + "output.LayerNorm", layer.output_norm);
    for (std::size_t k = 0; k < layer_sites; ++k) {
      const auto site = static_cast<LayerSite>(k);
      const std::size_t channels = site == scores || site == probs ? s.heads
                                   : site == ffn_hidden            ? s.intermediate
                                                                   : s.hidden;
      visitor.site("layer." + std::to_string(i) + "." + to_string(site), layer.sites[k], channels);
    }
  }
  linear("bert.pooler.dense", model.pooler, s.hidden, s.hidden);
  visitor.site("pooler", model.pooler_site, s.hidden);
  linear("classifier", model.classifier, s.labels, s.hidden);
}

/// The sizes of a Shape with their names in a packed file.
template <typename AnyShape, typename Visitor>
void visit_sizes(AnyShape& shape, Visitor&& visit) {
  visit("vocabulary", shape.vocabulary);
  visit("hidden", shape.hidden);
  visit("layers", shape.layers);
  visit("heads", shape.heads);
  visit("intermediate", shape.intermediate);
  visit("positions", shape.positions);
  visit("token_types", shape.token_types);
  visit("labels", shape.labels);
}

}  // namespace outlierlab::engine
