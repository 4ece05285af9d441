// What a study's record says of the rows that several runs have made.
#include "app/study_record.h"

#include <utility>
#include <vector>

#include "app/resources.h"
#include "catch.h"
#include "core/error.h"
#include "core/files.h"
#include "engine/refusal.h"
#include "paths.h"
#include "report/row.h"
#include "report/run_record.h"

using namespace outlierlab;

namespace {

using Json = nlohmann::ordered_json;

Evaluator small_evaluator() {
  EvaluatorOptions options;
  options.task = Task::read(find_task("demo"));
  options.model_folder = find_model("demo-planted").folder;
  options.limit = 8;
  options.calibration_size = 8;
  return Evaluator(options);
}

/// A machine's engines, by what stands there for the GPU: "" for none, "old" for one that cannot be used.
struct Machine {
  std::string gpu;
  std::vector<std::string> engines = {"int8", "cuda"};
  StudyEngine evaluated_by = StudyEngine::simulated;
};

StudyOptions options_of(const std::filesystem::path& out, const Machine& machine, bool resume) {
  StudyOptions options;
  options.experiment = "timed";
  options.model_name = "small";
  options.out = out;
  options.resume = resume;
  options.engine = machine.evaluated_by;
  options.timed = machine.engines;
  options.make_timed = [gpu = machine.gpu](const std::string& name) {
    TimedEngine engine;
    engine.name = name;
    if (name == "int8") return engine;
    if (gpu == "old") throw Refusal("Old GPU: expected compute capability 7.5 or higher, found 6.1");
    engine.is_device = true;
    engine.device = gpu;
    engine.monitor = std::make_shared<engine::DeviceMonitor>("00000000:17:00.0", OUTLIERLAB_FAKE_NVML);
    return engine;
  };
  return options;
}

constexpr const char* failing = "fails";

/// A study that times `methods`, of which "refused" is not timed and `failing` throws; returns its record.
Json run(Evaluator& evaluator, const std::filesystem::path& out, const Machine& machine, bool resume,
         const std::vector<std::string>& methods, const std::string& refused = "") {
  Study study(evaluator, options_of(out, machine, resume));
  for (const TimedEngine& engine : study.timed_engines()) {
    for (const std::string& method : methods) {
      const std::string variant = (engine.is_device ? engine.name + " " : "") + method;
      study.measure(variant, "", "", [&study, variant, refused] {
        study.tries(variant);
        if (variant == failing) throw Error("fails");
        if (variant == refused) {
          study.note("not_timed", variant, "refused");
          return std::vector<Row>();
        }
        study.note("executors", variant, "an executor");
        study.note("agreement", variant, "agrees");
        study.note("device_state", variant, "1410 MHz");
        study.note("disturbed", variant, "1 of 2 medians");
        return std::vector<Row>{figure("latency_p50_ms", 1)};
      });
    }
  }
  Provenance provenance({"run", "timed"});
  Json settings = {{"model", "small"}};
  if (machine.evaluated_by != StudyEngine::simulated) settings["engine"] = "int8";
  StudyRecord record(study, provenance, settings);
  record.begin();
  study.run();
  record.end();
  return Json::parse(read_file(std::filesystem::path(study.file()).replace_extension(".json")));
}

}  // namespace

