#include "report/verdicts.h"

#include "catch.h"
#include "support/rows.h"

using namespace outlierlab;
using test::accuracy;
using test::row;

namespace {

/// The reference rows of an experiment's file, then further ones.
std::vector<Row> with_reference(double fp32, double w8a8, std::vector<Row> rows = {}, double p = 1e-9) {
  rows.insert(rows.begin(),
              {accuracy("fp32", fp32), accuracy("w8a8", w8a8), row("w8a8", "", "", "mcnemar_p", p)});
  return rows;
}

Verdict verdict(const std::string& claim, const std::string& experiment, const std::vector<Row>& rows) {
  ResultSet set;
  set.experiments[experiment] = rows;
  for (const Verdict& v : verdicts(set)) {
    if (v.claim == claim) return v;
  }
  FAIL("no verdict " << claim);
  return {};
}

Outcome outcome(const std::string& claim, const std::string& experiment, const std::vector<Row>& rows) {
  const Verdict v = verdict(claim, experiment, rows);
  INFO(v.figures);
  CHECK_FALSE(v.rule.empty());
  CHECK_FALSE(v.figures.empty());
  return v.outcome;
}

std::vector<Row> by_layer(const std::string& metric, const std::vector<double>& values) {
  std::vector<Row> rows;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::string layer = std::to_string(i);
    rows.push_back(row("layer." + layer + ".ffn_residual", "layer", layer, metric, values[i]));
    rows.push_back(row("layer." + layer + ".query", "layer", layer, metric, 99));
  }
  return rows;
}

std::vector<Row> peg(const std::vector<std::pair<int, double>>& points, const std::string& variant = "peg") {
  std::vector<Row> rows;
  for (const auto& [groups, estimate] : points) {
    rows.push_back(accuracy(variant, estimate, "groups", std::to_string(groups)));
  }
  return with_reference(90, 54, rows);
}

}  // namespace

TEST_CASE("without rows there is no data, and the verdict says what is missing", "[report]") {
  const auto all = verdicts(ResultSet());
  REQUIRE(all.size() == 7);
  for (const Verdict& v : all) {
    REQUIRE(v.outcome == Outcome::no_data);
    REQUIRE(v.figures.rfind("no ", 0) == 0);
  }
}

TEST_CASE("C1: collapse", "[report]") {
  REQUIRE(outcome("C1", "baseline", with_reference(89.66, 54.33)) == Outcome::confirmed);
  REQUIRE(outcome("C1", "baseline", with_reference(90, 70)) == Outcome::confirmed);
  REQUIRE(outcome("C1", "baseline", with_reference(90, 71)) == Outcome::partly);
  REQUIRE(outcome("C1", "baseline", with_reference(90, 89, {}, 0.001)) == Outcome::partly);
  REQUIRE(outcome("C1", "baseline", with_reference(90, 89, {}, 0.02)) == Outcome::not_confirmed);
  REQUIRE(outcome("C1", "baseline", with_reference(90, 91, {}, 0.001)) == Outcome::not_confirmed);
  REQUIRE(outcome("C1", "baseline", {accuracy("fp32", 90)}) == Outcome::no_data);
  SECTION("half of the distance to chance, with overlapping intervals, is no collapse") {
    REQUIRE(outcome("C1", "baseline", with_reference(51.5, 50, {}, 0.5)) == Outcome::not_confirmed);
  }
  SECTION("the distance depends on chance") {
    ResultSet set;
    set.experiments["baseline"] = with_reference(90, 70);
    set.chance = 20;
    REQUIRE(verdicts(set)[0].outcome == Outcome::partly);
  }
  SECTION("without a p-value the intervals decide") {
    REQUIRE(outcome("C1", "baseline", {accuracy("fp32", 90), accuracy("w8a8", 87)}) == Outcome::partly);
    REQUIRE(outcome("C1", "baseline", {accuracy("fp32", 90), accuracy("w8a8", 88.5)}) ==
            Outcome::not_confirmed);
  }
}

TEST_CASE("C2: heavier tails with depth", "[report]") {
  REQUIRE(outcome("C2", "activations", by_layer("kurtosis", {5, 9, 20, 60, 271})) == Outcome::confirmed);
  REQUIRE(outcome("C2", "activations", by_layer("kurtosis", {5, 9, 20, 25})) == Outcome::partly);
  REQUIRE(outcome("C2", "activations", by_layer("kurtosis", {12000, 900, 40, 8})) == Outcome::partly);
  REQUIRE(outcome("C2", "activations", by_layer("kurtosis", {9, 4, 5, 3})) == Outcome::not_confirmed);
  REQUIRE(outcome("C2", "activations", by_layer("kurtosis", {9, 9, 9, 9})) == Outcome::not_confirmed);
  SECTION("the figures tell the direction") {
    const auto figures = [](const std::vector<double>& values) {
      return verdict("C2", "activations", by_layer("kurtosis", values)).figures;
    };
    REQUIRE(figures({12000, 900, 40, 8}).rfind("kurtosis falls with depth (rho = -1.00 over 4 layers)", 0) ==
            0);
    REQUIRE(figures({5, 9, 20, 60}).rfind("kurtosis rises with depth (rho = 1.00", 0) == 0);
    REQUIRE(figures({5, 90, 20, 6}).rfind("kurtosis neither rises nor falls steadily with depth", 0) == 0);
  }
  SECTION("two layers do not show a trend") {
    REQUIRE(outcome("C2", "activations", by_layer("kurtosis", {5, 9})) == Outcome::not_confirmed);
  }
  SECTION("layers are numbers: 10 stands after 9") {
    std::vector<double> rising;
    for (int i = 0; i < 12; ++i) rising.push_back(40 + i);
    REQUIRE(verdict("C2", "activations", by_layer("kurtosis", rising)).figures.find("rho = 1.00 over 12") !=
            std::string::npos);
  }
}

