#include "report/deployment.h"

#include <algorithm>

#include "catch.h"
#include "experiments/timing.h"
#include "support/rows.h"

using namespace outlierlab;

namespace {

Row row_of(const std::string& variant, const std::string& parameter, const std::string& value,
           const std::string& metric, double estimate) {
  Row row = test::row(variant, parameter, value, metric, estimate);
  row.experiment = "deployment";
  row.model = "m";
  row.task = "t";
  return row;
}

ResultSet results(double simulated_speed, double simulated_mb) {
  ResultSet set;
  set.model = "m";
  set.task = "t";
  std::vector<Row>& rows = set.experiments["deployment"];
  rows.push_back(row_of("float:fp32", "", "", "memory_weights_mb", 90));
  rows.push_back(row_of("simulated:w8a8", "", "", "memory_weights_mb", simulated_mb));
  rows.push_back(row_of("integer:w8a8", "", "", "weight_bytes", 22500000));
  rows.push_back(row_of("tokenizer", "", "", "throughput_examples", 40000));
  rows.push_back(row_of("integer:w8a8", "", "", "memory_weights_mb", 25));
  rows.push_back(row_of("integer:w8a8", "", "", "engine_agreement", 99.7));
  rows.push_back(row_of("integer:w8a8", "", "", "simulation_agreement", 99.8));
  for (const char* cell : {"1x16", "8x64", "32x128"}) {
    for (const auto& [variant, speed] :
         {std::pair{"float:fp32", 1.0}, std::pair{"simulated:w8a8", simulated_speed},
          std::pair{"integer:w8a8", 3.0}}) {
      rows.push_back(row_of(variant, "batch x length", cell, "latency_p50_ms", 10 / speed));
      rows.push_back(row_of(variant, "batch x length", cell, "speedup", speed));
    }
  }
  rows.push_back(row_of("integer:w8a8", "profile", "32x128", "time_share_products", 75));
  rows.push_back(row_of("integer:w8a8", "profile", "32x128", "time_share_rest", 25));
  rows.push_back(row_of("float:fp32", "process", "32x128", "memory_process_mb", 180));
  rows.push_back(row_of("simulated:w8a8", "process", "32x128", "memory_process_mb", 185));
  return set;
}

/// As a study writes them of so many passes, evenly spread from `fastest` to twice that: the median is 1.5,
/// the percentiles are 1.95 and 1.99 times `fastest`.
void add_passes(std::vector<Row>& rows, const std::string& variant, const std::string& network,
                std::size_t examples, std::size_t length, std::size_t passes, double fastest) {
  std::vector<double> seconds;
  for (std::size_t i = 0; i < passes; ++i)
    seconds.push_back(1e-3 * fastest * (1 + static_cast<double>(i) / static_cast<double>(passes - 1)));
  const std::string cell = std::to_string(examples) + "x" + std::to_string(length);
  for (const Row& row : latency_rows(seconds, {}, examples, examples * length))
    rows.push_back(row_of(variant, network + "batch x length", cell, row.metric, row.estimate));
}

/// By title, without the note on dashes.
const Table& titled(const std::vector<Table>& tables, const std::string& title) {
  const auto found = std::find_if(tables.begin(), tables.end(), [&](const Table& table) {
    return table.title.substr(0, table.title.find(';')) == title;
  });
  INFO(title);
  REQUIRE(found != tables.end());
  return *found;
}

}  // namespace

TEST_CASE("C7 is confirmed where simulation wins neither time nor memory", "[report]") {
  const Verdict both = judge_deployment(results(0.95, 90));
  REQUIRE(both.outcome == Outcome::confirmed);
  REQUIRE(both.figures.find("simulated w8a8 0.95 times") != std::string::npos);
  REQUIRE(both.figures.find("integer w8a8 3.00 times") != std::string::npos);
  REQUIRE(both.figures.find("process 185 MB against 180") != std::string::npos);
  REQUIRE(judge_deployment(results(1.5, 90)).outcome == Outcome::partly);
  REQUIRE(judge_deployment(results(0.95, 30)).outcome == Outcome::partly);
  REQUIRE(judge_deployment(results(1.5, 30)).outcome == Outcome::not_confirmed);
  REQUIRE(judge_deployment(ResultSet()).outcome == Outcome::no_data);
  ResultSet killed = results(0.95, 90);
  REQUIRE(verdicts(killed).at(6).figures.find("unfinished") == std::string::npos);
  killed.records["deployment"].unfinished = "22 of 174 measurements";
  REQUIRE(verdicts(killed).at(6).figures.find("; the run is unfinished, 22 of 174 measurements") !=
          std::string::npos);
}

