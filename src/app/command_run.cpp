#include <fmt/core.h>

#include <algorithm>
#include <functional>

#include "app/commands.h"
#include "app/engines.h"
#include "app/interruption.h"
#include "app/progress.h"
#include "app/session.h"
#include "app/study.h"
#include "app/study_record.h"
#include "core/error.h"
#include "core/parallel.h"
#include "engine/cpu/int8_gemm.h"
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

/// An engine that executes integers (engine_names()), or what stands for none or for one that agrees.
StudyEngine engine_named(const std::string& name) {
  std::vector<std::string> known = engine_names();
  if (std::find(known.begin(), known.end(), name) != known.end()) return StudyEngine::integer;
  if (name == "simulated") return StudyEngine::simulated;
  if (name == "auto") return StudyEngine::automatic;
  known.insert(known.end(), {"auto", "simulated"});
  fail_unknown("engine", name, known);
}

/// What studies of time and memory measure: all that is there, unless one engine is asked for.
std::vector<std::string> timed_by(const std::string& name) {
  if (engine_named(name) == StudyEngine::integer) return {name};
  return present_engines();
}

void run_one(const Experiment& experiment, Session& session, const CommonOptions& options,
             const std::string& engine_name, double cell_seconds, const std::vector<std::string>& arguments) {
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
  if (study_options.engine == StudyEngine::integer) study_options.executor = engine_name;
  study_options.timed = timed_by(engine_name);
  study_options.cell_seconds = cell_seconds;
  study_options.progress = [&progress](std::size_t done, std::size_t total, const std::string&) {
    progress(done, total);
  };
  std::function<void()> kept;
  study_options.kept = [&kept] {
    if (kept) kept();
  };
  Study study(*session.evaluator, study_options);
  experiment.state(study);
  provenance.set("split_examples", std::to_string(session.evaluator->split_size()));
  nlohmann::ordered_json settings = settings_of(*session.evaluator, options);
  if (study_options.engine != StudyEngine::simulated) settings["engine"] = engine_name;
  if (study.times()) {
    // Of one file, all times are of one machine's processor, threads and instructions.
    const auto machine = provenance.to_json();
    settings["cpu"] = machine.at("cpu");
    settings["instructions"] = engine::int8_kernels().name;
    settings["threads"] = std::to_string(threads());
    settings["cell_seconds"] = fmt::format("{}", cell_seconds);
  }
  StudyRecord record(study, provenance, settings);
  kept = [&record] { record.write(); };  // rows that a killed run leaves keep what made them
  record.begin();
  const InterruptionNotice notice(study.file().string() +
                                  " keeps the rows measured so far; the same command with --resume goes on");
  const std::vector<Row>& rows = study.run();
  add_evaluator_facts(provenance, *session.evaluator);
  provenance.set("rows", rows.size());
  record.end();
  const std::string planted = session.model.planted ? ", planted" : "";
  const std::vector<Table> tables = experiment_tables(experiment.name, rows);
  fmt::print("\n{} ({}{}): {} [{}]\n\n{}", experiment.name, session.model.name, planted, experiment.summary,
             experiment.claims, to_text(tables.front()));
  // Studies that time have a summary for each device.
  for (std::size_t i = 1; i < tables.size() && study.times(); ++i) {
    if (!tables[i].is_detail) fmt::print("\n{}", to_text(tables[i]));
  }
  for (const auto& [method, reason] : record.not_timed()) fmt::print("not timed: {}: {}\n", method, reason);
  for (const auto& [name, text] :
       {std::pair("disturbed", "disturbed"), std::pair("not_executed", "simulated")}) {
    const auto notes = study.notes().find(name);
    if (notes == study.notes().end()) continue;
    for (const auto& [of, why] : notes->second) {
      if (!why.empty()) fmt::print("{}: {}: {}\n", text, of, why);
    }
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
      "for those that moreover agree with their scheme in double precision on the first examples, where the "
      "split is so large that asking pays. "
      "deployment and deployment_shapes time all that is there, or int8 or cuda alone; roofline measures the "
      "CPU, and a GPU that is there unless this is int8",
      &engine_name);
  double cell_seconds = StudyOptions().cell_seconds;
  options.add(
      "cell-seconds", "N",
      "deployment and deployment_shapes: so long each cell is timed, its methods together, unless all "
      "medians are narrow before; rare latencies (p95, p99) want more",
      &cell_seconds, 0, 3600);
  if (!options.parse(arguments)) return 0;
  if (engine_named(engine_name) == StudyEngine::integer) require_engine(engine_name);
  const std::vector<const Experiment*> chosen = choose(names);
  Session session = open_session(values, values.out);
  for (const Experiment* experiment : chosen)
    run_one(*experiment, session, values, engine_name, cell_seconds, arguments);
  return 0;
}

}  // namespace outlierlab
