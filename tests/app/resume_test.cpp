// A run that is killed at any moment loses no finished row, and resuming it gives the files of an
// uninterrupted run.
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "catch.h"
#include "core/files.h"
#include "paths.h"
#include "report/row.h"
#include "support/deployment_rows.h"
#include "support/program.h"

namespace fs = std::filesystem;

namespace {

int run_in(const fs::path& out, const std::string& limit, const std::string& options) {
  const std::string command =
      "OUTLIERLAB_ROOT='" + test::source("").string() + "' timeout -s KILL " + limit + " '" +
      OUTLIERLAB_BINARY +
      "' run baseline peg --model demo-planted --limit 24 --calibration-size 16 --threads 1 --out '" +
      out.string() + "' " + options + " >/dev/null 2>&1";
  return std::system(command.c_str());
}

}  // namespace

TEST_CASE("A killed run resumes to the bytes of an uninterrupted one", "[app][resume]") {
  const fs::path folder = test::scratch("resume");
  REQUIRE(run_in(folder / "whole", "120", "") == 0);
  std::size_t rows = 0;
  bool was_cut = false;
  for (const char* limit : {"0.15", "0.3", "0.45", "0.6"}) {
    was_cut |= run_in(folder / "cut", limit, "--resume") != 0;
    // Whatever is there is complete and readable, and nothing that was there is lost.
    const fs::path file = folder / "cut" / "demo-planted-demo" / "baseline.csv";
    if (!fs::exists(file)) continue;
    const std::size_t found = outlierlab::read_rows(file).size();
    REQUIRE(found >= rows);
    REQUIRE(found % 4 == 0);
    rows = found;
  }
  REQUIRE(was_cut);
  REQUIRE(run_in(folder / "cut", "120", "--resume") == 0);
  for (const char* name : {"baseline.csv", "peg.csv"}) {
    INFO(name);
    REQUIRE(outlierlab::read_file(folder / "whole" / "demo-planted-demo" / name) ==
            outlierlab::read_file(folder / "cut" / "demo-planted-demo" / name));
  }
  // The record tells of the runs that were killed, too.
  const auto record =
      nlohmann::json::parse(outlierlab::read_file(folder / "cut" / "demo-planted-demo" / "baseline.json"));
  REQUIRE(record.at("earlier_runs").size() >= 1);
  REQUIRE(record.at("earlier_runs")[0].at("command").get<std::string>().find("--resume") !=
          std::string::npos);
}

TEST_CASE("The record of a resumed run keeps what earlier runs noted", "[app][resume]") {
  const fs::path folder = test::scratch("resume-notes");
  REQUIRE(run_in(folder, "120", "") == 0);
  const fs::path file = folder / "demo-planted-demo" / "baseline.json";
  auto record = nlohmann::json::parse(outlierlab::read_file(file));
  for (const char* member : {"executors", "agreement", "device_state", "not_timed"})
    record[member]["cuda integer:w8a8"] = member;
  record["devices"]["cuda"]["device"] = "GPU";
  outlierlab::write_file_atomically(file, record.dump());
  REQUIRE(run_in(folder, "120", "--resume") == 0);
  const auto resumed = nlohmann::json::parse(outlierlab::read_file(file));
  for (const char* member : {"executors", "agreement", "device_state", "not_timed", "devices"}) {
    INFO(member);
    REQUIRE(resumed.at(member) == record.at(member));
  }
}

TEST_CASE("A killed study of times has noted what executed its rows, and resuming it keeps that",
          "[app][resume]") {
  const fs::path folder = test::scratch("resume-times");
  const fs::path file = folder / "demo-planted-demo" / "deployment.json";
  // Until the record has a text, or for a minute.
  const auto run_until = [&](const std::string& text, const std::string& options) {
    const std::string command =
        "export OUTLIERLAB_ROOT='" + test::source("").string() + "'; '" + OUTLIERLAB_BINARY +
        "' run deployment --model demo-planted --limit 24 --calibration-size 16 --engine int8 --out '" +
        folder.string() + "' " + options + " >/dev/null 2>&1 & run=$!; for i in $(seq 600); do grep -q '" +
        text + "' '" + file.string() + "' 2>/dev/null && break; sleep 0.1; done; kill -KILL $run";
    REQUIRE(std::system(command.c_str()) == 0);
    return nlohmann::json::parse(outlierlab::read_file(file));
  };
  const auto killed = run_until("integer:w8a8", "");
  REQUIRE(killed.at("executors").at("integer:w8a8").get<std::string>().rfind("cpu ", 0) == 0);
  REQUIRE(killed.at("settings").at("engine") == "int8");
  // --engine int8 times the processor alone, whatever else is there.
  for (const auto& [method, executor] : killed.at("executors").items())
    REQUIRE(method.find("cuda") == std::string::npos);
  const auto resumed = run_until("earlier_runs", "--resume");
  for (const auto& [method, executor] : killed.at("executors").items())
    REQUIRE(resumed.at("executors").at(method) == executor);
}

