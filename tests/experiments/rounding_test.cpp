#include <map>
#include <string>

#include "app/resources.h"
#include "app/study.h"
#include "catch.h"
#include "experiments/experiments.h"
#include "paths.h"

using namespace outlierlab;

TEST_CASE("Before the first grid float32 and double precision have all values in common, later fewer",
          "[experiments]") {
  EvaluatorOptions options;
  options.task = Task::read(find_task("demo"));
  options.model_folder = test::source("models/demo/planted");
  options.limit = 24;
  options.calibration_size = 16;
  Evaluator evaluator(options);
  StudyOptions how;
  how.experiment = "rounding";
  how.model_name = "demo-planted";
  how.out = test::scratch("rounding");
  how.scheme_folder = resource_root() / "configs" / "schemes";
  Study study(evaluator, how);
  rounding(study);

  std::map<std::string, std::map<std::string, double>> moved;  // by scheme and site
  std::map<std::string, std::map<std::string, double>> whole;  // by scheme and metric
  std::map<std::string, std::size_t> values;
  for (const Row& row : study.run()) {
    if (row.parameter.empty()) {
      whole[row.variant][row.metric] = row.estimate;
      REQUIRE(row.n == 24u);
      continue;
    }
    REQUIRE(row.metric == "values_moved");
    moved[row.variant][row.value] = row.estimate;
    values[row.value] = *row.n;
  }
  REQUIRE(moved.size() == 5);
  const SiteTable& sites = evaluator.sites();
  std::size_t tokens = 0, squares = 0;
  for (std::size_t e = 0; e < 16; ++e) {
    const std::size_t length = evaluator.examples()[e].token_ids.size();
    tokens += length;
    squares += length * length;
  }
  const std::size_t hidden = evaluator.config().hidden_size;
  REQUIRE(values.at("embeddings.sum") == tokens * hidden);
  REQUIRE(values.at("layer.0.scores") == squares * evaluator.config().heads);
  REQUIRE(values.at("pooler") == 16 * hidden);
  for (const auto& [scheme, by_site] : moved) {
    INFO(scheme);
    REQUIRE(by_site.size() == sites.size());
    REQUIRE(by_site.at("embeddings.sum") == 0);
    for (const auto& [site, share] : by_site) {
      REQUIRE(share >= 0);
      REQUIRE(share <= 100);
    }
    const std::string last = "layer." + std::to_string(evaluator.config().layers - 1) + ".output";
    REQUIRE(by_site.at(last) >= by_site.at("layer.0.query"));
    for (const char* metric : {"float32_exact_agreement", "engine_exact_agreement"}) {
      REQUIRE(whole.at(scheme).at(metric) >= 90);
      REQUIRE(whole.at(scheme).at(metric) <= 100);
    }
  }
}

TEST_CASE("One rounding at the embeddings reaches most values of a real network's last layer",
          "[experiments]") {
  const auto data = test::data("qnli");
  SKIP_WITHOUT_DATA(data);
  EvaluatorOptions options;
  options.task = Task::read(find_task("qnli"));
  options.model_folder = test::data("minilm-qnli");
  options.data_folder = data;
  options.limit = 16;
  options.calibration_size = 32;
  Evaluator evaluator(options);
  StudyOptions how;
  how.experiment = "rounding";
  how.model_name = "minilm-qnli";
  how.out = test::scratch("rounding-minilm");
  how.scheme_folder = resource_root() / "configs" / "schemes";
  Study study(evaluator, how);
  rounding(study);
  std::map<std::string, double> moved;
  for (const Row& row : study.run()) {
    if (row.variant == "w8a8" && row.parameter == "site") moved[row.value] = row.estimate;
  }
  REQUIRE(moved.at("embeddings.sum") == 0);
  REQUIRE(moved.at("embeddings.norm") < 0.01);
  REQUIRE(moved.at("layer.0.query") < 1);
  REQUIRE(moved.at("layer.5.query") > 20);
}
