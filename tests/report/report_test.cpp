#include "report/report.h"

#include "catch.h"
#include "core/files.h"
#include "paths.h"
#include "report/compare.h"
#include "report/measurement.h"
#include "report/paper_values.h"

using namespace outlierlab;

namespace {
Row row(const std::string& experiment, const std::string& variant, double estimate, std::uint64_t seed = 0,
        const std::string& metric = "accuracy") {
  Row r;
  r.experiment = experiment;
  r.model = "tiny";
  r.task = "qnli";
  r.variant = variant;
  r.metric = metric;
  r.estimate = estimate;
  r.seed = seed;
  if (seed == 0 && metric == "accuracy") {
    r.ci_low = estimate - 1;
    r.ci_high = estimate + 1;
  }
  return r;
}

Row parametric(Row r, const std::string& parameter, const std::string& value) {
  r.parameter = parameter;
  r.value = value;
  return r;
}
}  // namespace

TEST_CASE("text tables align numbers right and text left, by characters", "[report]") {
  const Table table{"Title", {"variant", "accuracy"}, {{"±", "9.5"}, {"w8a8", "54.33 [1, 2]"}}};
  REQUIRE(to_text(table) ==
          "Title\n"
          "variant      accuracy\n"
          "±                 9.5\n"
          "w8a8     54.33 [1, 2]\n");
  REQUIRE(to_markdown({"", {"a"}, {{"x|y\nz"}}}) == "| a |\n| --- |\n| x\\|y z |\n");
}

TEST_CASE("numbers are written at a precision that suits their size", "[report]") {
  REQUIRE(format_number(54.3333) == "54.33");
  REQUIRE(format_number(0.000123456) == "0.0001235");
  REQUIRE(format_number(12345.6) == "12346");
  REQUIRE(format_number(-50) == "-50.00");
}

TEST_CASE("the paper's values are found by key, numbers as numbers", "[report]") {
  REQUIRE(find_paper_value("calibration", "percentile", "percentile", "99.0", "accuracy")->text() == "50.54");
  REQUIRE(find_paper_value("peg", "peg", "groups", "4", "accuracy")->low == 86.18);
  REQUIRE(find_paper_value("peg", "peg", "groups", "5", "accuracy") == nullptr);
  REQUIRE(find_paper_value("baseline", "w8a8", "", "", "kl") == nullptr);
  REQUIRE(find_paper_value("activations", "ffn_residual", "layer", "max", "kurtosis")->text() == "up to 271");
  REQUIRE(find_paper_value("deployment", "w8a8", "", "", "latency_ms")->text() == "58-59");
}

TEST_CASE("tables give intervals, seeds as mean and deviation, and the paper's figure", "[report]") {
  const auto tables = experiment_tables(
      "baseline", {row("baseline", "fp32", 80), row("baseline", "w8a8", 54), row("baseline", "w8a8", 53, 1),
                   row("baseline", "w8a8", 55, 2), row("baseline", "w8a8", 0.25, 0, "kl")});
  REQUIRE(tables.size() == 1);
  const std::vector<std::vector<std::string>> expected = {
      {"fp32", "80.00 [79.00, 81.00]", "89.66", "-"},
      {"w8a8", "54.00 [53.00, 55.00]; 54.00 ± 1.41 (2 seeds)", "54.33", "0.25"}};
  REQUIRE(tables[0].rows == expected);
  REQUIRE(tables[0].columns ==
          std::vector<std::string>{"variant", "accuracy, %", "paper's accuracy, %", "KL, nats"});
}

TEST_CASE("mean and deviation over seeds end at the same digit; p-values have no mean", "[report]") {
  const auto text = [](const std::string& metric, std::optional<double> fixed,
                       const std::vector<double>& drawn) {
    std::vector<Row> rows;
    if (fixed) rows.push_back(row("e", "v", *fixed, 0, metric));
    for (const double value : drawn) rows.push_back(row("e", "v", value, rows.size() + 1, metric));
    return measurements(rows).at(0).text();
  };
  REQUIRE(text("accuracy", {}, {84.77, 84.72, 84.77}) == "84.75 ± 0.03 (3 seeds)");
  REQUIRE(text("agreement", {}, {100, 100}) == "100.00 ± 0.00 (2 seeds)");
  REQUIRE(text("kl", 0.25, {0.2512, 0.2532}) == "0.25; 0.2522 ± 0.0014 (2 seeds)");
  REQUIRE(text("kl", {}, {1e-7, 3e-7}) == "2.0e-07 ± 1.4e-07 (2 seeds)");
  REQUIRE(text("kl", {}, {0.3338388, 0.3338428}) == "0.333841 ± 0.000003 (2 seeds)");
  REQUIRE(text("kl", {}, {0.25, 0.25}) == "0.25 ± 0 (2 seeds)");
  REQUIRE(text("kurtosis", {}, {100, 300}) == "200 ± 141 (2 seeds)");
  REQUIRE(text("mcnemar_p", 4.3e-37, {1e-40, 5.1e-37, 2e-37}) == "4.3e-37; at most 5.1e-37 (3 seeds)");
  REQUIRE(text("mcnemar_p", {}, {0.5, 0.25}) == "at most 0.5 (2 seeds)");
  REQUIRE(text("mcnemar_p", {}, {0.5}) == "0.5 (1 seed)");
  const std::vector<Row> drawn = {row("e", "v", 1e-9, 1, "mcnemar_p"), row("e", "v", 0.02, 2, "mcnemar_p")};
  REQUIRE(measurements(drawn).at(0).estimate() == 0.02);
  REQUIRE_FALSE(measurements(drawn).at(0).interval());
}

