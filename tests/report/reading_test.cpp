#include "report/reading.h"

#include <algorithm>

#include "catch.h"
#include "support/rows.h"

using namespace outlierlab;
using test::accuracy;
using test::row;

namespace {

std::string read(const std::string& experiment, const std::vector<Row>& rows) {
  ResultSet set;
  set.experiments[experiment] = rows;
  return reading(experiment, set);
}

std::vector<Row> with_reference(double fp32, double w8a8, std::vector<Row> rows) {
  rows.insert(rows.begin(), {accuracy("fp32", fp32), accuracy("w8a8", w8a8),
                             row("w8a8", "", "", "mcnemar_p", fp32 > w8a8 ? 1e-9 : 1)});
  return rows;
}

bool says(const std::string& text, const std::string& part) {
  UNSCOPED_INFO(text);
  return text.find(part) != std::string::npos;
}

std::size_t sentences(const std::string& text) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    count +=
        text[i] == '.' && (i + 1 == text.size() || (text[i + 1] == ' ' && std::islower(text[i + 2]) == 0));
  }
  return count;
}

}  // namespace

TEST_CASE("baseline: what is lost, and to what", "[reading]") {
  const auto rows = [](double weights, double activations) {
    return with_reference(90, 50,
                          {accuracy("w8", weights), accuracy("a8", activations), accuracy("w8a8-token", 86)});
  };
  const std::string text = read("baseline", rows(89, 55));
  REQUIRE(says(text, "W8A8 costs 40.00 points (FP32 90.00 [89.00, 91.00]"));
  REQUIRE(
      says(text, "alone cost 1.00 points and 8-bit activations alone 35.00: the activations are to blame"));
  REQUIRE(says(text, "a range per token instead of a static one wins back 90 % of the loss."));
  REQUIRE(sentences(text) == 2);
  REQUIRE(says(read("baseline", rows(60, 89)), "the weights are to blame"));
  REQUIRE(says(read("baseline", rows(70, 70)), "both are to blame"));
  REQUIRE(says(read("baseline", rows(91, 90)), "neither alone is to blame"));
  REQUIRE(says(read("baseline", with_reference(90, 90, {})), "loses nothing significant"));
  REQUIRE(says(read("baseline", {accuracy("fp32", 90)}), "hold no accuracy of fp32 and w8a8"));
}

TEST_CASE("activations: first, last and largest layer", "[reading]") {
  std::vector<Row> rows;
  const double kurtosis[] = {10, 270, 200}, energy[] = {5, 40, 55};
  for (int i = 0; i < 3; ++i) {
    const std::string layer = std::to_string(i), site = "layer." + layer + ".ffn_residual";
    rows.push_back(row(site, "layer", layer, "kurtosis", kurtosis[i]));
    rows.push_back(row(site, "layer", layer, "top1_energy", energy[i]));
    rows.push_back(row("layer." + layer + ".query", "layer", layer, "kurtosis", 999));
  }
  REQUIRE(says(read("activations", rows),
               "from 10.00 in layer 0 to 200.00 in layer 2: it neither rises nor falls steadily with depth "
               "(Spearman's rho = 0.50) and is largest in layer 1 with 270.00"));
  REQUIRE(says(read("activations", rows), "at most 55.0 % of the energy there (layer 2;"));
  rows.push_back(row("shared_loud_channels", "", "", "channels_loud_in_half_of_the_sites", 2));
  rows.push_back(row("shared_loud_channels", "", "", "sites", 36));
  REQUIRE(says(read("activations", rows), "2 channels have outliers"));
  REQUIRE(says(read("activations", {}), "hold no kurtosis"));
}

TEST_CASE("calibration: the best, how many repair, how many harm", "[reading]") {
  std::vector<Row> rows = {accuracy("fp32", 90), accuracy("minmax", 60), accuracy("mse", 81),
                           accuracy("percentile", 50, "percentile", "99"), accuracy("kl", 62)};
  const std::string text = read("calibration", rows);
  REQUIRE(says(
      text, "Of 3 ways to choose a static range, the best, mse 81.00, wins back 70 % of the 30.00 points"));
  REQUIRE(says(text,
               "One setting wins back at least half of the loss, and one setting falls below min-max "
               "beyond the intervals, lowest percentile percentile=99 50.00."));
  REQUIRE(sentences(text) == 2);
  rows[1] = accuracy("minmax", 90);
  REQUIRE(says(read("calibration", rows), "nothing to repair. The 3 other settings give accuracies from"));
  REQUIRE(says(read("calibration", rows), "3 fall below FP32 beyond the intervals"));
}

TEST_CASE("mixed precision: the smallest set of sites that repairs", "[reading]") {
  std::vector<Row> rows = {accuracy("sites", 88, "float", "x+h+y"),
                           accuracy("sites", 87, "float", "h+y"),
                           accuracy("sites", 70, "float", "y"),
                           accuracy("sites", 86, "float", "x+y"),
                           accuracy("channels", 75, "share", "1"),
                           accuracy("channels", 80, "share", "5"),
                           accuracy("only_one", 89, "site", "layer.0.query"),
                           accuracy("only_one", 51, "site", "layer.3.ffn_output")};
  const std::string text = read("mixed_precision", with_reference(90, 50, rows));
  REQUIRE(
      says(text, "With x, h and y in float the accuracy is 88.00, which wins back 95 % of the 40.00 points"));
  REQUIRE(says(text, "the smallest set that wins back three quarters is h+y (87.00)."));
  REQUIRE(says(text, "at best channels share=5 80.00 (recovers 75 %)"));
  REQUIRE(
      says(text,
           "of 2 sites quantized alone, none costs anything significant (least: layer.3.ffn_output, 51.00 "
           "[50.00, 52.00])."));
  REQUIRE(sentences(text) == 2);
  std::vector<Row> significant = rows;
  significant.push_back(row("only_one", "site", "layer.3.ffn_output", "mcnemar_p", 0.004));
  REQUIRE(says(read("mixed_precision", with_reference(90, 50, significant)),
               "the worst costs a significant part"));
  significant.back().estimate = 0.006;
  REQUIRE(
      says(read("mixed_precision", with_reference(90, 50, significant)), "none costs anything significant"));
  for (Row& r : rows) r.estimate = 55;
  REQUIRE(says(read("mixed_precision", with_reference(90, 50, rows)), "no set of these sites"));
}

