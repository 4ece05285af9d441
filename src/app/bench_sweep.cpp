#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>

#include "app/agreement.h"
#include "app/bench.h"
#include "app/engines.h"
#include "app/progress.h"
#include "app/session.h"
#include "app/study.h"
#include "core/parallel.h"
#include "core/temporary_folder.h"
#include "experiments/calibrations.h"

namespace outlierlab {

namespace {

using Json = nlohmann::ordered_json;

double seconds_of(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The experiment's calibrators, then percentiles between 99 and 99.98.
std::vector<Calibration> variants(std::size_t count) {
  std::vector<Calibration> all = calibrations(resource_root() / "configs" / "schemes");
  for (std::size_t i = 0; all.size() < count; ++i) {
    const double percentile = 99 + 0.98 * (static_cast<double>(i) + 0.5) / static_cast<double>(count);
    const Calibration next{"percentile", "percentile", fmt::format("{:.10g}", percentile)};
    // A study would skip what it has already.
    const bool known = std::any_of(all.begin(), all.end(),
                                   [&](const Calibration& c) { return c.overrides() == next.overrides(); });
    if (!known) all.push_back(next);
  }
  all.resize(count);
  return all;
}

Scheme scheme_of(const Calibration& calibration) {
  return Scheme::load("w8a8", resource_root() / "configs" / "schemes", calibration.overrides());
}

StudyOptions study_options(const std::filesystem::path& folder, const std::string& experiment,
                           StudyEngine engine) {
  StudyOptions made;
  made.experiment = experiment;
  made.model_name = "bench";
  made.out = folder;
  made.scheme_folder = resource_root() / "configs" / "schemes";
  made.engine = engine;
  return made;
}

/// One study over the variants, in a session of its own. Returns why it simulated them all; empty if it did
/// not or was asked to.
std::string run_study(const CommonOptions& options, const std::vector<Calibration>& sweep,
                      const std::filesystem::path& folder, const std::string& experiment, StudyEngine engine,
                      Progress& progress) {
  Session session = open_session(options);
  StudyOptions made = study_options(folder, experiment, engine);
  std::size_t before = 0;
  made.progress = [&](std::size_t done, std::size_t /*total*/, const std::string& /*what*/) {
    progress.advance(done - before);
    before = done;
  };
  Study study(*session.evaluator, made);
  for (const Calibration& c : sweep) study.evaluate(c.calibrator, c.key, c.value, scheme_of(c));
  study.run();
  const auto simulated = study.notes().find("not_executed");
  if (simulated == study.notes().end()) return "";
  const auto all = simulated->second.find(Study::every_scheme);
  return all == simulated->second.end() ? "" : all->second;
}

/// Whether the engine agrees with every variant in double precision on the first examples; says with which it
/// does not.
bool engine_agrees(const CommonOptions& options, const std::vector<Calibration>& sweep) {
  Session session = open_session(options);
  bool all = true;
  Progress progress("agreement", sweep.size());
  for (const Calibration& c : sweep) {
    const Scheme scheme = scheme_of(c);
    const auto executor = make_executor("int8", session.evaluator->lowered(scheme));
    Simulation simulation(*session.evaluator, scheme, 0, agreement_examples);
    const Agreement agreement = engine_agreement(simulation, *executor);
    if (!agreement.holds()) {
      all = false;
      fmt::print("int8 is not timed: {} {}: {}\n", c.calibrator, c.value, agreement.text());
    }
    progress.advance();
  }
  return all;
}

}  // namespace

Json bench_sweep(const CommonOptions& options, std::size_t count, const std::vector<std::string>& only) {
  const std::vector<Calibration> sweep = variants(count);
  const TemporaryFolder folder;
  const auto wanted = [&](const char* name) {
    return only.empty() || std::find(only.begin(), only.end(), name) != only.end();
  };
  std::vector<std::pair<std::string, StudyEngine>> engines;
  if (wanted("simulated")) engines.emplace_back("simulated", StudyEngine::simulated);
  if (wanted("int8") && engine_agrees(options, sweep)) engines.emplace_back("int8", StudyEngine::integer);
  if (wanted("auto")) engines.emplace_back("auto", StudyEngine::automatic);
  if (engines.empty()) fail_expected("bench --sweep", "a kind of sweep that may be timed", "none");
  const auto seconds_apart = [&](const std::string& name, StudyEngine engine) {
    double sum = 0;
    Progress progress(name + ", separate", sweep.size());
    for (std::size_t i = 0; i < sweep.size(); ++i) {
      const std::string one = fmt::format("{}-{}", name, i);
      sum += seconds_of([&] { run_study(options, {sweep[i]}, folder.path(), one, engine, progress); });
    }
    return sum;
  };
  fmt::print("{} calibrators of W8A8, {} threads\n\n{:<12} {:>10} {:>12} {:>8}\n", count, threads(), "engine",
             "sweep, s", "separate, s", "ratio");
  // Whatever is timed first would pay for the files' first reading.
  Progress warm_up("warm-up", 1);
  run_study(options, {sweep.front()}, folder.path(), "warm-up", StudyEngine::simulated, warm_up);
  const double simulated = seconds_apart("simulated", StudyEngine::simulated);
  Json rows = Json::array();
  std::string remarks =
      "\n* against separate evaluations that simulate, as `outlierlab eval` does by default\n";
  for (const auto& [name, engine] : engines) {
    Progress progress(name + ", sweep", sweep.size());
    std::string why;
    const double together = seconds_of([&, e = engine, n = name + "-sweep"] {
      why = run_study(options, sweep, folder.path(), n, e, progress);
    });
    if (!why.empty()) remarks += fmt::format("{} simulates: {}\n", name, why);
    const auto add = [&, &name = name](const std::string& against, double separate) {
      fmt::print("{:<12} {:>10.2f} {:>12.2f} {:>8.3f}\n", against == name ? name : name + " *", together,
                 separate, together / separate);
      rows.push_back({{"engine", name},
                      {"against", against},
                      {"variants", count},
                      {"sweep_seconds", together},
                      {"separate_seconds", separate},
                      {"ratio", together / separate}});
      if (!why.empty()) rows.back()["simulated"] = why;
    };
    if (engine == StudyEngine::integer) add(name, seconds_apart(name, engine));
    add("simulated", simulated);
    std::fflush(stdout);
  }
  fmt::print("{}", remarks);
  return rows;
}

}  // namespace outlierlab