TEST_CASE("tables say on how many examples their accuracies rest", "[report]") {
  std::vector<Row> rows = {row("baseline", "fp32", 80), row("baseline", "w8a8", 54)};
  for (Row& r : rows) r.n = 5463;
  REQUIRE(experiment_tables("baseline", rows)[0].title == "baseline (n = 5,463)");
  REQUIRE(experiment_tables("baseline", rows)[0].columns[1] == "accuracy, %");
  rows[1].n = 1000;
  const Table table = experiment_tables("baseline", rows)[0];
  REQUIRE(table.title == "baseline");
  REQUIRE(table.columns[1] == "n");
  REQUIRE(table.rows[0][1] == "5,463");
  REQUIRE(table.rows[1][1] == "1,000");
}

TEST_CASE("activations are summed up over layers first", "[report]") {
  const auto at = [](int layer, double kurtosis) {
    const std::string number = std::to_string(layer);
    return parametric(row("activations", "layer." + number + ".ffn_residual", kurtosis, 0, "kurtosis"),
                      "layer", number);
  };
  const auto tables = experiment_tables("activations", {at(0, 5), at(1, 300), at(2, 7)});
  REQUIRE(tables.size() == 2);
  REQUIRE(tables[0].rows ==
          std::vector<std::vector<std::string>>{{"ffn_residual", "layer", "max", "300.00", "up to 271"}});
  REQUIRE(tables[1].rows.size() == 3);
  REQUIRE(experiment_tables("activations", {}).size() == 1);
}

TEST_CASE("result folders are read, and mixed-up files refused", "[report]") {
  const auto folder = test::scratch("results");
  REQUIRE_ERROR(read_results(folder / "none"), "none", "folder of results");
  REQUIRE_ERROR(read_results(folder), "<model>-<task>");
  write_file_atomically(folder / "tiny-qnli" / "baseline.csv", to_csv({row("baseline", "fp32", 80)}));
  write_file_atomically(folder / "tiny-qnli" / "baseline.json", "{}");
  auto sets = read_results(folder);
  REQUIRE(sets.size() == 1);
  REQUIRE(sets[0].model == "tiny");
  REQUIRE(sets[0].rows("baseline").size() == 1);
  REQUIRE(sets[0].rows("peg").empty());

  sets[0].planted = true;
  const std::string text = report_markdown({{make_report(sets[0])}, {}, {}, {}});
  REQUIRE(text.find("tiny on qnli (planted)") != std::string::npos);
  REQUIRE(text.find("The best of several settings was chosen on the examples") != std::string::npos);
  REQUIRE(text.find("| fp32 | 80.00 [79.00, 81.00] | 89.66 |") != std::string::npos);
  REQUIRE(text.find("no data") < text.find("89.66 |"));

  write_file_atomically(folder / "tiny-qnli" / "peg.csv", to_csv({row("baseline", "fp32", 80)}));
  REQUIRE_ERROR(read_results(folder), "peg.csv", "rows of peg", "baseline");
}

