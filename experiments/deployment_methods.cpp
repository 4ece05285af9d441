#include "experiments/deployment_methods.h"

#include <fmt/core.h>

#include <algorithm>

#include "app/machine.h"
#include "core/error.h"
#include "core/quantile.h"
#include "engine/refusal.h"
#include "lower/tokens.h"

namespace outlierlab {

namespace {

using engine::RealPrecision;

const char* name_of(RealPrecision precision) {
  switch (precision) {
    case RealPrecision::bfloat16:
      return "bf16";
    case RealPrecision::float16:
      return "fp16";
    case RealPrecision::float8:
      return "fp8";
    default:
      return "fp32";
  }
}

/// The weights that stand in products: all but the embedding tables.
std::size_t product_weights(const engine::Model& model) {
  std::size_t count = model.pooler.weight.rows * model.pooler.weight.cols +
                      model.classifier.weight.rows * model.classifier.weight.cols;
  for (const engine::Layer& layer : model.layers) {
    for (const engine::Linear* linear : {&layer.query, &layer.key, &layer.value, &layer.attention_output,
                                         &layer.ffn_hidden, &layer.ffn_output})
      count += linear->weight.rows * linear->weight.cols;
  }
  return count;
}

std::size_t bytes_of(engine::RealPrecision precision) {
  switch (precision) {
    case engine::RealPrecision::float32:
      return 4;
    case engine::RealPrecision::float8:
      return 1;
    default:
      return 2;
  }
}

/// "float:fp32 3.41, integer:w8a8 3.40": medians of what was measured right behind the passes.
std::string clocks_text(const std::vector<Contender>& contenders,
                        const std::vector<std::vector<double>>& clocks) {
  std::string text;
  for (std::size_t c = 0; c < contenders.size(); ++c)
    text += fmt::format("{}{} {:.2f}", c == 0 ? "" : ", ", contenders[c].name, median(clocks[c]));
  return text;
}

}  // namespace

std::string Method::variant() const {
  const std::string where = on_device() ? engine + " " : "";
  switch (kind) {
    case Kind::real:
      return where + "float:" + name_of(precision);
    case Kind::simulated:
      return where + "simulated:" + scheme;
    default:
      return where + "integer:" + scheme;
  }
}

std::vector<Method> methods_on(const std::string& engine, const std::vector<std::string>& integer_schemes) {
  std::vector<RealPrecision> precisions = {RealPrecision::float32, RealPrecision::bfloat16};
  if (engine != "int8")
    precisions = {RealPrecision::float32, RealPrecision::float16, RealPrecision::bfloat16,
                  RealPrecision::float8};
  std::vector<Method> methods;
  for (const RealPrecision precision : precisions)
    methods.push_back({Method::Kind::real, "fp32", precision, engine});
  for (const std::string& scheme : integer_schemes)
    methods.push_back({Method::Kind::integer, scheme, RealPrecision::float32, engine});
  return methods;
}

std::vector<Method> with_simulated(std::vector<Method> methods, const std::string& engine,
                                   const std::vector<std::string>& simulated_schemes) {
  if (engine != "int8") return methods;
  auto at = std::find_if(methods.begin(), methods.end(),
                         [](const Method& method) { return method.kind == Method::Kind::integer; });
  for (const std::string& scheme : simulated_schemes)
    at = methods.insert(at, {Method::Kind::simulated, scheme, RealPrecision::float32, engine}) + 1;
  return methods;
}

std::vector<std::string> variants_of(const std::vector<Method>& methods) {
  std::vector<std::string> variants;
  for (const Method& method : methods) variants.push_back(method.variant());
  return variants;
}

std::vector<Method> execution_methods(const std::string& engine) {
  return with_simulated(methods_on(engine, {"w8a8", "w8a8-channel-weights", "w8a8-token", "peg-6-permuted",
                                            "mp-xhy-16", "mp-xhy", "mp-channel-1", "llm-int8"}),
                        engine, {"w8a8", "percentile-99.99", "peg-6-permuted", "mp-xhy", "w8a8-token"});
}

Method reference_method(const std::string& engine) {
  return {Method::Kind::real, "fp32", engine == "int8" ? RealPrecision::float32 : RealPrecision::float16,
          engine};
}

std::vector<Row> latency_rows(const PassSeconds& seconds, const Method& method, std::size_t examples,
                              std::size_t tokens) {
  const auto reference = seconds.find(reference_method(method.engine).variant());
  return latency_rows(seconds.at(method.variant()),
                      reference == seconds.end() ? std::vector<double>() : reference->second, examples,
                      tokens, timing_on(method.engine, tokens, 0).block);
}

std::size_t weight_bytes(const engine::Model& model, const Method& method) {
  return model.weight_bytes() - (4 - bytes_of(method.precision)) * product_weights(model);
}

std::unique_ptr<engine::Executor> executor_for(
    const TimedEngine& engine, const Method& method,
    const std::function<std::shared_ptr<const engine::Model>()>& model, bool profile, std::string& refusal) {
  ExecutorOptions options;
  options.profile = profile;
  if (method.kind == Method::Kind::real) options.real = method.precision;
  try {
    return engine.make(model(), options);
  } catch (const Refusal& refused) {
    refusal = refused.what();
    return nullptr;
  }
}

TimingOptions timing_on(const std::string& engine, std::size_t tokens, double seconds) {
  constexpr std::size_t few_tokens = 4096, fewer_tokens = 512;
  TimingOptions options;
  options.seconds = seconds;
  options.patience = 8 * seconds;
  if (engine != "int8") {
    options.warm_up = options.block = 10;
    options.before_block = 2;
  } else if (tokens <= few_tokens) {
    options.block = 4;
    options.before_block = 1;
  }
  // Where many passes cost little, time is the limit.
  if (tokens <= fewer_tokens) options.most_passes = 1000;
  return options;
}

std::string device_state(const engine::DeviceMonitor& monitor) {
  const auto text = [](const std::optional<unsigned>& number) {
    return number ? std::to_string(*number) : std::string("?");
  };
  return fmt::format("{} MHz, memory {} MHz, {} C, throttled by: {}", text(monitor.multiprocessor_clock()),
                     text(monitor.memory_clock()), text(monitor.temperature()),
                     monitor.throttle_reasons().value_or("?"));
}

PassSeconds time_cell(Study& study, const TimedEngine& engine, const std::string& cell,
                      const std::vector<Contender>& contenders, std::size_t tokens, double seconds) {
  TimingOptions timing = timing_on(engine.name, tokens, seconds);
  std::vector<std::vector<double>> clocks(contenders.size());
  if (!engine.is_device) timing.after_pass = [&](std::size_t c) { clocks[c].push_back(core_clock_ghz()); };
  const auto passes = time_side_by_side(contenders, timing);
  const std::string of = engine.name + " " + cell;
  if (engine.monitor) study.note("device_state", of, device_state(*engine.monitor));
  if (!engine.is_device) study.note("clock_ghz", of, clocks_text(contenders, clocks));
  PassSeconds by_variant;
  std::size_t disturbed = 0, wide = 0;
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    by_variant[contenders[i].name] = passes[i];
    disturbed += is_disturbed(passes[i], timing.block);
    wide += !is_narrow(passes[i], timing.narrow, timing.block);
  }
  // No text takes back what an interrupted run has said of the cell.
  study.note("wide", of,
             wide == 0
                 ? ""
                 : fmt::format("{} of {} medians have an interval wider than {:.0f} % of them, after {} "
                               "passes each",
                               wide, contenders.size(), 200 * timing.narrow, passes.front().size()));
  study.note("disturbed", of,
             disturbed == 0 ? ""
                            : fmt::format("{} of {} medians have an interval wider than a fifth of them; run "
                                          "it again on a machine that does nothing else",
                                          disturbed, contenders.size()));
  return by_variant;
}