TEST_CASE("C3: energy in few channels", "[report]") {
  REQUIRE(outcome("C3", "activations", by_layer("top1_energy", {3, 55, 12})) == Outcome::confirmed);
  REQUIRE(outcome("C3", "activations", by_layer("top1_energy", {3, 39, 12})) == Outcome::partly);
  REQUIRE(outcome("C3", "activations", by_layer("top1_energy", {3, 4, 19.9})) == Outcome::not_confirmed);
  REQUIRE(outcome("C3", "activations", by_layer("kurtosis", {3, 4})) == Outcome::no_data);
}

TEST_CASE("C4: clipping does not repair", "[report]") {
  const auto with = [](double percentile, double clip, double w8a8 = 54, double p = 1e-9) {
    return with_reference(
        90, w8a8,
        {accuracy("percentile", 50, "percentile", "99"), accuracy("percentile", 50, "percentile", "99.9"),
         accuracy("percentile", percentile, "percentile", "99.99"), accuracy("clip", clip, "sigmas", "6"),
         accuracy("clip", 50, "sigmas", "3"), accuracy("clip", 50, "bound", "10"), accuracy("mse", 90)},
        p);
  };
  REQUIRE(outcome("C4", "calibration", with(50, 51)) == Outcome::confirmed);
  REQUIRE(outcome("C4", "calibration", with(64, 51)) == Outcome::partly);
  REQUIRE(outcome("C4", "calibration", with(50, 64)) == Outcome::partly);
  REQUIRE(outcome("C4", "calibration", with(85, 51)) == Outcome::not_confirmed);
  REQUIRE(outcome("C4", "calibration", with(50, 51, 89.5, 0.4)) == Outcome::nothing_to_repair);
  SECTION("a loss too small for shares of it confirms nothing") {
    REQUIRE(outcome("C4", "calibration", with(50, 51, 87)) == Outcome::partly);
  }
  SECTION("the figures say how the best was chosen, and which are as good") {
    const std::string figures = verdict("C4", "calibration", with(50, 51)).figures;
    REQUIRE(figures.find("best percentile percentile=99 50.00 (recovers -11 %) and 2 others alike, best clip "
                         "sigmas=6 51.00 (recovers -8 %); chosen on the evaluated examples") !=
            std::string::npos);
  }
  SECTION("min-max stands for W8A8") {
    std::vector<Row> rows = with(50, 51);
    for (Row& row : rows) {
      if (row.variant == "w8a8") row.variant = "minmax";
    }
    REQUIRE(outcome("C4", "calibration", rows) == Outcome::confirmed);
  }
  SECTION("an interrupted study confirms nothing") {
    REQUIRE(outcome("C4", "calibration",
                    with_reference(90, 54,
                                   {accuracy("percentile", 50, "percentile", "99"),
                                    accuracy("clip", 50, "sigmas", "3")})) == Outcome::no_data);
  }
  REQUIRE(outcome("C4", "calibration", with_reference(90, 54, {accuracy("clip", 50, "sigmas", "6")})) ==
          Outcome::no_data);
}

TEST_CASE("C5: mixed precision repairs", "[report]") {
  const auto with = [](double xhy, double channels, double half = 1) {
    return with_reference(
        90, 54,
        {accuracy("sites", xhy, "float", "x+h+y", half), accuracy("channels", channels, "share", "5")});
  };
  REQUIRE(outcome("C5", "mixed_precision", with(89.4, 60)) == Outcome::confirmed);
  REQUIRE(outcome("C5", "mixed_precision", with(80, 60)) == Outcome::partly);
  REQUIRE(outcome("C5", "mixed_precision", with(60, 89.5)) == Outcome::partly);
  REQUIRE(outcome("C5", "mixed_precision", with(60, 60)) == Outcome::not_confirmed);
  SECTION("an interval wide enough to reach W8A8 confirms nothing") {
    REQUIRE(outcome("C5", "mixed_precision", with(70, 60, 20)) == Outcome::not_confirmed);
  }
  REQUIRE(outcome("C5", "mixed_precision", with_reference(90, 54)) == Outcome::no_data);
  REQUIRE(outcome("C5", "mixed_precision", with_reference(90, 89.9, {}, 0.9)) == Outcome::nothing_to_repair);
}