TEST_CASE("The tables of deployment: a line per method, a column per batch and length", "[report]") {
  const auto all = measurements(results(0.95, 90).rows("deployment"));
  const std::vector<Table> tables = deployment_tables("deployment", all);
  REQUIRE(tables.size() == 5);
  REQUIRE(tables[0].rows.size() == 3);
  // No column for what no row tells, such as energy.
  REQUIRE(tables[0].columns.size() == 7);
  REQUIRE(tables[0].rows[0] == std::vector<std::string>{"FP32", "1.00", "-", "90.0", "180", "-", "-"});
  REQUIRE(tables[0].rows[2] ==
          std::vector<std::string>{"integer w8a8", "3.00", "22.5", "25.0", "-", "99.70", "99.80"});
  REQUIRE(tables[1].columns == std::vector<std::string>{"method", "1x16", "8x64", "32x128"});
  REQUIRE(tables[2].rows[1][3] == "0.95 [0.95, 0.95]");
  REQUIRE(tables[3].title.find("32x128") != std::string::npos);
  REQUIRE(tables[4].rows[0][0] == "examples");
  REQUIRE(tables[3].rows == std::vector<std::vector<std::string>>{{"integer w8a8", "75.0", "25.0"}});
  REQUIRE(read_deployment(all).find("3.00") != std::string::npos);
  REQUIRE(read_deployment({}).find("No latencies") == 0);
}

TEST_CASE("Rare latencies and throughput stand by method and cell, with a dash of too few passes",
          "[report]") {
  std::vector<Row> rows;
  add_passes(rows, "float:fp32", "", 1, 16, 100, 2);
  add_passes(rows, "float:fp32", "", 8, 64, 99, 10);
  add_passes(rows, "float:fp32", "", 32, 64, 20, 20);
  add_passes(rows, "float:fp32", "", 32, 128, 19, 50);
  add_passes(rows, "simulated:w8a8", "", 1, 16, 20, 3);
  add_passes(rows, "integer:w8a8", "", 1, 16, 100, 1);
  add_passes(rows, "integer:w8a8", "", 8, 64, 99, 4);
  add_passes(rows, "integer:w8a8", "", 32, 64, 20, 8);
  add_passes(rows, "integer:w8a8", "", 32, 128, 19, 20);
  add_passes(rows, "cuda float:fp16", "", 1, 16, 99, 0.4);
  rows.push_back(row_of("tokenizer", "", "", "throughput_examples", 40000));
  using Lines = std::vector<std::vector<std::string>>;
  const std::vector<std::string> columns = {"method", "1x16", "8x64", "32x64", "32x128"};
  const std::vector<Table> tables = deployment_tables("deployment", measurements(rows));
  const Table& p95 = titled(tables, "deployment: 95th percentile of the latency (ms) by batch x length");
  REQUIRE(p95.columns == columns);
  REQUIRE(p95.rows == Lines{{"FP32", "3.9", "19.50", "39.00", "-"},
                            {"simulated w8a8", "5.85", "-", "-", "-"},
                            {"integer w8a8", "1.95", "7.8", "15.60", "-"}});
  REQUIRE(p95.title.find("; a dash where fewer than 20 passes were timed") != std::string::npos);
  const Table& p99 = titled(tables, "deployment: 99th percentile of the latency (ms) by batch x length");
  REQUIRE(p99.columns == columns);
  REQUIRE(p99.rows == Lines{{"FP32", "3.98", "-", "-", "-"},
                            {"simulated w8a8", "-", "-", "-", "-"},
                            {"integer w8a8", "1.99", "-", "-", "-"}});
  REQUIRE(p99.title.find("; a dash where fewer than 100 passes were timed") != std::string::npos);
  const Table& examples = titled(tables, "deployment: throughput (examples per second) by batch x length");
  REQUIRE(examples.columns == columns);
  REQUIRE(examples.rows == Lines{{"FP32", "333.33", "533.33", "1066.67", "426.67"},
                                 {"simulated w8a8", "222.22", "-", "-", "-"},
                                 {"integer w8a8", "666.67", "1333.33", "2666.67", "1066.67"}});
  const Table& tokens = titled(tables, "deployment: throughput (tokens per second) by batch x length");
  REQUIRE(tokens.columns == columns);
  REQUIRE(tokens.rows == Lines{{"FP32", "5333.33", "34133", "68267", "54613"},
                               {"simulated w8a8", "3555.56", "-", "-", "-"},
                               {"integer w8a8", "10667", "85333", "170667", "136533"}});
  for (const Table* table : {&p95, &p99, &examples, &tokens}) REQUIRE(table->is_detail);

  const auto on_device = [&](const std::string& what) {
    return titled(tables, "deployment on CUDA: " + what + " by batch x length").rows;
  };
  REQUIRE(on_device("95th percentile of the latency (ms)") == Lines{{"FP16", "0.78"}});
  REQUIRE(on_device("throughput (examples per second)") == Lines{{"FP16", "1666.67"}});
  REQUIRE(on_device("throughput (tokens per second)") == Lines{{"FP16", "26667"}});
  // Where no cell has it the table is left out: summary, median, p95, throughput in two units; tokenization.
  REQUIRE(tables.size() == 6 + 5 + 1);
}