const TimedEngine& Networks::engine(const std::string& name) {
  for (const TimedEngine& engine : study_.timed_engines()) {
    if (engine.name == name) return engine;
  }
  fail_unknown("engine of this study", name, study_.options().timed);
}

ActivationQuantizer& Networks::quantizer(const std::string& scheme) {
  auto& made = quantizers_[scheme];
  if (!made) made = std::make_unique<ActivationQuantizer>(evaluator().quantizer(study_.scheme(scheme)));
  return *made;
}

std::shared_ptr<const engine::Model> Networks::model(const std::string& scheme) {
  auto& made = models_[scheme];
  if (!made) made = evaluator().lowered(study_.scheme(scheme));
  return made;
}

std::unique_ptr<engine::Executor> Networks::another_executor(const Method& method, bool profile) {
  std::string refusal;
  return executor_for(
      engine(method.engine), method, [&] { return model(method.scheme); }, profile, refusal);
}

Networks::Run& Networks::run(const Method& method) {
  const auto [at, is_new] = runs_.try_emplace(method.variant());
  Run& run = at->second;
  if (!is_new) return run;
  std::string refusal;
  study_.tries(method.variant());
  run.executor = executor_for(
      engine(method.engine), method, [&] { return model(method.scheme); }, false, refusal);
  if (run.executor) {
    run.bytes = run.executor->bytes();
    study_.note("executors", method.variant(), run.executor->description());
  } else {
    study_.note("not_timed", method.variant(), refusal);
  }
  return run;
}

Simulation& Networks::simulation(const std::string& scheme) {
  constexpr std::size_t examples = 1000;
  return simulations_.try_emplace(scheme, evaluator(), study_.scheme(scheme), 0, examples).first->second;
}

const Agreement& Networks::agreement(const Method& method) {
  Run& known = run(method);
  if (!known.agreement) {
    known.agreement = engine_agreement(simulation(method.scheme), *known.executor, true);
    if (!known.agreement->holds()) study_.note("not_timed", method.variant(), known.agreement->text());
  }
  return *known.agreement;
}

bool Networks::may_be_timed(const Method& method) {
  return !method.on_engine() || (executor(method) && agreement(method).holds());
}

PassSeconds Networks::time(const std::string& name, const std::string& cell,
                           const std::vector<Contender>& contenders, std::size_t tokens, double seconds) {
  return time_cell(study_, engine(name), cell, contenders, tokens, seconds);
}

std::function<void()> Networks::pass(const Method& method, const Batch& batch) {
  if (method.on_engine()) {
    auto logits = std::make_shared<Matrix>(batch.size(), evaluator().config().labels.size());
    return [engine = executor(method), &batch, logits] { engine->logits(tokens_of(batch), logits->data()); };
  }
  if (method.kind == Method::Kind::real)
    return [&runner = evaluator().float_runner(), &batch] { runner.logits(batch); };
  return [&runner = simulated_runner(), &hook = quantizer(method.scheme), &batch] {
    runner.logits(batch, &hook);
  };
}

}  // namespace outlierlab