TEST_CASE("A resumed study's record keeps what it says of the rows that are there", "[app][resume]") {
  Evaluator evaluator = small_evaluator();
  const auto out = test::scratch("record-kept");
  const Machine machine = {"GPU A"};
  const Json first = run(evaluator, out, machine, false, {"float:fp32", "integer:w8a8"}, "cuda integer:w8a8");
  REQUIRE(first["executors"].size() == 3);
  REQUIRE(!first.contains("unfinished"));  // what was refused is not missing
  REQUIRE(first["not_timed"] == Json::object({{"cuda integer:w8a8", "refused"}}));
  // Rows of the first are there; the second makes one more, and does not try what was refused.
  const Json second = run(evaluator, out, {"", {"int8"}}, true, {"float:fp32", "integer:peg"});
  for (const char* member : {"executors", "agreement", "device_state", "disturbed"}) {
    INFO(member);
    REQUIRE(second[member].size() == 4);
    REQUIRE(second[member].contains("cuda float:fp32"));
    REQUIRE(second[member].contains("integer:peg"));
  }
  REQUIRE(second["not_timed"] == first["not_timed"]);
  REQUIRE(second["earlier_runs"].size() == 1);
  // What is tried again, and timed, is not left out any more.
  const Json third = run(evaluator, out, machine, true, {"float:fp32", "integer:w8a8"});
  REQUIRE(third["not_timed"].empty());
  REQUIRE(third["executors"].contains("cuda integer:w8a8"));
}

TEST_CASE("What is measured side by side is resumed as one", "[app][resume]") {
  Evaluator evaluator = small_evaluator();
  const auto out = test::scratch("record-together");
  const std::vector<std::string> variants = {"float:fp32", "refused", "integer:w8a8"};
  std::vector<std::string> made;
  const auto run_together = [&](bool resume, const std::string& fails) {
    Study study(evaluator, options_of(out, {"", {"int8"}}, resume));
    study.measure_together(variants, "batch x length", "8x32", [&](std::size_t i) {
      made.push_back(variants[i]);
      if (variants[i] == fails) throw Error("fails");
      return variants[i] == "refused" ? std::vector<Row>() : std::vector<Row>{figure("latency_p50_ms", 1)};
    });
    return study.run();
  };
  REQUIRE_THROWS_AS(run_together(false, "integer:w8a8"), Error);
  REQUIRE_FALSE(std::filesystem::exists(out / "small-demo" / "timed.csv"));
  made.clear();
  REQUIRE(run_together(true, "").size() == 2);
  REQUIRE(made == variants);
  made.clear();
  REQUIRE(run_together(true, "").size() == 2);
  REQUIRE(made.empty());
}

TEST_CASE("A note without text takes back an earlier run's", "[app][resume]") {
  Evaluator evaluator = small_evaluator();
  const auto out = test::scratch("record-taken-back");
  run(evaluator, out, {"", {"int8"}}, false, {"float:fp32", "integer:w8a8"});
  Study study(evaluator, options_of(out, {"", {"int8"}}, true));
  (void)study.timed_engines();
  study.note("disturbed", "float:fp32", "");
  Provenance provenance({"run", "timed"});
  StudyRecord record(study, provenance, {{"model", "small"}});
  record.begin();
  const Json written = Json::parse(read_file(out / "small-demo" / "timed.json"));
  REQUIRE(written["disturbed"] == Json::object({{"integer:w8a8", "1 of 2 medians"}}));
}

TEST_CASE("A run that ends before its first row leaves none of an earlier run's to be resumed",
          "[app][resume]") {
  Evaluator evaluator = small_evaluator();
  const auto out = test::scratch("record-set-aside");
  const auto folder = out / "small-demo";
  const Machine machine = {"", {"int8"}};
  run(evaluator, out, machine, false, {"float:fp32", "integer:w8a8"});
  const std::string rows = read_file(folder / "timed.csv"), record = read_file(folder / "timed.json");
  REQUIRE_THROWS_AS(run(evaluator, out, machine, false, {failing, "integer:w8a8"}), Error);
  REQUIRE_FALSE(std::filesystem::exists(folder / "timed.csv"));
  REQUIRE(Json::parse(read_file(folder / "timed.json"))["unfinished"] == "0 of 2 measurements");
  REQUIRE(read_file(folder / "timed.csv.previous") == rows);
  REQUIRE(read_file(folder / "timed.json.previous") == record);
  const Json resumed = run(evaluator, out, machine, true, {"integer:peg"});
  REQUIRE(resumed["executors"] == Json::object({{"integer:peg", "an executor"}}));
  REQUIRE(read_rows(folder / "timed.csv").size() == 1);
}