TEST_CASE("peg: the groups that repair, counted in order of K", "[reading]") {
  std::vector<Row> rows;
  for (const auto& [groups, plain, sorted] : std::vector<std::tuple<const char*, double, double>>{
           {"16", 90, 90}, {"1", 50, 50}, {"4", 60, 85}, {"8", 81, 88}}) {
    rows.push_back(accuracy("peg", plain, "groups", groups));
    rows.push_back(accuracy("peg-permuted", sorted, "groups", groups));
  }
  const std::string text = read("peg", with_reference(90, 50, rows));
  REQUIRE(says(
      text,
      "neighbouring channels need K = 8 (81.00); groups of channels sorted by range need K = 4 (85.00)."));
  REQUIRE(says(text, "K = 1 wins back 0 % of the 40.00 points lost, K = 16 wins back 100 %."));
  REQUIRE(says(read("peg", with_reference(90, 90, rows)), "nothing to repair"));
}

TEST_CASE("peers: the fastest that keep their accuracy stand first, the others are named", "[reading]") {
  const auto peers = [](double ours_static) {
    std::vector<Row> rows;
    const auto add = [&](const std::string& variant, double throughput, double accuracy) {
      rows.push_back(row(variant, "", "", "throughput_examples", throughput));
      rows.push_back(row(variant, "", "", "accuracy", accuracy));
    };
    add("torch-fp32", 200, 82.7);
    add("ort-int8-dynamic", 400, 81.7);
    add("ort-int8-static", 150, 52.7);
    add("outlierlab-fp32", 300, 82.7);
    add("outlierlab-int8-w8a8", 1500, ours_static);
    add("outlierlab-int8-llm-int8", 1300, 82.9);
    return rows;
  };
  const std::string text = read("peers", peers(72.9));
  REQUIRE(says(text,
               "in 8 bits, within 1 point of float32's 82.7 %, ONNX Runtime int8 dynamic: 400 examples/s at "
               "81.7 % and outlierlab int8, llm-int8: 1300 examples/s at 82.9 % (3.25 times)"));
  REQUIRE(
      says(text,
           "Not so accurate: ONNX Runtime int8 static falls by 30.0 points to 52.7 % (at 150 examples/s); "
           "outlierlab int8, w8a8 falls by 9.8 points to 72.9 % (at 1500 examples/s). The paper's static "
           "W8A8 falls from 89.66 to 54.33 % on its own network (C1)."));
  REQUIRE(says(read("peers", peers(81.8)), "outlierlab int8, w8a8: 1500 examples/s at 81.8 %"));
  REQUIRE_FALSE(says(read("peers", peers(81.8)), "w8a8 falls"));
  std::vector<Row> rows = peers(72.9);
  rows.erase(std::remove_if(rows.begin(), rows.end(), [](const Row& r) { return r.metric == "accuracy"; }),
             rows.end());
  REQUIRE(says(read("peers", rows), "in 8 bits ONNX Runtime int8 dynamic"));
  REQUIRE_FALSE(says(read("peers", rows), "Not so accurate"));
}

TEST_CASE("deployment: what executed it comes from the run's record", "[reading]") {
  ResultSet set;
  set.experiments["deployment"] = {row("fp32", "batch x length", "1x16", "speedup", 1),
                                   row("simulated:w8a8", "batch x length", "1x16", "speedup", 0.9),
                                   row("integer:w8a8", "batch x length", "1x16", "speedup", 4)};
  REQUIRE_FALSE(says(reading("deployment", set), "Executed"));
  RunRecord& record = set.records["deployment"];
  REQUIRE_FALSE(says(reading("deployment", set), "Executed"));
  record.instructions = "avx512";
  REQUIRE(says(reading("deployment", set), " Executed: float32 with AVX-512."));
  record.executors = {{"cuda integer:w8a8", "sm_90"}};
  REQUIRE_FALSE(says(reading("deployment", set), "Executed"));
  record.executors["float:fp32"] = "cpu amx";
  REQUIRE(says(reading("deployment", set), " Executed: float32 with AVX-512."));
  record.executors = {{"float:bf16", "cpu amx, amx-bf16"},
                      {"integer:w8a8", "cpu amx"},
                      {"bert-base integer:w8a8", "cpu amx"},
                      {"cuda integer:w8a8", "sm_90"}};
  REQUIRE(
      says(reading("deployment", set),
           " Executed: integer products with AMX, bfloat16 products with AMX BF16, float32 with AVX-512."));
  record.executors["integer:peg"] = "cpu avx512-vnni";
  REQUIRE(says(reading("deployment", set), "integer products with AMX and AVX-512 VNNI, "));
}

TEST_CASE("an experiment without a rule of its own is summed up", "[reading]") {
  REQUIRE(
      says(read("new", with_reference(90, 50, {accuracy("a", 60), accuracy("b", 70)})),
           "The 2 other settings give accuracies from a 60.00 to b 70.00. The references are FP32 90.00"));
  REQUIRE(says(read("new", {row("a", "", "", "latency_ms", 5)}), "holds one measured figure."));
}
