#include "app/packed.h"

#include <string>

#include "core/error.h"
#include "engine/packed_file.h"

namespace outlierlab {

std::shared_ptr<const engine::Model> read_packed_model_of(const std::filesystem::path& file,
                                                          const BertConfig& config) {
  std::shared_ptr<const engine::Model> model = engine::read_packed_model(file.string());
  const auto same = [&](const char* what, std::size_t found, std::size_t expected) {
    if (found != expected)
      fail_expected(file.string() + ": " + what, std::to_string(expected) + " as the model has",
                    std::to_string(found));
  };
  same("vocabulary", model->shape.vocabulary, config.vocab_size);
  same("hidden size", model->shape.hidden, config.hidden_size);
  same("layers", model->shape.layers, config.layers);
  same("labels", model->shape.labels, config.labels.size());
  return model;
}

std::string packed_scheme(const engine::Model& model) {
  const auto named = model.facts.find("scheme");
  return named == model.facts.end() ? "unnamed" : named->second;
}

}  // namespace outlierlab
