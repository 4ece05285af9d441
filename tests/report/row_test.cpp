#include "report/row.h"

#include <cmath>

#include "catch.h"
#include "core/files.h"
#include "paths.h"

using namespace outlierlab;

namespace {
const std::string header =
    "experiment,model,task,variant,parameter,value,metric,estimate,ci_low,ci_high,n,seed\n";

Row accuracy(const std::string& variant, double estimate) {
  Row row;
  row.experiment = "baseline";
  row.model = "tiny";
  row.task = "qnli";
  row.variant = variant;
  row.metric = "accuracy";
  row.estimate = estimate;
  row.ci_low = estimate - 1.0 / 3;
  row.ci_high = estimate + 1.0 / 3;
  row.n = 5463;
  return row;
}
}  // namespace

TEST_CASE("rows survive CSV, with quotes, commas and line ends in cells", "[report]") {
  Row row = accuracy("a \"quoted\", strange\nname", 2.0 / 3 * 100);
  row.parameter = "p";
  row.value = "99.99";
  row.seed = 18446744073709551615u;
  Row plain = accuracy("plain", -0.0);
  plain.ci_low = plain.ci_high = std::nullopt;
  plain.n = std::nullopt;
  const std::string text = to_csv({row, plain});
  const std::vector<Row> read = parse_csv(text, "f.csv");
  REQUIRE(read.size() == 2);
  REQUIRE(read[0].variant == row.variant);
  REQUIRE(read[0].key() == row.key());
  REQUIRE(read[0].estimate == 66.66666667);
  REQUIRE(read[0].n == row.n);
  REQUIRE_FALSE(read[1].ci_low);
  REQUIRE_FALSE(read[1].n);
  REQUIRE(to_csv(read) == text);
}

TEST_CASE("numbers keep 10 significant digits at every size", "[report]") {
  for (double value : {1e-300, 1.23456789012e-7, 0.1, 12345678901234.5, 1e300}) {
    Row row = accuracy("v", value);
    row.ci_low = row.ci_high = std::nullopt;
    const std::string text = to_csv({row});
    REQUIRE(to_csv(parse_csv(text, "f")) == text);
    REQUIRE(parse_csv(text, "f")[0].estimate == Approx(value).epsilon(1e-9));
  }
}

TEST_CASE("NaN, Inf and half intervals are refused", "[report]") {
  for (double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    REQUIRE_ERROR(to_csv({accuracy("w8a8", bad)}), "w8a8", "accuracy", "finite");
  }
  Row half = accuracy("w8a8", 50);
  half.ci_high = std::nullopt;
  REQUIRE_ERROR(to_csv({half}), "interval");
  half.ci_high = 1;
  REQUIRE_ERROR(to_csv({half}), "ci_low <= ci_high");
}

