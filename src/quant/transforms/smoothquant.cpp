// smoothquant: channel j of an activation X is divided by s_j, and its partner multiplied by s_j, with
// s_j = max|X_j|^alpha / max|W_j|^(1 - alpha) (Xiao et al. 2023, arXiv 2211.10438). Key `alpha` in [0, 1],
// default 0.5: both sides end with the same range, sqrt(max|X_j| max|W_j|). alpha = 1 moves all of the
// activation's unevenness to its partner. Key `sites`: patterns of the sites X to smooth, default all that
// can be.
//
// For a post-LN BERT these are (quant/transform.h says why no others, and they are refused):
//
//     X = query                   partner: key, an activation as well; max|W_j| is its channel's
//     X = context (with value)    partner: attention_output's columns
//     X = the last layer's output partner: the pooler's columns, and the MLM head's
//
// s_j stays within 1e-5 and 1e5; a channel that is 0 on either side keeps s_j = 1.
#include <algorithm>
#include <cmath>

#include "quant/options.h"
#include "quant/transform.h"
#include "quant/transforms/pairs.h"

namespace outlierlab {

namespace {

int last_layer(const SiteTable& sites) {
  int last = -1;
  for (const Site& site : sites.all()) last = std::max(last, site.layer);
  return last;
}

/// Why a site cannot be divided by channel; null if it can.
const char* obstacle(const Site& site, const SiteTable& sites) {
  switch (site.kind) {
    case SiteKind::query:
    case SiteKind::context:
      return nullptr;
    case SiteKind::output:
      if (site.layer == last_layer(sites)) return nullptr;
      [[fallthrough]];
    case SiteKind::embeddings_norm:
    case SiteKind::ffn_input:
      return "a LayerNorm's output that also enters the residual sum";
    case SiteKind::embeddings_sum:
    case SiteKind::attention_output:
    case SiteKind::attention_residual:
    case SiteKind::ffn_output:
    case SiteKind::ffn_residual:
      return "a summand or sum that meets a LayerNorm, which mixes the channels";
    case SiteKind::ffn_hidden:
      return "GELU's output, and GELU does not commute with a factor";
    case SiteKind::pooler:
      return "tanh's output, and tanh does not commute with a factor";
    case SiteKind::key:
      return "smoothed as the partner of query";
    case SiteKind::value:
      return "smoothed together with context";
    case SiteKind::scores:
    case SiteKind::probs:
      return "a product without channels";
  }
  return nullptr;
}

class SmoothQuantTransform : public Transform {
 public:
  SmoothQuantTransform(double alpha, std::vector<std::string> patterns, std::string place)
      : alpha_(alpha), patterns_(std::move(patterns)), place_(std::move(place)) {}

  void check(const SiteTable& sites) const override { chosen(sites); }

  void apply(BertWeights& weights, const NetworkStatistics* statistics) const override {
    const SiteTable sites(weights.config);
    for (const std::size_t index : chosen(sites)) {
      const Site& site = sites[index];
      BertLayerWeights& layer = weights.layers[static_cast<std::size_t>(site.layer)];
      const std::vector<float> x = absmax(statistics->at(site.name));
      if (site.kind == SiteKind::query) {
        const std::string key = sites[sites.index(SiteKind::key, site.layer)].name;
        std::vector<float> s = factors(x, absmax(statistics->at(key)));
        divide_outputs(layer.query, s);
        for (float& factor : s) factor = 1 / factor;
        divide_outputs(layer.key, s);
      } else if (site.kind == SiteKind::context) {
        Matrix& partner = layer.attention_output.weight;
        const std::vector<float> s = factors(x, column_absmax(partner));
        divide_outputs(layer.value, s);
        multiply_inputs(partner, s);
      } else {
        smooth_heads(weights, x);
      }
    }
  }

 private:
  std::vector<std::size_t> chosen(const SiteTable& sites) const {
    std::vector<bool> wanted(sites.size(), false);
    for (const std::string& pattern : patterns_) {
      for (const std::size_t i : at_place(place_, [&] { return sites.match(pattern); })) {
        const char* reason = obstacle(sites[i], sites);
        if (reason)
          throw UsageError(place_ +
                           ": key 'sites': expected query, context or the last layer's output, found " +
                           sites[i].name + " (" + reason + ")");
        wanted[i] = true;
      }
    }
    std::vector<std::size_t> result;
    for (std::size_t i = 0; i < sites.size(); ++i) {
      if (patterns_.empty() ? !obstacle(sites[i], sites) : wanted[i]) result.push_back(i);
    }
    return result;
  }

  static std::vector<float> absmax(const SiteStatistics& site) {
    std::vector<float> all;
    for (std::size_t c = 0; c < site.channels(); ++c) all.push_back(site.by_channel().absmax(c));
    return all;
  }

  std::vector<float> factors(const std::vector<float>& x, const std::vector<float>& w) const {
    std::vector<float> s(x.size(), 1.0f);
    for (std::size_t j = 0; j < s.size(); ++j) {
      if (x[j] == 0 || w[j] == 0) continue;
      s[j] = static_cast<float>(
          std::clamp(std::pow(double{x[j]}, alpha_) / std::pow(double{w[j]}, 1 - alpha_), 1e-5, 1e5));
    }
    return s;
  }

  /// The last layer's output is read by the heads alone: its LayerNorm's gain and bias take the factors.
  void smooth_heads(BertWeights& weights, const std::vector<float>& x) const {
    std::vector<Matrix*> partners;
    if (!weights.pooler.weight.empty()) partners.push_back(&weights.pooler.weight);
    if (weights.mlm) partners.push_back(&weights.mlm->transform.weight);
    if (partners.empty()) return;
    std::vector<float> w(x.size(), 0.0f);
    for (const Matrix* partner : partners) {
      const std::vector<float> columns = column_absmax(*partner);
      for (std::size_t j = 0; j < w.size(); ++j) w[j] = std::max(w[j], columns[j]);
    }
    const std::vector<float> s = factors(x, w);
    LayerNormWeights& norm = weights.layers.back().output_norm;
    for (std::size_t j = 0; j < s.size(); ++j) {
      norm.gain[j] /= s[j];
      norm.bias[j] /= s[j];
    }
    for (Matrix* partner : partners) multiply_inputs(*partner, s);
  }

  double alpha_;
  std::vector<std::string> patterns_;  ///< empty: all sites that can be smoothed
  std::string place_;
};

}  // namespace

TransformEntry smoothquant_transform() {
  return {"smoothquant",
          "balances channels of query and key, context and its weight, last output and pooler; alpha = 0.5, "
          "sites",
          {"alpha", "sites"},
          [](const IniSection& options) {
            const double alpha = options.number("alpha").value_or(0.5);
            if (!(alpha >= 0 && alpha <= 1)) fail_value(options, "alpha", "a number from 0 to 1");
            const std::vector<std::string> sites = options.list("sites");
            if (options.has("sites") && sites.empty()) fail_value(options, "sites", "patterns of sites");
            return std::make_unique<SmoothQuantTransform>(alpha, sites, place_of(options, "sites"));
          }};
}

}  // namespace outlierlab