TEST_CASE("Rare latencies and throughput of several networks have a column for each cell", "[report]") {
  std::vector<Row> rows;
  add_passes(rows, "float:fp32", "bert-base ", 1, 32, 100, 2);
  add_passes(rows, "float:fp32", "bert-large ", 1, 32, 20, 6);
  const std::vector<Table> tables = deployment_tables("deployment_shapes", measurements(rows));
  const auto line_of = [&](const std::string& what) {
    const Table& table = titled(tables, "deployment_shapes: " + what + " by batch x length");
    REQUIRE(table.columns == std::vector<std::string>{"method", "bert-base 1x32", "bert-large 1x32"});
    return table.rows.at(0);
  };
  using Line = std::vector<std::string>;
  REQUIRE(line_of("median latency (ms)") == Line{"FP32", "3", "9"});
  REQUIRE(line_of("95th percentile of the latency (ms)") == Line{"FP32", "3.9", "11.70"});
  REQUIRE(line_of("99th percentile of the latency (ms)") == Line{"FP32", "3.98", "-"});
  REQUIRE(line_of("throughput (examples per second)") == Line{"FP32", "333.33", "111.11"});
  REQUIRE(line_of("throughput (tokens per second)") == Line{"FP32", "10667", "3555.56"});
}

TEST_CASE("Where memory was measured by batch and length, the summary has the usual one", "[report]") {
  ResultSet set = results(0.95, 90);
  std::vector<Row>& rows = set.experiments["deployment"];
  for (const auto& [cell, mb] :
       {std::pair{"1x16", 100.0}, std::pair{"32x64", 170.0}, std::pair{"128x512", 900.0}})
    rows.push_back(row_of("float:fp32", "process", cell, "memory_process_mb", mb));
  const std::vector<Table> tables = deployment_tables("deployment", measurements(set.rows("deployment")));
  REQUIRE(tables[0].rows[0][4] == "180");  // 32x128
  REQUIRE(tables[4].title == "deployment: peak of its process (MB) by batch x length");
  REQUIRE(tables[4].rows[0] == std::vector<std::string>{"FP32", "100", "180", "170", "900"});
  REQUIRE(tables[4].rows[1] == std::vector<std::string>{"simulated w8a8", "-", "185", "-", "-"});
}

