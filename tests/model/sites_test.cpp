#include "model/sites.h"

#include "catch.h"

using namespace outlierlab;

namespace {
BertConfig small_config() {
  BertConfig config;
  config.vocab_size = 10;
  config.hidden_size = 12;
  config.layers = 3;
  config.heads = 4;
  config.intermediate_size = 20;
  return config;
}
}  // namespace

TEST_CASE("Sites stand in the order of the forward pass and are found by kind and by name", "[sites]") {
  const SiteTable sites(small_config());
  REQUIRE(sites.size() == 2 + 3 * 13 + 1);
  REQUIRE(sites[0].name == "embeddings.sum");
  REQUIRE(sites[2].name == "layer.0.query");
  REQUIRE(sites[2 + 13].name == "layer.1.query");
  REQUIRE(sites[sites.size() - 1].name == "pooler");
  for (std::size_t i = 0; i < sites.size(); ++i) {
    CAPTURE(sites[i].name);
    REQUIRE(sites.index(sites[i].kind, sites[i].layer) == i);
    REQUIRE(sites.index(sites[i].name) == i);
  }
  REQUIRE(sites[sites.index("layer.2.scores")].channels == 4);
  REQUIRE(sites[sites.index("layer.2.ffn_hidden")].channels == 20);
  REQUIRE(sites[sites.index("layer.2.ffn_output")].channels == 12);
  REQUIRE(sites[sites.index("pooler")].layer == -1);
}

TEST_CASE("Site patterns know stars and the paper's letters", "[sites]") {
  const SiteTable sites(small_config());
  const auto names = [&](const std::string& pattern) {
    std::string all;
    for (const std::size_t i : sites.match(pattern)) all += sites[i].name + " ";
    return all;
  };
  REQUIRE(names("x") == "layer.0.ffn_input layer.1.ffn_input layer.2.ffn_input ");
  REQUIRE(names("h") == "layer.0.ffn_output layer.1.ffn_output layer.2.ffn_output ");
  REQUIRE(names("y") == "layer.0.ffn_residual layer.1.ffn_residual layer.2.ffn_residual ");
  REQUIRE(names("layer.1.p*") == "layer.1.probs ");
  REQUIRE(names("embeddings.*") == "embeddings.sum embeddings.norm ");
  REQUIRE(names("pooler") == "pooler ");
  REQUIRE(sites.match("*").size() == sites.size());
}

TEST_CASE("Unknown sites are wrong use and name the nearest", "[sites]") {
  const SiteTable sites(small_config());
  REQUIRE_THROWS_AS(sites.index("layer.0.ffn_ouput"), UsageError);
  REQUIRE_ERROR(sites.index("layer.0.ffn_ouput"), "layer.0.ffn_ouput", "layer.0.ffn_output");
  REQUIRE_THROWS_AS(sites.match("layer.*.ffn_ouput"), UsageError);
  REQUIRE_ERROR(sites.match("layer.*.ffn_ouput"), "layer.*.ffn_ouput", "layer.*.ffn_output");
  REQUIRE_ERROR(sites.match("layer.3.query"), "layer.3.query");
  REQUIRE_ERROR(sites.index(SiteKind::query, 3), "query", "3");
}
