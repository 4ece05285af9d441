#include "app/packed.h"

#include <nlohmann/json.hpp>
#include <string>

#include "core/error.h"
#include "engine/packed_file.h"

namespace outlierlab {

namespace {

/// A fact of the provenance that `pack` leaves in its file; empty if there is none.
std::string packed_provenance(const engine::Model& packed, const std::string& key) {
  const auto text = packed.facts.find("provenance");
  if (text == packed.facts.end()) return "";
  const auto provenance = nlohmann::json::parse(text->second, nullptr, false);
  const auto fact = provenance.is_object() ? provenance.find(key) : provenance.end();
  return fact != provenance.end() && fact->is_string() ? fact->get<std::string>() : "";
}

}  // namespace

void refuse_beside_packed(const Options& options, const std::filesystem::path& packed) {
  for (const std::string option : {"scheme", "set", "calibration-size", "calibration-seed"}) {
    if (!packed.empty() && options.given(option))
      throw UsageError("--" + option +
                       ": expected no --packed beside it (the file has its scheme, calibrated), found both");
  }
}

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
  same("heads", model->shape.heads, config.heads);
  same("intermediate size", model->shape.intermediate, config.intermediate_size);
  same("positions", model->shape.positions, config.max_positions);
  same("token types", model->shape.token_types, config.token_types);
  same("labels", model->shape.labels, config.labels.size());
  for (std::size_t i = 0; i < config.labels.size(); ++i) {
    const auto named = model->facts.find("label_" + std::to_string(i));
    const bool has = named != model->facts.end();
    if (!has || named->second != config.labels[i])
      fail_expected(file.string() + ": label " + std::to_string(i),
                    "'" + config.labels[i] + "' as the model has", has ? "'" + named->second + "'" : "none");
  }
  return model;
}

std::string packed_model_name(const engine::Model& packed) {
  return packed_provenance(packed, "model");
}

void require_packed_from(const std::filesystem::path& file, const engine::Model& packed,
                         const std::string& name, const std::function<std::string()>& digest) {
  const std::string found = packed_provenance(packed, "model_sha256");
  if (found.empty())
    fail_expected(file.string(), "the digest of its model (provenance, model_sha256)", "none");
  const std::string expected = digest();
  if (found == expected) return;
  fail_expected(file.string(), "a model packed from " + name + " (" + expected.substr(0, 12) + ")",
                "one from " + packed_model_name(packed) + " (" + found.substr(0, 12) + ")");
}

std::string packed_scheme(const engine::Model& model) {
  const auto named = model.facts.find("scheme");
  return named == model.facts.end() ? "unnamed" : named->second;
}

std::string packed_scheme_text(const engine::Model& model) {
  const auto text = model.facts.find("scheme_text");
  return text == model.facts.end() ? "" : text->second;
}

}  // namespace outlierlab