TEST_CASE("deployment measures every method on every batch that the network has positions for", "[app]") {
  const fs::path folder = test::scratch("deployment-whole");
  const test::Outcome outcome = test::run(
      "run deployment --model demo-control --limit 64 --calibration-size 16 --engine int8 "
      "--cell-seconds 0.01 --out " +
      test::quoted(folder.string()));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const fs::path file = folder / "demo-control-demo" / "deployment.csv";
  const auto record = nlohmann::json::parse(outlierlab::read_file(fs::path(file).replace_extension(".json")));
  test::require_complete_deployment(outlierlab::read_rows(file), 64,
                                    record.value("not_timed", nlohmann::json::object()));
  REQUIRE(record.at("machine").at("at_start").at("clock_mhz").size() >= 1);
  REQUIRE(record.at("clock_ghz").size() == 8);
  REQUIRE(record.at("threads").get<int>() >= 1);
}

TEST_CASE("Resuming with other settings is refused, with both values", "[app][resume]") {
  const fs::path folder = test::scratch("resume-settings");
  REQUIRE(run_in(folder, "120", "") == 0);
  const auto file = folder / "demo-planted-demo" / "baseline.csv";
  const std::string before = outlierlab::read_file(file);
  REQUIRE(run_in(folder, "120", "--resume --set activations.bits=6") == 2 * 256);
  REQUIRE(outlierlab::read_file(file) == before);
}

TEST_CASE("A study of times is not resumed with other threads or on another processor", "[app][resume]") {
  const fs::path folder = test::scratch("resume-times");
  fs::copy(test::source("results/demo-control-demo"), folder / "demo-control-demo");
  const auto file = folder / "demo-control-demo" / "deployment.csv";
  const std::string before = outlierlab::read_file(file);
  const auto outcome = test::run("run deployment --model demo-control --resume --threads 1 --out " +
                                 test::quoted(folder.string()));
  REQUIRE(outcome.code == 2);
  REQUIRE(outcome.err.find("--resume: expected ") != std::string::npos);
  // Where the committed rows were made by this processor, the threads are what differs.
  const bool threads = outcome.err.find("expected threads = '2'") != std::string::npos;
  const bool machine = outcome.err.find("expected cpu = ") != std::string::npos ||
                       outcome.err.find("expected instructions = ") != std::string::npos;
  REQUIRE(threads != machine);
  REQUIRE(outlierlab::read_file(file) == before);
}

TEST_CASE("--set changes what an experiment quantizes, never its float reference or its labels", "[app]") {
  const fs::path folder = test::scratch("set");
  REQUIRE(
      run_in(folder, "120",
             "--set activations.bits=4 --set activations.y.granularity=group --set activations.y.groups=7") ==
      0);
  const auto rows = outlierlab::read_rows(folder / "demo-planted-demo" / "baseline.csv");
  const auto kl = [&rows](const std::string& variant) {
    for (const outlierlab::Row& row : rows) {
      if (row.variant == variant && row.metric == "kl") return row.estimate;
    }
    return -1.0;
  };
  REQUIRE(kl("fp32") == 0);
  REQUIRE(kl("a8") > 10 * kl("w8"));
  // The number of groups is what peg's rows are named after: K = 1 is W8A8 again, whatever --set says of y.
  const auto peg = outlierlab::read_rows(folder / "demo-planted-demo" / "peg.csv");
  std::vector<double> one, all;
  for (const outlierlab::Row& row : peg) {
    if (row.variant == "peg" && row.metric == "kl" && row.value == "1") one.push_back(row.estimate);
    if (row.variant == "peg" && row.metric == "kl" && row.value == "128") all.push_back(row.estimate);
  }
  REQUIRE(one.size() == 1);
  REQUIRE(all.size() == 1);
  REQUIRE(one[0] != all[0]);
}

TEST_CASE("An interrupted run says what it keeps and how to go on", "[app][resume]") {
  const fs::path folder = test::scratch("interrupted");
  const test::Outcome outcome =
      test::run("run deployment --model demo-planted --out " + test::quoted(folder.string()), "timeout 6");
  INFO(outcome.err);
  REQUIRE(outcome.code == 124);  // of timeout: it had to end the program
  const auto notice = outcome.err.find("\noutlierlab: interrupted: ");
  REQUIRE(notice != std::string::npos);
  REQUIRE(outcome.err.find(folder.string(), notice) != std::string::npos);
  REQUIRE(outcome.err.find("--resume", notice) != std::string::npos);
}
