#include <fmt/core.h>

#include <algorithm>
#include <functional>

#include "app/commands.h"
#include "app/engines.h"
#include "app/machine.h"
#include "app/progress.h"
#include "app/session.h"
#include "app/study.h"
#include "core/error.h"
#include "core/files.h"
#include "experiments/experiments.h"
#include "report/report.h"

namespace outlierlab {

namespace {

std::vector<const Experiment*> choose(const std::vector<std::string>& names) {
  std::vector<std::string> known = {"all"};
  for (const Experiment& experiment : experiments()) known.push_back(experiment.name);
  std::vector<const Experiment*> chosen;
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) == known.end()) fail_unknown("experiment", name, known);
    for (const Experiment& experiment : experiments()) {
      const bool wanted = (name == "all" && experiment.in_all) || name == experiment.name;
      if (wanted && std::find(chosen.begin(), chosen.end(), &experiment) == chosen.end())
        chosen.push_back(&experiment);
    }
  }
  return chosen;
}

/// The member of a record that says what was left out, and why.
constexpr const char* not_timed = "not_timed";

/// Shows a study's steps as progress; steps taken over from a resumed file count as done at once.
class StudyProgress {
 public:
  explicit StudyProgress(std::string label) : label_(std::move(label)) {}
  void operator()(std::size_t done, std::size_t total) {
    if (!progress_) progress_ = std::make_unique<Progress>(label_, total);
    progress_->advance(done - shown_);
    shown_ = done;
    if (done == total) progress_->finish();
  }

 private:
  std::string label_;
  std::unique_ptr<Progress> progress_;
  std::size_t shown_ = 0;
};

/// What the rows of one file must have in common.
nlohmann::ordered_json settings_of(const Evaluator& evaluator, const CommonOptions& options) {
  nlohmann::ordered_json settings;
  for (const auto& [key, value] : evaluator.provenance()) {
    // Known only once calibration data has been read; batch size changes no result.
    if (key.rfind("calibration_file", 0) == 0 || key == "calibration_sha256" || key == "batch_size") continue;
    settings[key] = value;
  }
  std::string set;
  for (const std::string& assignment : options.set) set += (set.empty() ? "" : " ") + assignment;
  settings["set"] = set;
  return settings;
}

/// The record beside rows that a resumed run finds; empty: none.
nlohmann::ordered_json record_before(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return nlohmann::ordered_json::object();
  auto before = nlohmann::ordered_json::parse(read_file(file), nullptr, false);
  return before.is_object() ? before : nlohmann::ordered_json::object();
}

/// A resumed file may only grow by rows made with the same settings.
void require_same_settings(const std::filesystem::path& file, const nlohmann::ordered_json& settings) {
  const nlohmann::ordered_json before = record_before(file);
  if (!before.contains("settings")) return;
  for (const auto& [key, value] : settings.items()) {
    const std::string found = before["settings"].value(key, std::string());
    if (found != value) {
      throw UsageError(file.string() + ": --resume: expected " + key + " = '" + found +
                       "' as in the rows there, found '" + value.get<std::string>() +
                       "' (run without --resume, or into another --out)");
    }
  }
}

/// "cuda" executes integers as "int8" does, elsewhere.
StudyEngine engine_named(const std::string& name) {
  static const std::map<std::string, StudyEngine> all = {{"auto", StudyEngine::automatic},
                                                         {"cuda", StudyEngine::integer},
                                                         {"int8", StudyEngine::integer},
                                                         {"simulated", StudyEngine::simulated}};
  const auto at = all.find(name);
  if (at != all.end()) return at->second;
  std::vector<std::string> known;
  for (const auto& [other, engine] : all) known.push_back(other);
  fail_unknown("engine", name, known);
}

/// What studies of time and memory measure: all that is there, unless one engine is asked for.
std::vector<std::string> timed_by(const std::string& name) {
  if (engine_named(name) == StudyEngine::integer) return {name};
  return available_engines();
}

/// What a record says of the rows that are there already.
nlohmann::ordered_json member_of(const nlohmann::ordered_json& record, const std::string& name) {
  const bool known = record.contains(name) && record[name].is_object();
  return known ? record[name] : nlohmann::ordered_json::object();
}

/// The devices beside the processor that the study times on, as they are now; `moment` is "at_start" or
/// "at_end".
void add_devices(nlohmann::ordered_json& devices, Study& study, const char* moment) {
  for (const TimedEngine& engine : study.timed_engines()) {
    if (!engine.monitor) continue;
    devices[engine.name]["device"] = engine.device;
    devices[engine.name][moment] = device_facts(*engine.monitor);
  }
}

/// The runs that have made the rows that are there already, oldest first.
nlohmann::ordered_json runs_of(const nlohmann::ordered_json& record) {
  nlohmann::ordered_json runs = nlohmann::ordered_json::array(), last;
  if (record.contains("earlier_runs") && record["earlier_runs"].is_array()) runs = record["earlier_runs"];
  for (const char* key : {"command", "version", "revision", "cpu", "instructions", "devices", "threads",
                          "started", "wall_seconds"}) {
    if (record.contains(key)) last[key] = record[key];
  }
  if (!last.empty()) runs.push_back(last);
  return runs;
}