TEST_CASE("A resumed study keeps the device that made rows, and refuses another", "[app][resume]") {
  Evaluator evaluator = small_evaluator();
  const auto out = test::scratch("record-devices");
  const Json first = run(evaluator, out, {"GPU A"}, false, {"float:fp16"});
  REQUIRE(first["devices"]["cuda"]["device"] == "GPU A");
  REQUIRE(first["devices"]["cuda"]["at_start"]["driver"] == "999.1");
  REQUIRE(first["devices"]["cuda"]["at_end"]["clock_mhz"] == 1410);
  REQUIRE_FALSE(first["devices"].contains("int8"));
  // Without the GPU.
  const Json second = run(evaluator, out, {"", {"int8"}}, true, {"float:fp16"});
  REQUIRE(second["devices"] == first["devices"]);
  const auto file = out / "small-demo" / "timed.json";
  REQUIRE(read_run_record(file).device == "GPU A, driver 999.1");
  const std::string before = read_file(file);
  try {
    run(evaluator, out, {"GPU B"}, true, {"float:fp16"});
    FAIL("resumed on another GPU");
  } catch (const UsageError& error) {
    REQUIRE(std::string(error.what()).find("--resume: expected device of cuda = 'GPU A'") !=
            std::string::npos);
    REQUIRE(std::string(error.what()).find("found 'GPU B'") != std::string::npos);
  }
  REQUIRE(read_file(file) == before);

  // Where no rows are there, another may make them.
  const auto empty = test::scratch("record-no-rows");
  run(evaluator, empty, {"GPU A"}, false, {"float:fp8"}, "cuda float:fp8");
  REQUIRE(run(evaluator, empty, {"GPU B"}, true, {"float:fp8"})["devices"]["cuda"]["device"] == "GPU B");
}

TEST_CASE("A simulated study does not go on with an engine's rows", "[app][resume]") {
  Evaluator evaluator = small_evaluator();
  const auto out = test::scratch("record-engine");
  run(evaluator, out, {"", {"int8"}, StudyEngine::integer}, false, {"integer:w8a8"});
  REQUIRE_THROWS_AS(run(evaluator, out, {"", {"int8"}}, true, {"integer:w8a8"}), UsageError);
}

TEST_CASE("A GPU that cannot be used leaves the processor's study alone, unless it was asked for",
          "[app][engine]") {
  Evaluator evaluator = small_evaluator();
  const Json record = run(evaluator, test::scratch("record-old"), {"old"}, false, {"float:fp32"});
  REQUIRE(record["executors"].contains("float:fp32"));
  REQUIRE(record["not_timed"]["cuda"].get<std::string>().find("capability 7.5") != std::string::npos);
  REQUIRE_FALSE(record.contains("devices"));
  REQUIRE_THROWS_AS(run(evaluator, test::scratch("record-old-only"), {"old", {"cuda"}}, false, {"a"}),
                    Refusal);
}

TEST_CASE("An automatic study asks the engine only of a split large enough for that to pay", "[app]") {
  Evaluator evaluator = small_evaluator();
  const auto engine_of = [&](std::size_t asked_from) {
    StudyOptions options = options_of(test::scratch("record-automatic"), {"", {"int8"}}, false);
    options.engine = StudyEngine::automatic;
    options.asked_from = asked_from;
    Study study(evaluator, options);
    study.evaluate("w8a8", "", "", Scheme::load("w8a8", resource_root() / "configs" / "schemes", {}));
    study.run();
    const auto notes = study.notes().find("not_executed");
    const bool declined = notes != study.notes().end() && notes->second.count(Study::every_scheme) > 0;
    REQUIRE(declined == (evaluator.size() < asked_from));
    return study.engines().at("w8a8");
  };
  REQUIRE(engine_of(evaluator.size()).rfind("cpu ", 0) == 0);
  REQUIRE(engine_of(evaluator.size() + 1) == "simulated");
}
