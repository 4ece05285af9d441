// What the committed run of `rounding` says of the integer engine on all of QNLI's dev set.
#include <cmath>
#include <filesystem>
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

TEST_CASE("On all of dev what is timed predicts as its scheme in double precision", "[experiments][engine]") {
  std::map<std::string, std::map<std::string, double>> schemes;
  double examples = 0;
  for (const Row& row : read_rows(test::source("results/minilm-qnli-qnli/rounding.csv"))) {
    if (!row.parameter.empty()) continue;
    schemes[row.variant][row.metric] = row.estimate;
    examples = static_cast<double>(row.n.value());
  }
  REQUIRE(examples == 5463);
  // Nothing is timed that has not agreed.
  std::set<std::string> timed;
  std::size_t files = 0;
  for (const char* folder : {"results/minilm-qnli-qnli", "bench/results/vnni", "bench/results/zen4"}) {
    for (const char* name : {"deployment.csv", "peers.csv", "peers-avx2.csv"}) {
      const auto file = test::source(folder) / name;
      if (!std::filesystem::exists(file)) continue;
      ++files;
      for (const Row& row : read_rows(file)) {
        if (const std::string scheme = scheme_of(row.variant); !scheme.empty()) timed.insert(scheme);
      }
    }
  }
  REQUIRE(files >= 5);
  REQUIRE(timed.size() >= 8);
  for (const std::string& scheme : timed) {
    INFO(scheme);
    REQUIRE(schemes.count(scheme) == 1);
    REQUIRE(std::abs(schemes[scheme].at("engine_accuracy_change")) <= 0.2);
    REQUIRE(schemes[scheme].at("engine_exact_agreement") >= 99.5);
  }
}