TEST_CASE("rows agree by interval, tolerance, or side of a threshold", "[report]") {
  const auto agree = [](Row a, Row b) { return rows_agree(a, b, {}) && rows_agree(b, a, {}); };
  REQUIRE(agree(row("e", "v", 80), row("e", "v", 81.9)));
  REQUIRE_FALSE(agree(row("e", "v", 80), row("e", "v", 82.1)));
  REQUIRE(agree(row("e", "v", 1.0, 0, "kl"), row("e", "v", 1.009, 0, "kl")));
  REQUIRE_FALSE(agree(row("e", "v", 1.0, 0, "kl"), row("e", "v", 1.02, 0, "kl")));
  REQUIRE(agree(row("e", "v", 0, 0, "kl"), row("e", "v", 0, 0, "kl")));
  REQUIRE_FALSE(agree(row("e", "v", 0, 0, "kl"), row("e", "v", 1e-6, 0, "kl")));
  REQUIRE(agree(row("e", "v", 1e-9, 0, "mcnemar_p"), row("e", "v", 1e-5, 0, "mcnemar_p")));
  REQUIRE_FALSE(agree(row("e", "v", 0.009, 0, "mcnemar_p"), row("e", "v", 0.5, 0, "mcnemar_p")));
  REQUIRE(*rows_agree(row("e", "v", 80), row("e", "v", 80), {}) == Criterion::equal);
  REQUIRE(*rows_agree(row("e", "v", 80), row("e", "v", 81.9), {}) == Criterion::interval);
}

TEST_CASE("rows of another number of examples never agree", "[report]") {
  Row many = row("e", "v", 80), few = row("e", "v", 80);
  many.n = 5463;
  few.n = 100;
  REQUIRE_FALSE(rows_agree(many, few, {}));
  few.n.reset();
  REQUIRE_FALSE(rows_agree(many, few, {}));
  few.n = many.n;
  REQUIRE(rows_agree(many, few, {}));
}

TEST_CASE("exact rows are equal in every figure that files print", "[report]") {
  CompareOptions exact;
  exact.exact = true;
  const Row base = row("e", "v", 80.123456789);
  REQUIRE(rows_agree(base, base, exact));
  Row other = base;
  other.estimate += 1e-8;
  REQUIRE_FALSE(rows_agree(base, other, exact));
  REQUIRE(rows_agree(base, other, {}));
  other = base;
  other.estimate += 1e-12;  // beyond what is printed
  REQUIRE(rows_agree(base, other, exact));
  other = base;
  other.ci_high = *other.ci_high + 1e-7;
  REQUIRE_FALSE(rows_agree(base, other, exact));
  other = base;
  other.n = other.n.value_or(0) + 1;
  REQUIRE_FALSE(rows_agree(base, other, exact));
}

TEST_CASE("folders are compared file by file and key by key", "[report]") {
  const auto folder = test::scratch("compare");
  const auto a = folder / "a", b = folder / "b";
  const auto write = [](const std::filesystem::path& file, const std::vector<Row>& rows) {
    write_file_atomically(file, to_csv(rows));
  };
  write(a / "m-t" / "e.csv", {row("e", "x", 80), row("e", "y", 50), row("e", "z", 1),
                              row("e", "x", 3, 0, "seconds"), row("e", "x", 80, 1)});
  write(b / "m-t" / "e.csv",
        {row("e", "y", 60), row("e", "x", 80.5), row("e", "x", 9, 0, "seconds"), row("e", "x", 80, 2)});
  write(a / "m-t" / "first.csv", {row("first", "x", 80)});
  write(b / "second.csv", {row("second", "x", 80)});
  const Comparison result = compare_results(a, b);
  REQUIRE(result.files == 1);
  REQUIRE(result.rows == 2);
  REQUIRE(result.agreed == 1);
  REQUIRE(result.differences.size() == 4);  // y; z and seed 1 in the first only; seed 2 in the second only
  REQUIRE(result.differences[0].row == "y, accuracy");
  REQUIRE(result.left_out == 1);
  REQUIRE(result.summary({}) ==
          "1 of 2 rows in 1 file agree: 1 by overlapping 95 % intervals; 3 more stand on "
          "one side only; 1 of time, memory and engines left out");
  Comparison close;
  close.files = close.rows = close.agreed = close.agreed_by[Criterion::tolerance] = 1;
  CompareOptions seven;
  seven.tolerance = 0.07;  // times 100 is 7.000000000000001
  REQUIRE(close.summary(seven) == "1 of 1 rows in 1 file agree: 1 within 7 %");
  REQUIRE(result.only_first == std::vector<std::string>{"m-t/first.csv"});
  REQUIRE(result.only_second == std::vector<std::string>{"second.csv"});
  REQUIRE_FALSE(result.all_agree());
  REQUIRE(compare_results(a, a).all_agree());
  REQUIRE(compare_results(a / "m-t" / "first.csv", a / "m-t" / "first.csv").agreed == 1);
  REQUIRE_ERROR(compare_results(a, folder / "none"), "none", "nothing");
  REQUIRE_ERROR(compare_results(a, b / "second.csv"), "two folders or two files");
  std::filesystem::create_directories(folder / "empty");
  REQUIRE_ERROR(compare_results(a, folder / "empty"), "on both sides");
}
