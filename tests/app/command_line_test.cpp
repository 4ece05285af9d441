// The command line as a user meets it: the built program is run.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "core/files.h"
#include "paths.h"
#include "store/activation_store.h"
#include "support/program.h"

using namespace outlierlab;
using test::Outcome;
using test::quoted;
using test::run;

namespace {

void require_wrong_use(const std::string& arguments, std::initializer_list<std::string> parts) {
  const Outcome outcome = run(arguments);
  INFO(arguments << ": " << outcome.err);
  REQUIRE(outcome.code == 2);
  REQUIRE(outcome.out.empty());
  REQUIRE(outcome.err.rfind("outlierlab: ", 0) == 0);
  REQUIRE(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
  for (const std::string& part : parts) {
    INFO("expected part: " << part);
    REQUIRE(outcome.err.find(part) != std::string::npos);
  }
}

const std::string header =
    "experiment,model,task,variant,parameter,value,metric,estimate,ci_low,ci_high,n,seed\n";

}  // namespace

TEST_CASE("every command has help with a description and an example", "[app]") {
  const Outcome help = run("--help");
  REQUIRE(help.code == 0);
  REQUIRE(help.err.empty());
  for (const std::string command :
       {"list", "run", "eval", "classify", "pack", "bench", "capture", "report", "compare", "pass-memory"}) {
    INFO(command);
    REQUIRE(help.out.find("  " + command + " ") != std::string::npos);
    for (const std::string flag : {" --help", " -h"}) {
      const Outcome own = run(command + flag);
      REQUIRE(own.code == 0);
      REQUIRE(own.out.rfind("Usage: outlierlab " + command, 0) == 0);
      REQUIRE(own.out.find("Example:\n  outlierlab " + command) != std::string::npos);
    }
  }
  REQUIRE(run("--version").out.rfind("outlierlab ", 0) == 0);
  // What may be left out stands in brackets.
  for (const std::string usage :
       {"list [KIND]", "compare PATH PATH", "classify [TEXT [TEXT]]", "run EXPERIMENT..."}) {
    REQUIRE(run(usage.substr(0, usage.find(' ')) + " --help").out.rfind("Usage: outlierlab " + usage, 0) ==
            0);
  }
}

TEST_CASE("wrong use exits with 2 and one line that names the nearest", "[app]") {
  REQUIRE(run("").code == 2);
  require_wrong_use("evla", {"unknown command 'evla'", "did you mean 'eval'?"});
  require_wrong_use("eval --modle x", {"unknown option '--modle'", "'--model'"});
  require_wrong_use("eval --modle=x", {"unknown option '--modle", "'--model'"});
  require_wrong_use("list calibratrs", {"unknown kind 'calibratrs'", "'calibrators'"});
  require_wrong_use("eval --model demo-plantd --scheme w8a8",
                    {"unknown model 'demo-plantd'", "'demo-planted'"});
  require_wrong_use("run basline", {"unknown experiment 'basline'", "'baseline'"});
  require_wrong_use("run", {"expected", "EXPERIMENT", "found 0"});
  require_wrong_use("compare one", {"expected 2", "found 1"});
  require_wrong_use("compare a b c", {"expected 2", "found 3"});
  require_wrong_use("eval surplus", {"options only", "'surplus'"});
}

TEST_CASE("names of options are not guessed from a prefix", "[app]") {
  require_wrong_use("eval --lim 5", {"unknown option '--lim'", "'--limit'"});
  require_wrong_use("eval -l 5", {"unknown option '-l'"});
}

TEST_CASE("pass-memory prints the peak of one network's passes", "[app]") {
  const std::string model = " --model-folder " + test::source("models/demo/planted").string();
  const Outcome out = run("pass-memory --batch 2x16 --batch 64x64 --threads 1" + model);
  REQUIRE(out.code == 0);
  double bytes = -1, larger = -1, surplus = -1;
  REQUIRE(std::sscanf(out.out.c_str(), "%lf %lf %lf", &bytes, &larger, &surplus) == 2);
  REQUIRE((bytes == 0 || (bytes > 5e6 && bytes < larger && larger < 2e9)));
  REQUIRE(run("pass-memory").code == 2);
  REQUIRE(run("pass-memory --packed x" + model).code == 2);
  REQUIRE(run("pass-memory --bfloat16" + model).code == 2);
  REQUIRE(run("pass-memory --packed x --scheme w8a8").code == 2);
  REQUIRE(run("pass-memory --batch 2x16 --scheme w8a9" + model).err.find("w8a8") != std::string::npos);
  // Simulated weights are as large as float ones.
  const double simulated = std::stod(run("pass-memory --batch 2x16 --threads 1 --scheme w8a8" + model).out);
  REQUIRE(simulated >= 0.8 * bytes);
  for (const std::string batch : {"16", "x16", "0x16", "2x0", "2x16x3", "2*16", "99999x16", "-1x16", "+2x16",
                                  " 2x16", "2x 16", "2x+16", ""})
    require_wrong_use("pass-memory --batch '" + batch + "'" + model,
                      {"--batch", "32x128", "'" + batch + "'"});
  require_wrong_use("pass-memory --batch 1x100" + model, {"--batch", "positions", "100"});
  REQUIRE(run("pass-memory --packed none.safetensors").err.find("none.safetensors") != std::string::npos);
}

TEST_CASE("values of options are checked", "[app]") {
  for (const std::string value : {"ten", "-1", "1.5", "5x", "''", "99999999999999999999999"}) {
    require_wrong_use("eval --limit " + value, {"--limit", "a whole number"});
  }
  require_wrong_use("eval --limit", {"--limit", "expected a value, found none"});
  require_wrong_use("eval --batch-size 0", {"--batch-size", "from 1", "'0'"});
  require_wrong_use("eval --limit 5 --limit 6", {"--limit", "once", "2 times"});
  require_wrong_use("compare --tolerance nan a b", {"--tolerance", "'nan'"});
  require_wrong_use("compare --tolerance 2 a b", {"--tolerance", "from 0 to 1", "'2'"});
  require_wrong_use("compare --exact --tolerance 0.1 a b", {"--exact", "--tolerance"});
  require_wrong_use("run baseline --resume=yes", {"--resume", "no value"});
  require_wrong_use("eval --json ''", {"--json", "a path"});
  for (const std::string beside :
       {"--scheme w8a8", "--set weights.bits=4", "--calibration-size 8", "--calibration-seed 1"}) {
    const std::string option = beside.substr(0, beside.find(' '));
    require_wrong_use("eval --engine int8 --packed none.safetensors " + beside, {option, "--packed"});
    require_wrong_use("classify --packed none.safetensors " + beside + " a b", {option, "--packed"});
  }
}

TEST_CASE("list names what is registered and configured", "[app]") {
  const Outcome all = run("list");
  REQUIRE(all.code == 0);
  for (const std::string part :
       {"experiments:", "  baseline", "C1", "calibrators:", "  minmax", "  percentile", "weights:",
        "  absmax", "schemes:", "models:", "  demo-planted", "  minilm-qnli", "tasks:", "  qnli"}) {
    INFO(part);
    REQUIRE(all.out.find(part) != std::string::npos);
  }
  const Outcome models = run("list models");
  REQUIRE(models.out.rfind("demo-control  ", 0) == 0);
  REQUIRE(models.out.find("calibrators") == std::string::npos);
}

TEST_CASE("resources are found from any folder, and a wrong root is named", "[app]") {
  const auto elsewhere = test::scratch("elsewhere");
  REQUIRE(run("list tasks", "", elsewhere).out.find("qnli") != std::string::npos);
  const Outcome wrong = run("list tasks", "OUTLIERLAB_ROOT=/nowhere");
  REQUIRE(wrong.code == 1);
  REQUIRE(wrong.err.find("OUTLIERLAB_ROOT") != std::string::npos);
  const Outcome other = run("list tasks", "OUTLIERLAB_ROOT=" + quoted(elsewhere.string()));
  REQUIRE(other.code == 1);
}

TEST_CASE("a model whose files are apart says where they are expected", "[app]") {
  const Outcome unset = run("eval --model minilm-qnli --scheme w8a8", "env -u OUTLIERLAB_DATA");
  REQUIRE(unset.code == 1);
  REQUIRE(unset.err.find("OUTLIERLAB_DATA") != std::string::npos);
  const auto empty = test::scratch("no-data");
  const Outcome absent =
      run("eval --model minilm-qnli --scheme w8a8", "OUTLIERLAB_DATA=" + quoted(empty.string()));
  REQUIRE(absent.code == 1);
  REQUIRE(absent.err.find("config.json") != std::string::npos);
}

TEST_CASE("report writes its files, prints the verdicts and ends with the page's path", "[app]") {
  const auto folder = test::scratch("report");
  const std::string rows =
      "baseline,demo-planted,demo,fp32,,,accuracy,90,89,91,1000,0\n"
      "baseline,demo-planted,demo,w8a8,,,accuracy,54,52,56,1000,0\n";
  write_file_atomically(folder / "in" / "demo-planted-demo" / "baseline.csv", header + rows);
  const Outcome outcome = run("report --results in --out out", "", folder);
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  REQUIRE(outcome.out.find("C1 confirmed") != std::string::npos);
  REQUIRE(outcome.out.find("demo-planted on demo (planted)") != std::string::npos);
  REQUIRE(read_file(folder / "out" / "report.md").find("## Verdicts") != std::string::npos);
  const std::string last = "\nReport: out/report.html\n";
  REQUIRE(outcome.out.size() > last.size());
  REQUIRE(outcome.out.substr(outcome.out.size() - last.size()) == last);
  const std::string page = read_file(folder / "out" / "report.html");
  REQUIRE(page.find("Are the weights or the activations to blame") != std::string::npos);
  REQUIRE(page.find("outlierlab run peg --model demo-planted --task demo") != std::string::npos);

  write_file_atomically(folder / "in" / "demo-planted-demo" / "baseline.csv",
                        header + rows + "baseline,demo");
  const Outcome damaged = run("report --results in --out out", "", folder);
  REQUIRE(damaged.code == 1);
  REQUIRE(damaged.err.find("baseline.csv:4") != std::string::npos);
  REQUIRE(run("report --results nowhere", "", folder).code == 1);
}

TEST_CASE("compare exits with 0 if all rows agree, else with 1", "[app]") {
  const auto folder = test::scratch("compare-command");
  write_file_atomically(folder / "a" / "e.csv", header + "e,m,t,v,,,accuracy,90,89,91,1000,0\n");
  write_file_atomically(folder / "b" / "e.csv", header + "e,m,t,v,,,accuracy,91,90,92,1000,0\n");
  write_file_atomically(folder / "c" / "e.csv", header + "e,m,t,v,,,accuracy,95,94,96,1000,0\n");
  write_file_atomically(folder / "c" / "more.csv", header);
  const Outcome same = run("compare a b", "", folder);
  REQUIRE(same.code == 0);
  REQUIRE(same.out == "1 of 1 rows in 1 file agree: 1 by overlapping 95 % intervals\n");
  const Outcome exact = run("compare --exact a b", "", folder);
  REQUIRE(exact.code == 1);
  REQUIRE(exact.out ==
          "e.csv: v, accuracy: 90 [89, 91] against 91 [90, 92]\n"
          "0 of 1 rows in 1 file are equal (value, interval and n as printed)\n");
  REQUIRE(run("compare --exact a a", "", folder).code == 0);
  write_file_atomically(folder / "d" / "e.csv", header + "e,m,t,v,,,accuracy,90,89,91,100,0\n");
  const Outcome fewer = run("compare a d", "", folder);
  REQUIRE(fewer.code == 1);
  REQUIRE(fewer.out.find("(n = 1000) against 90.00 [89.00, 91.00] (n = 100)") != std::string::npos);
  const Outcome other = run("compare a c", "", folder);
  REQUIRE(other.code == 1);
  REQUIRE(other.out.find("e.csv: v, accuracy: 90.00 [89.00, 91.00] against 95.00") != std::string::npos);
  REQUIRE(other.out.find("more.csv: only in c") != std::string::npos);
  REQUIRE(run("compare a nowhere", "", folder).code == 1);
}

TEST_CASE("capture --limit counts examples of the split that is captured", "[app]") {
  const auto folder = test::scratch("capture-limit");
  const auto examples = [&](const std::string& arguments) {
    const auto file = folder / "captured.h5";
    const Outcome outcome =
        run("capture --model demo-planted " + arguments + " --out " + quoted(file.string()));
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    return read_activation_store(file).sites.at(0).example_ranges().size();
  };
  REQUIRE(examples("--limit 10") == 10);
  REQUIRE(examples("--limit 10 --calibration-size 6") == 6);
  REQUIRE(examples("--calibration-size 12 --calibration-seed 3") == 12);
  REQUIRE(examples("--split dev --limit 10") == 10);
}

TEST_CASE("bench times any scheme that --only names, and records the engine's agreement", "[app]") {
  const auto file = test::scratch("bench-only") / "bench.json";
  const std::string bench = "bench --model demo-planted --limit 8 --calibration-size 8 --repeats 1 ";
  const Outcome timed = run(bench + "--only int8:peg-4 --only mse --json " + file.string());
  INFO(timed.out << timed.err);
  REQUIRE(timed.code == 0);
  const auto json = nlohmann::json::parse(read_file(file));
  std::vector<std::string> contenders;
  for (const auto& row : json.at("rows")) contenders.push_back(row.at("contender"));
  REQUIRE(contenders == std::vector<std::string>{"fp32", "mse", "int8:peg-4"});
  REQUIRE(json.at("engine_agreement").at("int8:peg-4").at("equal_predictions") > 0);
  REQUIRE(json.at("not_timed").empty());
  REQUIRE(run(bench + "--only int8:peg-44").err.find("unknown contender 'int8:peg-44'") != std::string::npos);
  const Outcome early = run(bench + "--only fp32 --json " + (file / "below.json").string());
  REQUIRE(early.code != 0);
  REQUIRE(early.out.empty());  // before anything was timed
}

TEST_CASE("eval tells no time of an engine that does not agree", "[app]") {
  // Steps of three bits, each on a grid of its token: rounding decides what no two executions have in common.
  const auto json = test::scratch("disagreeing") / "eval.json";
  const std::string coarse =
      "eval --model demo-control --engine int8 --scheme w8a8-token --set activations.bits=3 --limit 400 "
      "--calibration-size 32 --no-reference --json " +
      quoted(json.string());
  const Outcome plain = run(coarse);
  INFO(plain.out << plain.err);
  REQUIRE(plain.code == 0);
  REQUIRE(plain.out.find("speed      not told: it does not agree with the scheme in double precision") !=
          std::string::npos);
  REQUIRE(plain.out.find("examples/s") == std::string::npos);
  const auto record = nlohmann::json::parse(read_file(json));
  REQUIRE(record.contains("accuracy"));
  REQUIRE_FALSE(record.contains("seconds"));
  REQUIRE_FALSE(record.contains("examples_per_second"));
  REQUIRE(run(coarse + " --check").code == 1);
}

TEST_CASE("eval says what its weights' size is of", "[app]") {
  const std::string w4 =
      "eval --model demo-planted --limit 8 --calibration-size 8 --scheme w8a8 --set weights.bits=4";
  REQUIRE(run(w4).out.find(" MB if stored with the scheme's bits; simulated with ") != std::string::npos);
  const Outcome integer = run(w4 + " --engine int8");
  INFO(integer.out << integer.err);
  REQUIRE(integer.out.find(" MB as codes and floats; packed for the processor, ") != std::string::npos);
}
