// What the committed run of `rounding` says of the integer engine on all of QNLI's dev set.
#include <cmath>
#include <map>
#include <set>
#include <string>

#include "catch.h"
#include "paths.h"
#include "report/row.h"

using namespace outlierlab;

namespace {

/// "integer:w8a8" of deployment and "outlierlab-int8-w8a8" of peers; empty: no integer method of the suite.
std::string scheme_of(const std::string& variant) {
  for (const std::string before : {"integer:", "outlierlab-int8-"}) {
    if (variant.rfind(before, 0) == 0) return variant.substr(before.size());
  }
  return "";
}

}  // namespace

TEST_CASE("On all of dev the engine predicts as the scheme in double precision", "[experiments][engine]") {
  std::map<std::string, std::map<std::string, double>> schemes;
  double examples = 0;
  for (const Row& row : read_rows(test::source("results/minilm-qnli-qnli/rounding.csv"))) {
    if (!row.parameter.empty()) continue;
    schemes[row.variant][row.metric] = row.estimate;
    examples = static_cast<double>(row.n.value());
  }
  REQUIRE(schemes.size() >= 11);
  REQUIRE(examples == 5463);
  for (const auto& [scheme, values] : schemes) {
    INFO(scheme);
    REQUIRE(std::abs(values.at("engine_accuracy_change")) <= 0.2);
    REQUIRE(values.at("engine_exact_agreement") >= 99.5);
  }
  // Nothing is timed that has not agreed.
  std::set<std::string> timed;
  for (const char* file : {"deployment.csv", "peers.csv"}) {
    for (const Row& row : read_rows(test::source("results/minilm-qnli-qnli") / file)) {
      if (const std::string scheme = scheme_of(row.variant); !scheme.empty()) timed.insert(scheme);
    }
  }
  REQUIRE(timed.size() >= 8);
  for (const std::string& scheme : timed) {
    INFO(scheme);
    REQUIRE(schemes.count(scheme) == 1);
  }
}