TEST_CASE("damaged CSV is an error that names file and line", "[report]") {
  const std::string good = "e,m,t,v,,,accuracy,50,49,51,100,0\n";
  const auto parse = [&](const std::string& body) { return parse_csv(header + body, "f.csv"); };
  REQUIRE(parse(good).size() == 1);
  REQUIRE(parse("").empty());
  REQUIRE_ERROR(parse_csv("", "f.csv"), "f.csv", "empty");
  REQUIRE_ERROR(parse_csv("a,b\n", "f.csv"), "f.csv:1", "header", "a,b");
  REQUIRE_ERROR(parse(good + "e,m,t\n"), "f.csv:3", "12 cells", "found 3");
  REQUIRE_ERROR(parse(good + "\n"), "f.csv:3", "found 1");
  REQUIRE_ERROR(parse("e,m,t,v,,,accuracy,fifty,,,,0\n"), "f.csv:2", "estimate", "'fifty'");
  REQUIRE_ERROR(parse("e,m,t,v,,,accuracy,nan,,,,0\n"), "f.csv:2", "finite");
  REQUIRE_ERROR(parse("e,m,t,v,,,accuracy,5 ,,,,0\n"), "f.csv:2", "'5 '");
  REQUIRE_ERROR(parse("e,m,t,v,,,accuracy,5,,,-1,0\n"), "f.csv:2", "n: expected a whole number");
  REQUIRE_ERROR(parse("e,m,t,v,,,accuracy,5,,,,\n"), "f.csv:2", "seed");
  REQUIRE_ERROR(parse("e,m,t,v,,,accuracy,5,4,,,0\n"), "f.csv:2", "interval");
  REQUIRE_ERROR(parse("e,m,t,,,,accuracy,5,,,,0\n"), "f.csv:2", "variant");
  REQUIRE_ERROR(parse("e,m,t,\"v,,,accuracy,5,,,,0\n"), "f.csv:2", "closing quote");
  REQUIRE_ERROR(parse("e,m,t,\"v\"w,,,accuracy,5,,,,0\n"), "f.csv:2", "after a quoted cell", "w");
  REQUIRE_ERROR(parse("e,m,t,v\"w,,,accuracy,5,,,,0\n"), "f.csv:2", "quote");
  REQUIRE_ERROR(parse(good + good), "f.csv:3", "once");
  SECTION("a last line without its end may have lost digits") {
    REQUIRE_ERROR(parse(good.substr(0, good.size() - 1)), "f.csv:2", "line end");
  }
  SECTION("lines are counted through quoted cells") {
    REQUIRE_ERROR(parse("e,m,t,\"v\nw\",,,accuracy,5,,,,0\nbad\n"), "f.csv:4");
  }
  SECTION("CRLF is read") {
    std::string crlf;
    for (char c : header + good) crlf += c == '\n' ? std::string("\r\n") : std::string(1, c);
    REQUIRE(parse_csv(crlf, "f.csv").at(0).estimate == 50);
  }
}

TEST_CASE("a resumed run leaves the bytes of an uninterrupted one", "[report]") {
  const auto folder = test::scratch("rows");
  const std::vector<Row> first = {accuracy("fp32", 100.0 / 3)}, second = {accuracy("w8a8", 200.0 / 7)};
  RowWriter whole(folder / "whole.csv", false);
  whole.append(first);
  whole.append(second);

  { RowWriter(folder / "cut.csv", true).append(first); }
  RowWriter resumed(folder / "cut.csv", true);
  REQUIRE(resumed.find("fp32", "", "", 0).size() == 1);
  REQUIRE(resumed.find("fp32", "", "", 1).empty());
  REQUIRE(resumed.find("w8a8", "", "", 0).empty());
  resumed.append(second);

  REQUIRE(read_file(folder / "cut.csv") == read_file(folder / "whole.csv"));
  REQUIRE(whole.rows().at(0).estimate == resumed.rows().at(0).estimate);
}

TEST_CASE("every append leaves a readable file; a bad one changes nothing", "[report]") {
  const auto folder = test::scratch("append");
  RowWriter writer(folder / "r.csv", false);
  writer.append({accuracy("fp32", 80)});
  REQUIRE(read_rows(folder / "r.csv").size() == 1);
  const std::string before = read_file(folder / "r.csv");
  REQUIRE_ERROR(writer.append({accuracy("w8", 79), accuracy("w8a8", std::nan(""))}), "r.csv", "w8a8");
  REQUIRE_ERROR(writer.append({accuracy("fp32", 81)}), "r.csv", "fp32", "again");
  REQUIRE(read_file(folder / "r.csv") == before);
  REQUIRE(writer.rows().size() == 1);
}

TEST_CASE("without resume the first new row replaces an old file", "[report]") {
  const auto folder = test::scratch("fresh");
  const auto file = folder / "r.csv";
  RowWriter(file, false).append({accuracy("old", 80)});
  RowWriter writer(file, false);
  REQUIRE(writer.rows().empty());
  REQUIRE(read_rows(file).at(0).variant == "old");
  writer.append({accuracy("new", 81)});
  writer.append({accuracy("newer", 82)});
  REQUIRE(read_rows(file).size() == 2);
}

TEST_CASE("resuming a damaged file is an error", "[report]") {
  const auto folder = test::scratch("damaged");
  write_file_atomically(folder / "r.csv", header + "e,m,t,v,,,accuracy,5\n");
  REQUIRE_ERROR(RowWriter(folder / "r.csv", true), "r.csv:2");
}