TEST_CASE("Agreement with double precision has its own columns and sentence", "[report]") {
  ResultSet set = results(0.95, 90);
  std::vector<Row>& rows = set.experiments["deployment"];
  for (Row& row : rows) {
    if (row.metric == "engine_agreement") {
      row.metric = "engine_exact_agreement";
      row.n = 1000;
    }
    if (row.metric == "simulation_agreement") row.metric = "float32_exact_agreement";
  }
  const auto all = measurements(rows);
  const std::string text = read_deployment(all);
  INFO(text);
  REQUIRE(
      text.find("It gives 99.70 % of the predictions of its simulation in double precision on the first 1000 "
                "examples; the simulation in float32 gives 99.80 %.") != std::string::npos);
  REQUIRE(text.find("rounded otherwise") == std::string::npos);
  const Table summary = deployment_tables("deployment", all)[0];
  REQUIRE(summary.columns[5] == "predictions of double precision (%)");
  REQUIRE(summary.columns[6] == "float32 simulation (%)");
  REQUIRE(summary.rows[2][5] == "99.70");
  REQUIRE(summary.rows[2][6] == "99.80");
}

TEST_CASE("What ran on a device stands apart, against the device's own reference", "[report]") {
  ResultSet set = results(0.95, 90);
  const Verdict without = judge_deployment(set);
  const std::vector<Table> here = deployment_tables("deployment", measurements(set.rows("deployment")));
  std::vector<Row>& rows = set.experiments["deployment"];
  for (const auto& [variant, speed] : {std::pair{"cuda float:fp32", 0.25}, std::pair{"cuda float:fp16", 1.0},
                                       std::pair{"cuda float:fp8", 1.25}, std::pair{"cuda integer:w8a8", 1.5},
                                       std::pair{"cuda integer:peg-4", 1.4}}) {
    for (const char* cell : {"1x16", "32x128"}) {
      rows.push_back(row_of(variant, "batch x length", cell, "latency_p50_ms", 2 / speed));
      rows.push_back(row_of(variant, "batch x length", cell, "speedup", speed));
    }
    rows.push_back(row_of(variant, "device memory", "32x128", "memory_device_peak_mb", 40));
    rows.push_back(row_of(variant, "", "", "memory_weights_mb", 30));
    rows.push_back(row_of(variant, "energy", "32x128", "joules_per_example", 0.5));
  }
  rows.push_back(row_of("cuda integer:w8a8", "profile", "32x128", "time_share_products", 60));
  const auto all = measurements(rows);
  const std::vector<Table> tables = deployment_tables("deployment", all);
  REQUIRE(tables.size() == 9);
  // What the processor did reads as it does alone.
  for (std::size_t i = 0; i < 4; ++i) {
    REQUIRE(tables[i].title == here[i].title);
    REQUIRE(tables[i].columns == here[i].columns);
    REQUIRE(tables[i].rows == here[i].rows);
  }
  REQUIRE(tables[4].title == "deployment on CUDA");
  REQUIRE(tables[4].columns == std::vector<std::string>{"method", "median speedup over FP16",
                                                        "weights and workspace (MB)",
                                                        "peak on the device (MB)", "energy (J per example)"});
  REQUIRE(tables[4].rows[1] == std::vector<std::string>{"FP16", "1.00", "30.0", "40.0", "0.5000"});
  REQUIRE(tables[4].rows[2][0] == "FP8 (e4m3)");
  REQUIRE(tables[5].title.rfind("deployment on CUDA: median latency", 0) == 0);
  REQUIRE(tables[6].rows[3][1] == "1.50 [1.50, 1.50]");
  REQUIRE(tables[7].rows == std::vector<std::vector<std::string>>{{"integer w8a8", "60.0"}});
  REQUIRE(tables[8].rows[0][0] == "examples");
  REQUIRE(read_deployment(all).find("On CUDA the fastest integer execution, w8a8, runs at 1.50 times") !=
          std::string::npos);
  // The claim is judged by what the paper simulated, which a device does not run here.
  REQUIRE(judge_deployment(set).figures == without.figures);

  std::vector<Row> alone;
  for (const Row& row : rows) {
    if (row.variant.rfind("cuda ", 0) == 0) alone.push_back(row);
  }
  const std::vector<Table> there = deployment_tables("deployment", measurements(alone));
  REQUIRE(there.front().title == "deployment on CUDA");
  REQUIRE(read_deployment(measurements(alone)).rfind("On CUDA", 0) == 0);
  const std::vector<DeploymentMethod> methods = deployment_methods(all);
  REQUIRE(devices_of(methods) == std::vector<std::string>{"cuda"});
  REQUIRE(methods_of(methods, "cuda").size() == 5);
  REQUIRE(methods_of(methods, "").size() + 5 == methods.size());
}