TEST_CASE("C6: PEG repairs once the groups are fine enough", "[report]") {
  REQUIRE(outcome("C6", "peg", peg({{1, 54}, {3, 66.12}, {4, 86.18}, {16, 86}})) == Outcome::confirmed);
  REQUIRE(outcome("C6", "peg", peg({{16, 86}, {3, 66.12}, {4, 85}})) == Outcome::confirmed);
  REQUIRE(outcome("C6", "peg", peg({{1, 54}, {4, 75}})) == Outcome::partly);
  REQUIRE(outcome("C6", "peg", peg({{1, 54}, {4, 88}, {16, 60}})) == Outcome::partly);
  REQUIRE(outcome("C6", "peg", peg({{1, 88}, {4, 89}})) == Outcome::partly);
  REQUIRE(outcome("C6", "peg", peg({{1, 54}, {4, 60}, {384, 89}})) == Outcome::not_confirmed);
  REQUIRE(outcome("C6", "peg", peg({{1, 54}, {4, 60}, {4, 60}})) == Outcome::not_confirmed);
  REQUIRE(outcome("C6", "peg", peg({{1, 54}, {384, 89}})) == Outcome::no_data);
  SECTION("the permuted variant counts as well") {
    std::vector<Row> rows = peg({{1, 54}, {4, 60}});
    for (const Row& r : peg({{1, 54}, {4, 88}}, "peg-permuted")) {
      if (r.variant == "peg-permuted") rows.push_back(r);
    }
    REQUIRE(outcome("C6", "peg", rows) == Outcome::confirmed);
  }
  REQUIRE_ERROR(verdict("C6", "peg", with_reference(90, 54, {accuracy("peg", 60, "groups", "many")})), "peg",
                "'many'");
}

TEST_CASE("a part of the split cannot show that there is no effect", "[report]") {
  ResultSet set;
  std::vector<Row> baseline = with_reference(90, 89, {}, 0.5), peg_rows = with_reference(90, 89, {}, 0.5);
  for (std::vector<Row>* rows : {&baseline, &peg_rows}) {
    for (Row& r : *rows) r.n = 100;
  }
  peg_rows.push_back(accuracy("peg", 90, "groups", "4"));
  set.experiments["baseline"] = baseline;
  set.experiments["peg"] = peg_rows;
  set.experiments["activations"] = by_layer("kurtosis", {9, 4, 5, 3});
  const auto claim = [&](std::size_t i) { return verdicts(set).at(i - 1); };
  REQUIRE(claim(1).outcome == Outcome::not_confirmed);
  REQUIRE(claim(1).figures.find("; n = 100") != std::string::npos);
  REQUIRE(claim(6).outcome == Outcome::nothing_to_repair);
  SECTION("by the size that the record tells") {
    RunRecord record;
    record.examples = 100;
    record.split_examples = 5463;
    for (const char* experiment : {"baseline", "peg", "activations"}) set.records[experiment] = record;
    for (const std::size_t i : {1, 2, 6}) {
      REQUIRE(claim(i).outcome == Outcome::too_few_examples);
      REQUIRE(claim(i).figures.rfind("too few to tell on the first 100 of 5,463 examples: ", 0) == 0);
    }
    set.experiments["baseline"] = with_reference(90, 54);
    REQUIRE(claim(1).outcome == Outcome::confirmed);
    REQUIRE(claim(1).figures.rfind("on the first 100 of 5,463 examples: ", 0) == 0);
    set.records["baseline"].overrides = {"weights.bits=4"};
    REQUIRE(claim(1).figures.find("; with weights.bits=4") != std::string::npos);
  }
  SECTION("by the command of a record that does not tell the size") {
    set.records["baseline"].limit = 100;
    REQUIRE(claim(1).outcome == Outcome::too_few_examples);
    REQUIRE(claim(1).figures.find("the first 100 examples of the split") != std::string::npos);
    REQUIRE(claim(6).outcome == Outcome::nothing_to_repair);
  }
  SECTION("a limit beyond the split's size limits nothing") {
    set.records["baseline"].limit = 9000;
    set.records["baseline"].split_examples = 100;
    REQUIRE(claim(1).outcome == Outcome::not_confirmed);
    set.records["baseline"].split_examples = 0;  // the rows' n tells that it was not reached
    REQUIRE(claim(1).outcome == Outcome::not_confirmed);
  }
}

TEST_CASE("rows that were only drawn are judged by their mean", "[report]") {
  std::vector<Row> rows = {accuracy("fp32", 90)};
  for (int seed = 1; seed <= 3; ++seed) {
    rows.push_back(row("w8a8", "", "", "accuracy", 53 + seed));
    rows.back().seed = static_cast<std::uint64_t>(seed);
  }
  const Verdict v = verdict("C1", "baseline", rows);
  REQUIRE(v.outcome == Outcome::confirmed);
  REQUIRE(v.figures.find("W8A8 55.00") != std::string::npos);
}
