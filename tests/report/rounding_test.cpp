#include "report/rounding.h"

#include "catch.h"
#include "support/rows.h"

using namespace outlierlab;

TEST_CASE("The report tells how far a rounding gets, and what predictions are left", "[report]") {
  std::vector<Row> rows;
  const auto add = [&](const std::string& parameter, const std::string& value, const std::string& metric,
                       double estimate, std::uint64_t n) {
    rows.push_back(test::row("w8a8", parameter, value, metric, estimate));
    rows.back().n = n;
  };
  add("", "", "float32_exact_agreement", 98.61, 5463);
  add("", "", "engine_exact_agreement", 98.63, 5463);
  add("", "", "engine_accuracy_change", 0.13, 5463);
  add("site", "embeddings.sum", "values_moved", 0, 333312);
  add("site", "embeddings.norm", "values_moved", 100.0 / 333312, 333312);
  add("site", "layer.0.query", "values_moved", 0.0042, 333312);
  add("site", "layer.0.output", "values_moved", 0.466, 333312);
  add("site", "layer.1.output", "values_moved", 42.75, 333312);
  rows.push_back(test::row("llm-int8", "", "", "float32_exact_agreement", 99.85));
  const std::vector<Measurement> all = measurements(rows);
  const std::string text = read_rounding(all);
  INFO(text);
  REQUIRE(
      text.find("w8a8: float32 and double precision first differ at embeddings.norm, in 1 of 333,312 "
                "values, and at layer.1.output in 42.75 %; 98.61 % of the predictions are equal, and 98.63 % "
                "of the integer engine's.") == 0);
  REQUIRE(text.find("llm-int8: 99.85 %") != std::string::npos);
  const std::vector<Table> tables = rounding_tables(all);
  REQUIRE(tables.size() == 2);
  REQUIRE(tables[0].rows[0] == std::vector<std::string>{"w8a8", "98.61", "98.63", "+0.13"});
  REQUIRE(tables[0].rows[1] == std::vector<std::string>{"llm-int8", "99.85", "-", "-"});
  REQUIRE(tables[1].is_detail);
  REQUIRE(tables[1].rows == std::vector<std::vector<std::string>>{{"embeddings.norm", "0.0003", "-"},
                                                                  {"layer.0.output", "0.47", "-"},
                                                                  {"layer.1.output", "42.75", "-"}});
  REQUIRE(read_rounding({}).find("No scheme") == 0);
}