void run_one(const Experiment& experiment, Session& session, const CommonOptions& options,
             const std::string& engine_name, const std::vector<std::string>& arguments) {
  Provenance provenance = session_provenance(session, "run", arguments);
  provenance.set("experiment", experiment.name);
  std::string overrides;
  for (const std::string& assignment : options.set) overrides += assignment + "\n";
  provenance.set_config("experiment = " + experiment.name + "\nseeds = " + std::to_string(options.seeds) +
                        "\ncalibration_size = " + std::to_string(options.calibration_size) + "\n" +
                        overrides);
  StudyProgress progress(session.model.name + " " + experiment.name);
  StudyOptions study_options;
  study_options.experiment = experiment.name;
  study_options.model_name = session.model.name;
  study_options.out = options.out;
  study_options.scheme_folder = resource_root() / "configs" / "schemes";
  study_options.overrides = options.set;
  study_options.seeds = options.seeds;
  study_options.resume = options.resume;
  study_options.engine = engine_named(engine_name);
  if (engine_name == "cuda") study_options.executor = engine_name;
  study_options.timed = timed_by(engine_name);
  study_options.progress = [&progress](std::size_t done, std::size_t total, const std::string&) {
    progress(done, total);
  };
  std::function<void()> kept;
  study_options.kept = [&kept] {
    if (kept) kept();
  };
  Study study(*session.evaluator, study_options);
  experiment.state(study);
  nlohmann::ordered_json settings = settings_of(*session.evaluator, options);
  // Files from before there was a choice were simulated.
  const bool simulated = study_options.engine == StudyEngine::simulated;
  if (!simulated) settings["engine"] = engine_name;
  const std::filesystem::path file = std::filesystem::path(study.file()).replace_extension(".json");
  if (options.resume) require_same_settings(file, settings);
  provenance.set("settings", settings);
  nlohmann::ordered_json engine_of = nlohmann::ordered_json::object(), before = engine_of,
                         devices = engine_of;
  if (options.resume) {
    before = record_before(file);
    engine_of = member_of(before, "engines");
    if (const auto runs = runs_of(before); !runs.empty()) provenance.set("earlier_runs", runs);
  }
  const auto write_record = [&] {
    for (const auto& [measurement, engine] : study.engines()) engine_of[measurement] = engine;
    if (!simulated) provenance.set("engines", engine_of);
    for (const auto& [name, notes] : study.notes()) {
      // What is left out is found again by every run.
      nlohmann::ordered_json all =
          name == not_timed ? nlohmann::ordered_json::object() : member_of(before, name);
      for (const auto& [of, text] : notes) all[of] = text;
      provenance.set(name, all);
    }
    if (!devices.empty()) provenance.set("devices", devices);
    write_file_atomically(file, provenance.to_json().dump(2) + "\n");
  };
  if (study.times()) add_devices(devices, study, "at_start");
  write_record();
  // A killed run's rows keep the engines that made them.
  if (!simulated) kept = write_record;
  const std::vector<Row>& rows = study.run();
  add_evaluator_facts(provenance, *session.evaluator);
  provenance.set("rows", rows.size());
  if (study.times()) add_devices(devices, study, "at_end");
  write_record();
  const std::string planted = session.model.planted ? ", planted" : "";
  const std::vector<Table> tables = experiment_tables(experiment.name, rows);
  fmt::print("\n{} ({}{}): {} [{}]\n\n{}", experiment.name, session.model.name, planted, experiment.summary,
             experiment.claims, to_text(tables.front()));
  // The summaries of devices; titles of other tables say what of after a colon.
  for (std::size_t i = 1; i < tables.size() && study.times(); ++i) {
    if (tables[i].title.find(':') == std::string::npos) fmt::print("\n{}", to_text(tables[i]));
  }
  if (const auto left_out = study.notes().find(not_timed); left_out != study.notes().end()) {
    for (const auto& [method, reason] : left_out->second) fmt::print("not timed: {}: {}\n", method, reason);
  }
  std::fflush(stdout);
}

}  // namespace

int command_run(const std::vector<std::string>& arguments) {
  CommonOptions values;
  values.out = "out";
  std::vector<std::string> names;
  Options options(
      "run", "Runs experiments and prints their tables; rows and provenance go to <out>/<model>-<task>/.",
      "outlierlab run baseline peg --model demo-planted --limit 500");
  options.positional("EXPERIMENT",
                     "names of `outlierlab list experiments`, or all (but those on request only)", &names, 1,
                     100);
  add_common(options, values,
             {"model", "task", "data", "limit", "seeds", "out", "resume", "set", "threads", "batch-size",
              "calibration-size"});
  std::string engine_name = "simulated";
  options.add(
      "engine", "NAME",
      "simulated; int8, or cuda (on a GPU): integer execution of the schemes that allow it; auto: int8 "
      "for those that moreover agree with their simulation on the first examples. deployment and "
      "deployment_shapes time all that is there, or this one",
      &engine_name);
  if (!options.parse(arguments)) return 0;
  engine_named(engine_name);
  if (engine_name == "cuda") require_engine(engine_name);
  const std::vector<const Experiment*> chosen = choose(names);
  Session session = open_session(values, values.out);
  for (const Experiment* experiment : chosen) run_one(*experiment, session, values, engine_name, arguments);
  return 0;
}

}  // namespace outlierlab
