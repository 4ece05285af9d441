#include "model/sites.h"

#include "core/error.h"
#include "core/ini.h"

namespace outlierlab {

namespace {

constexpr SiteKind layer_kinds[] = {SiteKind::query,
                                    SiteKind::key,
                                    SiteKind::value,
                                    SiteKind::scores,
                                    SiteKind::probs,
                                    SiteKind::context,
                                    SiteKind::attention_output,
                                    SiteKind::attention_residual,
                                    SiteKind::ffn_input,
                                    SiteKind::ffn_hidden,
                                    SiteKind::ffn_output,
                                    SiteKind::ffn_residual,
                                    SiteKind::output};
constexpr std::size_t kinds_per_layer = sizeof layer_kinds / sizeof layer_kinds[0];
constexpr std::size_t sites_before_layers = 2;

std::size_t channels_of(SiteKind kind, const BertConfig& config) {
  switch (kind) {
    case SiteKind::scores:
    case SiteKind::probs:
      return config.heads;
    case SiteKind::ffn_hidden:
      return config.intermediate_size;
    default:
      return config.hidden_size;
  }
}

std::string expand_alias(const std::string& pattern) {
  if (pattern == "x") return "layer.*.ffn_input";
  if (pattern == "h") return "layer.*.ffn_output";
  if (pattern == "y") return "layer.*.ffn_residual";
  return pattern;
}

}  // namespace

const char* to_string(SiteKind kind) {
  switch (kind) {
    case SiteKind::embeddings_sum:
      return "embeddings.sum";
    case SiteKind::embeddings_norm:
      return "embeddings.norm";
    case SiteKind::query:
      return "query";
    case SiteKind::key:
      return "key";
    case SiteKind::value:
      return "value";
    case SiteKind::scores:
      return "scores";
    case SiteKind::probs:
      return "probs";
    case SiteKind::context:
      return "context";
    case SiteKind::attention_output:
      return "attention_output";
    case SiteKind::attention_residual:
      return "attention_residual";
    case SiteKind::ffn_input:
      return "ffn_input";
    case SiteKind::ffn_hidden:
      return "ffn_hidden";
    case SiteKind::ffn_output:
      return "ffn_output";
    case SiteKind::ffn_residual:
      return "ffn_residual";
    case SiteKind::output:
      return "output";
    case SiteKind::pooler:
      return "pooler";
  }
  throw Error("a SiteKind without a name");
}

SiteTable::SiteTable(const BertConfig& config) {
  const auto add = [&](const std::string& prefix, SiteKind kind, int layer) {
    sites_.push_back({prefix + to_string(kind), kind, layer, channels_of(kind, config)});
  };
  add("", SiteKind::embeddings_sum, -1);
  add("", SiteKind::embeddings_norm, -1);
  for (std::size_t layer = 0; layer < config.layers; ++layer) {
    for (const SiteKind kind : layer_kinds) {
      add("layer." + std::to_string(layer) + ".", kind, static_cast<int>(layer));
    }
  }
  add("", SiteKind::pooler, -1);
}

std::size_t SiteTable::index(SiteKind kind, int layer) const {
  if (kind == SiteKind::embeddings_sum) return 0;
  if (kind == SiteKind::embeddings_norm) return 1;
  if (kind == SiteKind::pooler) return sites_.size() - 1;
  const std::size_t within = static_cast<std::size_t>(kind) - static_cast<std::size_t>(SiteKind::query);
  const std::size_t index = sites_before_layers + static_cast<std::size_t>(layer) * kinds_per_layer + within;
  if (layer < 0 || index >= sites_.size() - 1) {
    throw Error(std::string("site ") + to_string(kind) + ": no layer " + std::to_string(layer));
  }
  return index;
}

std::size_t SiteTable::index(const std::string& name) const {
  for (std::size_t i = 0; i < sites_.size(); ++i) {
    if (sites_[i].name == name) return i;
  }
  std::vector<std::string> names;
  for (const Site& site : sites_) names.push_back(site.name);
  const std::string near = nearest(name, names);
  throw UsageError("unknown site '" + name + "'" + (near.empty() ? "" : "; did you mean '" + near + "'?"));
}

std::vector<std::size_t> SiteTable::match(const std::string& pattern) const {
  const std::string expanded = expand_alias(pattern);
  if (expanded.find('*') == std::string::npos) return {index(expanded)};
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < sites_.size(); ++i) {
    if (glob_match(expanded, sites_[i].name)) found.push_back(i);
  }
  if (!found.empty()) return found;
  std::vector<std::string> forms = {"x", "h", "y"};
  for (const Site& site : sites_) {
    forms.push_back(site.layer <= 0 ? site.name : "layer.*." + std::string(to_string(site.kind)));
  }
  const std::string near = nearest(pattern, forms);
  throw UsageError("no site matches '" + pattern + "'" +
                   (near.empty() ? "" : "; did you mean '" + near + "'?"));
}

}  // namespace outlierlab
