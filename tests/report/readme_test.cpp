#include "report/readme.h"

#include "catch.h"
#include "core/files.h"
#include "paths.h"

using namespace outlierlab;

namespace {
Row accuracy(const std::string& variant, const std::string& parameter, const std::string& value,
             double estimate) {
  Row r;
  r.variant = variant;
  r.parameter = parameter;
  r.value = value;
  r.metric = "accuracy";
  r.estimate = estimate;
  r.ci_low = estimate - 1;
  r.ci_high = estimate + 1;
  return r;
}

std::vector<ResultSet> example() {
  ResultSet real, planted;
  real.name = "real-qnli";
  real.model = "real";
  real.experiments["baseline"] = {accuracy("fp32", "", "", 90), accuracy("w8a8", "", "", 54)};
  planted = real;
  planted.model = "toy";
  planted.planted = true;
  planted.experiments["calibration"] = {accuracy("percentile", "percentile", "99", 60),
                                        accuracy("percentile", "percentile", "99.9", 70)};
  return {real, planted};
}
}  // namespace

TEST_CASE("the README's results name paper, command and interval; planted models come first and say so",
          "[report]") {
  const std::string text = readme_results(example());
  REQUIRE(text.rfind("|  | paper: BERT-base | toy (planted) | real | measured by |\n", 0) == 0);
  REQUIRE(text.find("| W8A8, min-max | 54.33 | 54.00 [53.0, 55.0] | 54.00 [53.0, 55.0] | "
                    "[`outlierlab run baseline`](experiments/baseline.cpp) |\n") != std::string::npos);
  REQUIRE(text.find("| best percentile | 50.54 | 70.00 [69.0, 71.0] (99.9) | - |") != std::string::npos);
  REQUIRE(text.find("chosen on\nthe same examples") != std::string::npos);
  std::vector<ResultSet> tie = example();
  tie[1].experiments["calibration"][0].estimate = 70;
  REQUIRE(readme_results(tie).find("(99 and one other alike)") != std::string::npos);
  REQUIRE(text.find("| C1 Global W8A8 collapses | confirmed | confirmed |\n") != std::string::npos);
}

TEST_CASE("the block between the markers is replaced, and nothing else", "[report]") {
  const std::string text = "a\n<!-- results -->\nold\n<!-- /results -->\nb `<!-- results -->` c\n";
  const std::string once = replace_results_block(text, "README.md", "new\n");
  REQUIRE(once == "a\n<!-- results -->\nnew\n<!-- /results -->\nb `<!-- results -->` c\n");
  REQUIRE(replace_results_block(once, "README.md", "new\n") == once);
  REQUIRE(replace_results_block("<!-- results -->\n<!-- /results -->\n", "f", "x\n") ==
          "<!-- results -->\nx\n<!-- /results -->\n");
  REQUIRE_ERROR(replace_results_block("a\n", "README.md", ""), "README.md", "one line <!-- results -->", "0");
  REQUIRE_ERROR(replace_results_block("<!-- results -->\n", "README.md", ""), "<!-- /results -->", "0");
  REQUIRE_ERROR(replace_results_block(text + text, "README.md", ""), "found 2");
  REQUIRE_ERROR(replace_results_block("<!-- /results -->\n<!-- results -->\n", "README.md", ""), "before");
}

TEST_CASE("renewing a file twice leaves its bytes", "[report]") {
  const auto file = test::scratch("readme") / "README.md";
  write_file_atomically(file, "# t\n<!-- results -->\n<!-- /results -->\n");
  renew_results_block(file, example());
  const std::string once = read_file(file);
  REQUIRE(once.find("<!-- results -->\n|") != std::string::npos);
  renew_results_block(file, example());
  REQUIRE(read_file(file) == once);
}
