#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "app/agreement.h"
#include "app/bench.h"
#include "app/bench_hooks.h"
#include "app/commands.h"
#include "app/engines.h"
#include "app/session.h"
#include "core/error.h"
#include "core/files.h"
#include "core/isa.h"
#include "core/parallel.h"
#include "core/quantile.h"
#include "engine/cpu/cpu_executor.h"
#include "experiments/timing.h"
#include "stats/statistics.h"

namespace outlierlab {

namespace {

/// Does nothing; with `all`, all rows are computed for it.
struct Bystander : SiteHook {
  explicit Bystander(bool all) : all_rows(all) {}
  void visit(const SiteTile& /*tile*/, int /*thread*/) override {}
  bool needs_all_rows() const override { return all_rows; }
  const bool all_rows;
};

/// The hook that the float network runs with: of fp32, which needs none, one that does nothing. Null for what
/// does not run the float network.
std::unique_ptr<SiteHook> hook_of(const std::string& contender, const Evaluator& evaluator) {
  if (contender == "fp32") return std::make_unique<Bystander>(false);
  if (contender == "fp32-all-rows") return std::make_unique<Bystander>(true);
  if (contender == "capture-visits") return std::make_unique<CaptureFloor>(false);
  if (contender == "capture-counting") return std::make_unique<CaptureFloor>(true);
  if (contender != "capture") return nullptr;
  auto collector = std::make_unique<StatisticsCollector>(evaluator.float_runner().sites());
  collector->expect(evaluator.batches());
  return collector;
}

/// The clock of the cores in GHz during a pass of its own; none for what does not run the float network.
std::optional<double> clock_during(const std::string& contender, const Evaluator& evaluator) {
  const auto hook = hook_of(contender, evaluator);
  if (!hook) return std::nullopt;
  ClockProbe probe(*hook);
  run_batches(evaluator.float_runner(), evaluator.batches(), evaluator.size(), &probe);
  return probe.clock_ghz();
}

/// Time relative to that of `reference`, pass by pass.
std::vector<double> ratios(const std::vector<double>& seconds, const std::vector<double>& reference) {
  std::vector<double> all;
  for (std::size_t i = 0; i < seconds.size(); ++i) all.push_back(seconds[i] / reference[i]);
  return all;
}

/// --sweep and --startup, which open sessions of their own: `rows_of` measures.
int bench_of_sessions(const CommonOptions& values, const std::string& kind,
                      const std::vector<std::string>& arguments,
                      const std::function<nlohmann::ordered_json()>& rows_of) {
  std::vector<std::string> line = {"bench"};
  line.insert(line.end(), arguments.begin(), arguments.end());
  Provenance provenance(line);
  provenance.set("model", values.model);
  provenance.set("limit", values.limit);
  const nlohmann::ordered_json rows = rows_of();
  if (values.json.empty()) return 0;
  const nlohmann::ordered_json result = {{kind, rows}, {"provenance", provenance.to_json()}};
  write_file_atomically(values.json, result.dump(2) + "\n");
  return 0;
}

}  // namespace

int command_bench(const std::vector<std::string>& arguments) {
  CommonOptions values;
  values.limit = 1000;
  std::uint64_t repeats = 7;
  std::vector<std::string> schemes = {"w8a8",         "w8a8-token",        "peg-6-permuted", "mp-xhy-16",
                                      "mp-channel-1", "w8a8-token-linear", "llm-int8"};
  Options options("bench",
                  "Times float, simulated and integer evaluation and the capture of statistics against each "
                  "other;\nor, with --sweep, a sweep against separate evaluations; or, with --startup, the "
                  "first answer of\na new process.",
                  "outlierlab bench --model minilm-qnli --limit 1000 --repeats 7");
  add_common(options, values,
             {"model", "task", "data", "limit", "json", "threads", "batch-size", "calibration-size"});
  options.add("repeats", "N", "timed passes of each contender, after one untimed", &repeats, 1, 1000);
  std::vector<std::string> only;
  options.add("only", "NAME",
              "fp32 and this contender of the table alone; with --sweep: simulated, int8 or auto; repeatable",
              &only);
  bool clock = false;
  options.flag("clock", "runs each contender of float once more and tells the clock of the cores meanwhile",
               &clock);
  std::uint64_t sweep = 0;
  bool startup = false;
  options.add("sweep", "N", "times N calibrators as one sweep against N separate evaluations instead", &sweep,
              0, 1000);
  options.flag("startup", "times the start-up of a process that answers one pair of texts instead", &startup);
  if (!options.parse(arguments)) return 0;
  std::vector<std::string> known = {"fp32", "capture", "fp32-all-rows", "capture-visits", "capture-counting"};
  const std::size_t first_scheme = known.size();
  known.insert(known.end(), schemes.begin(), schemes.end());
  for (const std::string& engine : available_engines()) {
    for (const std::string& name : schemes) known.push_back(engine + ":" + name);
  }
  known.push_back("bf16");
  for (const std::string& name : only) {
    const std::vector<std::string>& names = sweep > 0 ? sweep_engines : known;
    if (std::find(names.begin(), names.end(), name) == names.end())
      fail_unknown(sweep > 0 ? "sweep" : "contender", name, names);
  }
  const auto wanted = [&](const std::string& name) {
    return only.empty() || std::find(only.begin(), only.end(), name) != only.end();
  };
  if (sweep > 0 && startup) throw UsageError("--sweep: expected no --startup beside it, found both");
  if (startup && options.given("only"))
    throw UsageError("--only: expected no --startup beside it, found both");
  if ((sweep > 0 || startup) && clock)
    throw UsageError(fmt::format("--clock: expected neither --sweep nor --startup beside it, found --{}",
                                 startup ? "startup" : "sweep"));
  if (sweep > 0 && options.given("repeats"))
    throw UsageError("--repeats: expected no --sweep beside it (each study is timed once), found both");
  set_threads(values.threads);
  if (sweep > 0)
    return bench_of_sessions(values, "sweep", arguments, [&] { return bench_sweep(values, sweep, only); });
  if (startup)
    return bench_of_sessions(values, "startup", arguments, [&] { return bench_startup(values, repeats); });
  Session session = open_session(values);
  Provenance provenance = session_provenance(session, "bench", arguments);
  Evaluator& evaluator = *session.evaluator;
  const std::size_t n = evaluator.size();

  std::vector<Contender> contenders;
  contenders.push_back(
      {"fp32", [&] { run_batches(evaluator.float_runner(), evaluator.batches(), n, nullptr); }});
  if (wanted("capture")) contenders.push_back({"capture", [&] { evaluator.evaluation_statistics(); }});
  const auto captures = [](const std::string& name) { return name.rfind("capture", 0) == 0; };
  const bool any_capture = std::any_of(known.begin(), known.end(),
                                       [&](const auto& name) { return captures(name) && wanted(name); });
  for (const char* name : {"fp32-all-rows", "capture-visits", "capture-counting"}) {
    const bool compared_with = any_capture && !captures(name);  // the passes whose values captures see
    if (!wanted(name) && !compared_with) continue;
    contenders.push_back({name, [&, name] {
                            const auto floor = hook_of(name, evaluator);
                            run_batches(evaluator.float_runner(), evaluator.batches(), n, floor.get());
                          }});
  }
  std::vector<ActivationQuantizer> quantizers;
  std::vector<std::unique_ptr<engine::Executor>> engines;
  for (const std::string& name : schemes) {
    const Scheme scheme = Scheme::load(name, resource_root() / "configs" / "schemes", {});
    quantizers.push_back(evaluator.quantizer(scheme));
  }
  // One for all simulated schemes: weights change no time. Its own, since comparing engines asks for others.
  const BertRunner quantized =
      evaluator.runner(Scheme::load("w8a8", resource_root() / "configs" / "schemes", {})).copy();
  for (std::size_t i = 0; i < schemes.size(); ++i) {
    if (!wanted(schemes[i])) continue;
    contenders.push_back(
        {schemes[i], [&, i] { run_batches(quantized, evaluator.batches(), n, &quantizers[i]); }});
  }
  const bool engine_wanted = std::any_of(
      known.begin() + static_cast<std::ptrdiff_t>(first_scheme + schemes.size()), known.end(), wanted);
  if (engine_wanted) fmt::print("Agreement of the engine with what it replaces:\n");
  std::map<std::string, Simulation> simulations;  // by scheme: engines share them
  const auto add_engine = [&](const std::string& name, const std::string& scheme_name, const auto& make) {
    if (!wanted(name)) return;
    const Scheme scheme = Scheme::load(scheme_name, resource_root() / "configs" / "schemes", {});
    engines.push_back(make(evaluator.lowered(scheme)));
    engine::Executor& executor = *engines.back();
    Simulation& simulation = simulations.try_emplace(scheme_name, evaluator, scheme).first->second;
    const Agreement agreement = engine_agreement(simulation, executor, true);
    fmt::print("{:<22} {}\n", name, agreement.text());
    if (!agreement.holds()) {
      fmt::print(
          "{:<22} not timed: expected {} % equal predictions, or the simulation's in float32, and an "
          "accuracy within {} points or chance\n",
          name, Agreement::required_predictions, Agreement::largest_accuracy_change);
      return;
    }
    contenders.push_back({name, [&] { run_batches(executor, evaluator.batches(), n); }});
  };
  using Model = std::shared_ptr<const engine::Model>;
  for (const std::string& engine : available_engines()) {
    for (const std::string& name : schemes)
      add_engine(engine + ":" + name, name, [&](Model model) { return make_executor(engine, model); });
  }
  add_engine("bf16", "fp32", [](Model model) {
    engine::CpuOptions half;
    half.real = engine::RealPrecision::bfloat16;
    return std::make_unique<engine::CpuExecutor>(std::move(model), half);
  });
  if (engine_wanted) fmt::print("\n");
  TimingOptions timing;
  timing.least_rounds = timing.most_passes = repeats;
  const std::vector<std::vector<double>> seconds = time_side_by_side(contenders, timing);

  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  fmt::print("{} on {}: {} examples in length-sorted batches of {}, {} threads, {}, {} repeats\n\n",
             session.model.name, evaluator.options().task.name, n, values.batch_size, threads(),
             to_string(isa()), repeats);
  fmt::print("{:<22} {:>14} {:>10} {:>30}{}\n", "contender", "examples/s", "seconds",
             "time relative to fp32 [95 %]", clock ? "   clock, GHz" : "");
  bool disturbed = false;
  const auto all_rows = std::find_if(contenders.begin(), contenders.end(),
                                     [](const Contender& c) { return c.name == "fp32-all-rows"; });
  std::string added;  // by capture
  for (std::size_t c = 0; c < contenders.size(); ++c) {
    const std::string& name = contenders[c].name;
    const std::vector<double> relative = ratios(seconds[c], seconds[0]);
    const double middle = median(seconds[c]), ratio = median(relative);
    const Interval interval = median_interval(relative);
    disturbed = disturbed || is_disturbed(seconds[c]);
    nlohmann::ordered_json row = {{"contender", name},
                                  {"examples_per_second", static_cast<double>(n) / middle},
                                  {"time_relative_to_fp32", ratio},
                                  {"ci_low", interval.low},
                                  {"ci_high", interval.high},
                                  {"seconds", seconds[c]}};
    if (captures(name)) {
      const std::vector<double> to_all =
          ratios(seconds[c], seconds[static_cast<std::size_t>(all_rows - contenders.begin())]);
      const Interval sure = median_interval(to_all);
      row["time_relative_to_all_rows"] = {
          {"median", median(to_all)}, {"ci_low", sure.low}, {"ci_high", sure.high}};
      const auto more = [](double r) { return 100 * (r - 1); };
      added += fmt::format("{:<22} {:.1f} % [{:.1f}, {:.1f}]\n", name, more(median(to_all)), more(sure.low),
                           more(sure.high));
    }
    const auto ghz = clock ? clock_during(name, evaluator) : std::nullopt;
    if (ghz) row["clock_ghz"] = *ghz;
    fmt::print("{:<22} {:>14.1f} {:>10.3f} {:>30}{}\n", name, static_cast<double>(n) / middle, middle,
               fmt::format("{:.3f} [{:.3f}, {:.3f}]", ratio, interval.low, interval.high),
               ghz ? fmt::format("   {:>10.2f}", *ghz) : "");
    rows.push_back(std::move(row));
  }
  if (!added.empty()) fmt::print("\nMore than the passes of fp32-all-rows take:\n{}", added);
  if (repeats < 6) fmt::print("\nThe extremes stand for the interval: fewer than six passes give none.\n");
  if (disturbed)
    fmt::print("\nSome passes took a fifth longer than others: something else ran beside them.\n");
  if (!values.json.empty()) {
    add_evaluator_facts(provenance, evaluator);
    const nlohmann::ordered_json result = {{"rows", rows}, {"provenance", provenance.to_json()}};
    write_file_atomically(values.json, result.dump(2) + "\n");
  }
  return 0;
}

}  // namespace outlierlab
