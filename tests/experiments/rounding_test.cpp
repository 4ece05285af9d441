#include <map>
#include <string>
#include <utility>
#include <vector>

#include "app/resources.h"
#include "app/study.h"
#include "catch.h"
#include "experiments/experiments.h"
#include "paths.h"

using namespace outlierlab;

namespace {

EvaluatorOptions options_of(const std::string& task, std::filesystem::path model, std::size_t limit) {
  EvaluatorOptions options;
  options.task = Task::read(find_task(task));
  options.model_folder = std::move(model);
  options.limit = limit;
  options.calibration_size = 16;
  return options;
}

std::vector<Row> rows_of_rounding(Evaluator& evaluator) {
  StudyOptions how;
  how.experiment = "rounding";
  how.model_name = "model";
  how.out = test::scratch("rounding");
  how.scheme_folder = resource_root() / "configs" / "schemes";
  Study study(evaluator, how);
  rounding(study);
  return study.run();
}

}  // namespace

TEST_CASE("Before the first grid float32 and double precision have all values in common, later fewer",
          "[experiments]") {
  Evaluator evaluator(options_of("demo", test::source("models/demo/planted"), 24));
  std::map<std::string, std::map<std::string, double>> moved;  // by scheme and site
  std::map<std::string, std::map<std::string, double>> whole;  // by scheme and metric
  std::map<std::string, std::size_t> values;
  for (const Row& row : rows_of_rounding(evaluator)) {
    if (row.parameter.empty()) {
      whole[row.variant][row.metric] = row.estimate;
      REQUIRE(row.n == 24u);
      continue;
    }
    REQUIRE(row.metric == "values_moved");
    moved[row.variant][row.value] = row.estimate;
    values[row.value] = *row.n;
  }
  REQUIRE(moved.size() == 11);
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
  EvaluatorOptions options = options_of("qnli", test::data("minilm-qnli"), 16);
  options.data_folder = data;
  Evaluator evaluator(std::move(options));
  std::map<std::string, double> moved;
  for (const Row& row : rows_of_rounding(evaluator)) {
    if (row.variant == "w8a8" && row.parameter == "site") moved[row.value] = row.estimate;
  }
  REQUIRE(moved.at("embeddings.sum") == 0);
  REQUIRE(moved.at("embeddings.norm") < 0.01);
  REQUIRE(moved.at("layer.0.query") < 1);
  REQUIRE(moved.at("layer.5.query") > 20);
}