TEST_CASE("Where a device's reference was not timed, its latencies are there, and no speedups", "[report]") {
  ResultSet set = results(0.95, 90);
  std::vector<Row>& rows = set.experiments["deployment"];
  for (const char* cell : {"1x16", "32x128"})
    rows.push_back(row_of("cuda integer:w8a8", "batch x length", cell, "latency_p50_ms", 2));
  const auto all = measurements(rows);
  const std::vector<Table> tables = deployment_tables("deployment", all);
  REQUIRE(tables.size() == 7);
  REQUIRE(tables[4].title == "deployment on CUDA");
  REQUIRE(tables[4].rows == std::vector<std::vector<std::string>>{{"integer w8a8"}});
  REQUIRE(tables[5].title == "deployment on CUDA: median latency (ms) by batch x length");
  REQUIRE(tables[5].rows == std::vector<std::vector<std::string>>{{"integer w8a8", "2", "2"}});
  REQUIRE(tables[6].rows[0][0] == "examples");
  // A run prints a summary for each device.
  std::vector<std::string> printed;
  for (const Table& table : tables) {
    if (!table.is_detail) printed.push_back(table.title);
  }
  REQUIRE(printed == std::vector<std::string>{"deployment", "deployment on CUDA"});
  const std::vector<DeploymentMethod> methods = deployment_methods(all);
  REQUIRE(fastest_of_kind(methods, "cuda integer") == nullptr);
  REQUIRE(read_deployment(all).find("CUDA") == std::string::npos);
}

TEST_CASE("Each network of deployment_shapes has its own table of time and weights", "[report]") {
  std::vector<Row> rows;
  double share = 60;
  for (const char* network : {"bert-base", "bert-large"}) {
    const std::string parameter = std::string(network) + " profile";
    for (const char* variant : {"float:fp32", "integer:w8a8"}) {
      rows.push_back(row_of(variant, parameter, "8x128", "time_share_products", share));
      rows.push_back(row_of(variant, parameter, "8x128", "time_share_rest", 100 - share));
      rows.push_back(row_of(variant, parameter, "8x128", "weight_bytes", 1e6 * share));
      share += 5;
    }
  }
  const auto tables = deployment_tables("deployment_shapes", measurements(rows));
  std::vector<Table> shares;
  for (const Table& table : tables) {
    if (table.title.find("share of the time") != std::string::npos) shares.push_back(table);
  }
  REQUIRE(shares.size() == 2);
  REQUIRE(shares[0].title == "deployment_shapes: share of the time (%) at batch x length bert-base 8x128");
  REQUIRE(shares[1].title == "deployment_shapes: share of the time (%) at batch x length bert-large 8x128");
  const std::vector<std::string> columns = {"method", "products", "rest", "weights (MB)"};
  for (const Table& table : shares) {
    REQUIRE(table.columns == columns);
    REQUIRE(table.is_detail);
    REQUIRE(table.rows.size() == 2);
  }
  REQUIRE(shares[0].rows[1] ==
          std::vector<std::string>{deployment_label("integer:w8a8"), "65.0", "35.0", "65.0"});
  REQUIRE(shares[1].rows[0] ==
          std::vector<std::string>{deployment_label("float:fp32"), "70.0", "30.0", "70.0"});
}
