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
#include "app/progress.h"
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

bool captures(const std::string& contender) {
  return contender.rfind("capture", 0) == 0;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Scheme scheme_named(const std::string& name) {
  return Scheme::load(name, resource_root() / "configs" / "schemes", {});
}

const std::vector<std::string> float_names = {"fp32", "capture", "fp32-all-rows", "capture-visits",
                                              "capture-counting"};

/// What the command line asks for.
struct BenchQuestion {
  CommonOptions values;
  std::uint64_t repeats = 7;
  std::vector<std::string> only;
  bool clock = false;
  std::uint64_t sweep = 0;
  bool startup = false;
  /// Timed as simulated and by each engine: these, and those that `only` names.
  std::vector<std::string> schemes = {"w8a8",         "w8a8-token",        "peg-6-permuted", "mp-xhy-16",
                                      "mp-channel-1", "w8a8-token-linear", "llm-int8"};

  bool wants(const std::string& contender) const { return only.empty() || contains(only, contender); }
  std::vector<std::string> engine_contenders() const {
    std::vector<std::string> names;
    for (const std::string& engine : available_engines()) {
      for (const std::string& name : schemes) names.push_back(engine + ":" + name);
    }
    names.push_back("bf16");
    return names;
  }
};

/// Adds the schemes that --only names, alone or behind an engine, to those that the table has anyway.
void add_schemes_of_only(BenchQuestion& asked) {
  for (const Listing& scheme : list_configs("schemes")) {
    const bool named = std::any_of(asked.only.begin(), asked.only.end(), [&](const std::string& name) {
      return name.substr(name.find(':') + 1) == scheme.name;
    });
    if (named && scheme.name != "fp32" && !contains(asked.schemes, scheme.name))
      asked.schemes.push_back(scheme.name);
  }
}

/// None where only help was asked for.
std::optional<BenchQuestion> bench_question(const std::vector<std::string>& arguments) {
  BenchQuestion asked;
  asked.values.limit = 1000;
  Options options("bench",
                  "Times float, simulated and integer evaluation and the capture of statistics against each "
                  "other;\nor, with --sweep, a sweep against separate evaluations; or, with --startup, the "
                  "first answer of\na new process.",
                  "outlierlab bench --model minilm-qnli --limit 1000 --repeats 7");
  add_common(options, asked.values,
             {"model", "task", "data", "limit", "json", "threads", "batch-size", "calibration-size"});
  options.add("repeats", "N", "timed passes of each contender, after one untimed", &asked.repeats, 1, 1000);
  options.add(
      "only", "NAME",
      "fp32 and this contender alone: one of the table, or a SCHEME, simulated, or ENGINE:SCHEME; with "
      "--sweep: simulated, int8 or auto; repeatable",
      &asked.only);
  options.flag("clock", "runs each contender of float once more and tells the clock of the cores meanwhile",
               &asked.clock);
  options.add("sweep", "N", "times N calibrators as one sweep against N separate evaluations instead",
              &asked.sweep, 0, 1000);
  options.flag("startup", "times the start-up of a process that answers one pair of texts instead",
               &asked.startup);
  if (!options.parse(arguments)) return std::nullopt;
  const bool sweep = asked.sweep > 0;
  std::vector<std::string> known = sweep ? sweep_engines : float_names;
  if (!sweep) {
    add_schemes_of_only(asked);
    known.insert(known.end(), asked.schemes.begin(), asked.schemes.end());
    for (const std::string& name : asked.engine_contenders()) known.push_back(name);
  }
  for (const std::string& name : asked.only) {
    if (!contains(known, name)) fail_unknown(sweep ? "sweep" : "contender", name, known);
  }
  if (sweep && asked.startup) throw UsageError("--sweep: expected no --startup beside it, found both");
  if (asked.startup && options.given("only"))
    throw UsageError("--only: expected no --startup beside it, found both");
  if ((sweep || asked.startup) && asked.clock)
    throw UsageError(fmt::format("--clock: expected neither --sweep nor --startup beside it, found --{}",
                                 asked.startup ? "startup" : "sweep"));
  if (sweep && options.given("repeats"))
    throw UsageError("--repeats: expected no --sweep beside it (each study is timed once), found both");
  return asked;
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

/// The contenders that were asked for, and what they run with.
class Contest {
 public:
  Contest(Evaluator& evaluator, const BenchQuestion& asked) : evaluator_(evaluator), asked_(asked) {
    add_floats();
    add_simulated();
    add_engines();
  }
  Contest(const Contest&) = delete;  // the passes refer to it
  Contest& operator=(const Contest&) = delete;

  const std::vector<Contender>& contenders() const { return contenders_; }
  /// The engine's agreement by contender, of those as well that may not be timed for it.
  const nlohmann::ordered_json& agreements() const { return agreements_; }
  const nlohmann::ordered_json& not_timed() const { return not_timed_; }

 private:
  void run_float(const BertRunner& network, SiteHook* hook) {
    run_batches(network, evaluator_.batches(), evaluator_.size(), hook);
  }
  void add_floats() {
    contenders_.push_back({"fp32", [this] { run_float(evaluator_.float_runner(), nullptr); }});
    if (asked_.wants("capture"))
      contenders_.push_back({"capture", [this] { evaluator_.evaluation_statistics(); }});
    const bool any_capture = std::any_of(float_names.begin(), float_names.end(), [&](const auto& name) {
      return captures(name) && asked_.wants(name);
    });
    for (const char* name : {"fp32-all-rows", "capture-visits", "capture-counting"}) {
      const bool compared_with = any_capture && !captures(name);  // the passes whose values captures see
      if (!asked_.wants(name) && !compared_with) continue;
      contenders_.push_back({name, [this, name] {
                               const auto floor = hook_of(name, evaluator_);
                               run_float(evaluator_.float_runner(), floor.get());
                             }});
    }
  }
  void add_simulated() {
    // One network for all: weights change no time. A copy, since comparing engines asks for others.
    quantized_.emplace(evaluator_.runner(scheme_named("w8a8")).copy());
    for (const std::string& name : asked_.schemes) {
      if (!asked_.wants(name)) continue;
      const auto quantizer = std::make_shared<ActivationQuantizer>(evaluator_.quantizer(scheme_named(name)));
      contenders_.push_back({name, [this, quantizer] { run_float(*quantized_, quantizer.get()); }});
    }
  }
  void add_engines() {
    const std::vector<std::string> names = asked_.engine_contenders();
    const auto wanted = [&](const std::string& name) { return asked_.wants(name); };
    if (std::none_of(names.begin(), names.end(), wanted)) return;
    fmt::print("Agreement of the engine with what it replaces:\n");
    std::map<std::string, Simulation> simulations;  // by scheme: engines share them
    for (const std::string& engine : available_engines()) {
      for (const std::string& name : asked_.schemes) {
        add_engine(engine + ":" + name, name, simulations,
                   [&](const auto& model) { return make_executor(engine, model); });
      }
    }
    add_engine("bf16", "fp32", simulations, [](const auto& model) {
      engine::CpuOptions half;
      half.real = engine::RealPrecision::bfloat16;
      return std::make_unique<engine::CpuExecutor>(model, half);
    });
    fmt::print("\n");
  }
  template <typename Make>
  void add_engine(const std::string& name, const std::string& scheme_name,
                  std::map<std::string, Simulation>& simulations, const Make& make) {
    if (!asked_.wants(name)) return;
    const Scheme scheme = scheme_named(scheme_name);
    const std::shared_ptr<engine::Executor> executor = make(evaluator_.lowered(scheme));
    Simulation& simulation = simulations.try_emplace(scheme_name, evaluator_, scheme).first->second;
    const Agreement agreement = engine_agreement(simulation, *executor, true);
    fmt::print("{:<22} {}\n", name, agreement.text());
    agreements_[name] = agreement.to_json();
    if (agreement.holds()) {
      contenders_.push_back(
          {name, [this, executor] { run_batches(*executor, evaluator_.batches(), evaluator_.size()); }});
      return;
    }
    not_timed_.push_back(name);
    fmt::print("{:<22} not timed: expected {}\n", name, Agreement::required_text());
  }

  Evaluator& evaluator_;
  const BenchQuestion& asked_;
  std::vector<Contender> contenders_;
  std::optional<BertRunner> quantized_;
  nlohmann::ordered_json agreements_ = nlohmann::ordered_json::object(),
                         not_timed_ = nlohmann::ordered_json::array();
};

/// Prints the table and returns its rows; `contenders` begin with fp32.
nlohmann::ordered_json told(const std::vector<Contender>& contenders,
                            const std::vector<std::vector<double>>& seconds, const BenchQuestion& asked,
                            const Evaluator& evaluator) {
  const auto n = static_cast<double>(evaluator.size());
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  fmt::print("{:<22} {:>14} {:>10} {:>30}{}\n", "contender", "examples/s", "seconds",
             "time relative to fp32 [95 %]", asked.clock ? "   clock, GHz" : "");
  const auto all_rows = std::find_if(contenders.begin(), contenders.end(),
                                     [](const Contender& c) { return c.name == "fp32-all-rows"; });
  bool disturbed = false;
  std::string added;  // by capture
  for (std::size_t c = 0; c < contenders.size(); ++c) {
    const std::string& name = contenders[c].name;
    const std::vector<double> relative = ratios(seconds[c], seconds[0]);
    const double middle = median(seconds[c]), ratio = median(relative);
    const Interval interval = median_interval(relative);
    disturbed = disturbed || is_disturbed(seconds[c]);
    nlohmann::ordered_json row = {
        {"contender", name},      {"examples_per_second", n / middle}, {"time_relative_to_fp32", ratio},
        {"ci_low", interval.low}, {"ci_high", interval.high},          {"seconds", seconds[c]}};
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
    const auto ghz = asked.clock ? clock_during(name, evaluator) : std::nullopt;
    if (ghz) row["clock_ghz"] = *ghz;
    fmt::print("{:<22} {:>14.1f} {:>10.3f} {:>30}{}\n", name, n / middle, middle,
               fmt::format("{:.3f} [{:.3f}, {:.3f}]", ratio, interval.low, interval.high),
               ghz ? fmt::format("   {:>10.2f}", *ghz) : "");
    rows.push_back(std::move(row));
  }
  if (!added.empty()) fmt::print("\nMore than the passes of fp32-all-rows take:\n{}", added);
  if (asked.repeats < 6)
    fmt::print("\nThe extremes stand for the interval: fewer than six passes give none.\n");
  if (disturbed)
    fmt::print(
        "\nThe interval of a contender's median is wider than a fifth of it: something else ran beside "
        "them.\n");
  return rows;
}

}  // namespace

int command_bench(const std::vector<std::string>& arguments) {
  const std::optional<BenchQuestion> asked = bench_question(arguments);
  if (!asked) return 0;
  const CommonOptions& values = asked->values;
  set_threads(values.threads);
  if (asked->sweep > 0)
    return bench_of_sessions(values, "sweep", arguments,
                             [&] { return bench_sweep(values, asked->sweep, asked->only); });
  if (asked->startup)
    return bench_of_sessions(values, "startup", arguments,
                             [&] { return bench_startup(values, asked->repeats); });
  Session session = open_session(values);
  Provenance provenance = session_provenance(session, "bench", arguments);
  Evaluator& evaluator = *session.evaluator;
  const Contest contest(evaluator, *asked);
  TimingOptions timing;
  timing.least_rounds = timing.most_passes = asked->repeats;
  Progress progress("passes", contest.contenders().size() * asked->repeats);
  timing.after_pass = [&](std::size_t /*contender*/) { progress.advance(); };
  const std::vector<std::vector<double>> seconds = time_side_by_side(contest.contenders(), timing);
  fmt::print("{} on {}: {} examples in length-sorted batches of {}, {} threads, {}, {} repeats\n\n",
             session.model.name, evaluator.options().task.name, evaluator.size(), values.batch_size,
             threads(), to_string(isa()), asked->repeats);
  const nlohmann::ordered_json rows = told(contest.contenders(), seconds, *asked, evaluator);
  if (values.json.empty()) return 0;
  add_evaluator_facts(provenance, evaluator);
  nlohmann::ordered_json result = {{"rows", rows}};
  if (!contest.agreements().empty()) {
    result["engine_agreement"] = contest.agreements();
    result["not_timed"] = contest.not_timed();
  }
  result["provenance"] = provenance.to_json();
  write_file_atomically(values.json, result.dump(2) + "\n");
  return 0;
}

}  // namespace outlierlab
