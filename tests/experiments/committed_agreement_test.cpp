// What the committed run of `rounding` says of the integer engine on all of QNLI's dev set.
#include <cmath>
#include <map>
#include <string>

#include "catch.h"
#include "paths.h"
#include "report/row.h"

using namespace outlierlab;

TEST_CASE("On all of dev the engine predicts as the scheme in double precision",
          "[experiments][engine]") {
  std::map<std::string, std::map<std::string, double>> schemes;
  double examples = 0;
  for (const Row& row : read_rows(test::source("results/minilm-qnli-qnli/rounding.csv"))) {
    if (!row.parameter.empty()) continue;
    schemes[row.variant][row.metric] = row.estimate;
    examples = static_cast<double>(row.n.value());
  }
  REQUIRE(schemes.size() >= 9);
  REQUIRE(examples == 5463);
  for (const auto& [scheme, values] : schemes) {
    INFO(scheme);
    const double engine = values.at("engine_exact_agreement"), floats = values.at("float32_exact_agreement");
    REQUIRE(std::abs(values.at("engine_accuracy_change")) <= 0.2);
    REQUIRE(engine >= 99.5);
    // Counts of examples that differ, within three standard deviations.
    const double ours = (100 - engine) / 100 * examples, theirs = (100 - floats) / 100 * examples;
    REQUIRE(ours <= theirs + 3 * std::sqrt(theirs + 1));
  }
}
