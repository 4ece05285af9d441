// Claim C7: simulated int8 gives no speed and no memory; and what true integer execution gives, on the CPU
// and, where there is one, on a GPU. Every way of running the network is timed beside the others, batch by
// batch and length by length, on random tokens of that length without padding; an integer run is timed only
// after it has agreed with its scheme in double precision on real examples.
#include "experiments/deployment.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>

#include "app/machine.h"
#include "core/parallel.h"
#include "data/tokenizer.h"
#include "experiments/deployment_batch.h"
#include "experiments/deployment_methods.h"
#include "experiments/experiments.h"
#include "experiments/pass_profile.h"
#include "experiments/pass_samples.h"
#include "experiments/timing.h"
#include "lower/tokens.h"

namespace outlierlab {

namespace {

std::size_t length_of(const BertConfig& config, const DeploymentPlan& plan) {
  return std::min(plan.measured_length, config.max_positions);
}
Batch measured(Networks& networks, const DeploymentPlan& plan) {
  const BertConfig& config = networks.evaluator().config();
  return random_batch(config, plan.measured_examples, length_of(config, plan));
}

/// All batches of a plan that the model has positions for.
std::vector<BatchSize> batch_sizes(const BertConfig& config, const DeploymentPlan& plan) {
  std::vector<BatchSize> sizes;
  for (const std::size_t examples : plan.examples) {
    for (const std::size_t length : plan.lengths) {
      if (length <= config.max_positions) sizes.push_back({examples, length});
    }
  }
  return sizes;
}

/// All methods of one engine on one batch size and length. The first that is asked for times them all.
/// Engines are not timed in turns: a device that waits for the processor's passes lowers its clock.
class Cell {
 public:
  Cell(std::shared_ptr<Networks> networks, std::string engine, const BatchSize& size, double seconds,
       PassSamples samples)
      : networks_(std::move(networks)),
        engine_(std::move(engine)),
        size_(size),
        limit_(seconds),
        samples_(std::move(samples)) {}

  std::vector<Row> rows(const Method& method) {
    // Refused: it did not agree with its scheme.
    if (!networks_->may_be_timed(method)) return {};
    if (seconds_.empty()) time_all();
    return latency_rows(seconds_, method, size_.examples, size_.tokens());
  }

 private:
  void time_all() {
    const Batch batch = random_batch(networks_->evaluator().config(), size_.examples, size_.length);
    // Agreement needs the weights of each scheme, the passes those of one.
    const std::vector<Method> methods = execution_methods(engine_);
    for (const Method& method : methods) networks_->may_be_timed(method);
    std::vector<Contender> contenders;
    for (const Method& method : methods) {
      if (networks_->may_be_timed(method))
        contenders.push_back({method.variant(), networks_->pass(method, batch)});
    }
    seconds_ = networks_->time(engine_, size_.value(), contenders, size_.tokens(), limit_);
    samples_.keep(size_.value(), seconds_);
  }

  std::shared_ptr<Networks> networks_;
  std::string engine_;
  BatchSize size_;
  double limit_;
  PassSamples samples_;
  PassSeconds seconds_;
};

/// Where a pass over the plan's measured batch spends its time.
std::vector<Row> profile(Networks& networks, const Method& method, const DeploymentPlan& plan) {
  if (!networks.may_be_timed(method)) return {};
  const Batch batch = measured(networks, plan);
  if (method.on_engine()) return time_shares(method, *networks.another_executor(method, true), batch);
  const bool simulated = method.kind == Method::Kind::simulated;
  const BertRunner& runner = simulated ? networks.simulated_runner() : networks.evaluator().float_runner();
  return time_shares(method, runner, simulated ? &networks.quantizer(method.scheme) : nullptr, batch);
}

/// How well an engine agrees with its scheme in double precision, and the bytes of what is held.
std::vector<Row> size_rows(Networks& networks, const Method& method) {
  std::vector<Row> rows;
  const std::size_t float_bytes = 4 * networks.evaluator().parameter_count();
  if (!method.on_engine()) {
    // Simulated weights are floats.
    return {figure("weight_bytes", static_cast<double>(float_bytes)),
            figure("memory_weights_mb", 1e-6 * static_cast<double>(float_bytes))};
  }
  if (!networks.executor(method)) return {};
  const Agreement& agreement = networks.agreement(method);
  rows = {figure("engine_exact_agreement", agreement.predictions),
          figure("float32_exact_agreement", *agreement.float32_predictions),
          figure("engine_accuracy_change", agreement.accuracy_change)};
  for (Row& row : rows) row.n = agreement.examples;
  const std::size_t bytes = weight_bytes(*networks.model(method.scheme), method);
  rows.push_back(figure("weight_bytes", static_cast<double>(bytes)));
  // As packed for this CPU, with scratch; a device's activations are counted apart.
  const std::size_t held =
      method.on_device() ? networks.bytes_before_passes(method) : networks.executor(method)->bytes();
  rows.push_back(figure("memory_weights_mb", 1e-6 * static_cast<double>(held)));
  return rows;
}

/// The most device memory that an executor holds which runs this batch and nothing else: what it
/// needs grows with the batch, and nothing is given back between passes.
std::vector<Row> device_memory(Networks& networks, const Method& method, const BatchSize& size) {
  if (!networks.may_be_timed(method)) return {};
  const Batch batch = random_batch(networks.evaluator().config(), size.examples, size.length);
  Matrix logits(batch.size(), networks.evaluator().config().labels.size());
  const auto executor = networks.another_executor(method, false);
  for (int pass = 0; pass < 2; ++pass) executor->logits(tokens_of(batch), logits.data());
  return {figure("memory_device_peak_mb", 1e-6 * static_cast<double>(executor->bytes()))};
}

/// The peaks of all batches, measured when the first is asked for.
class ProcessMemory {
 public:
  ProcessMemory(std::shared_ptr<Networks> networks, Method method, std::vector<BatchSize> sizes)
      : networks_(std::move(networks)), method_(std::move(method)), sizes_(std::move(sizes)) {}

  std::vector<Row> rows(const BatchSize& size) {
    if (!networks_->may_be_timed(method_)) return {};
    if (peaks_.empty()) measure();
    const std::size_t bytes = peaks_.at(size.value());
    if (bytes == 0) return {};
    return {figure("memory_process_mb", 1e-6 * static_cast<double>(bytes))};
  }

 private:
  void measure() {
    std::vector<std::string> batches;
    for (const BatchSize& size : sizes_) batches.push_back(size.value());
    const std::vector<std::size_t> peaks = process_peaks(*networks_, method_, batches);
    for (std::size_t i = 0; i < peaks.size(); ++i) peaks_[batches[i]] = peaks[i];
  }

  std::shared_ptr<Networks> networks_;
  Method method_;
  std::vector<BatchSize> sizes_;
  std::map<std::string, std::size_t> peaks_;
};

/// Energy of the processor packages, all that runs on them included, or of the device; no rows where they do
/// not tell. `joules` reads a counter.
std::vector<Row> energy_of(const std::function<std::optional<double>()>& joules, Networks& networks,
                           const Method& method, const DeploymentPlan& plan) {
  const Batch batch = measured(networks, plan);
  const std::function<void()> pass = networks.pass(method, batch);
  pass();
  std::size_t passes = 0;
  const auto start = std::chrono::steady_clock::now();
  const std::optional<double> before = joules();
  for (; passes < 3 || since(start) < plan.energy_seconds; ++passes) pass();
  const std::optional<double> after = joules();
  if (!before || !after) return {};
  const double spent = *after - *before;
  std::vector<Row> rows = {
      figure("joules_per_pass", spent / static_cast<double>(passes)),
      figure("joules_per_example", spent / static_cast<double>(passes * plan.measured_examples))};
  for (Row& row : rows) row.n = passes;
  return rows;
}

std::vector<Row> energy(Networks& networks, const Method& method, const DeploymentPlan& plan) {
  if (method.on_device()) {
    const auto monitor = networks.engine(method.engine).monitor;
    if (!monitor || !monitor->energy() || !networks.may_be_timed(method)) return {};
    return energy_of([&] { return monitor->energy(); }, networks, method, plan);
  }
  EnergyMeter meter;
  if (!meter.readable() || !networks.may_be_timed(method)) return {};
  meter.start();
  return energy_of([&] { return meter.joules(); }, networks, method, plan);
}

/// Text to token ids, which no way of running the network changes; on all threads.
std::vector<Row> tokenization(Evaluator& evaluator) {
  const EvaluatorOptions& of = evaluator.options();
  const Tokenizer tokenizer = Tokenizer::load(of.model_folder);
  const std::vector<TextExample> texts = read_split(of.task, of.split, of.data_folder, of.limit);
  std::size_t tokens = 0;
  for (const EncodedExample& example : evaluator.examples()) tokens += example.token_ids.size();
  const auto seconds = time_side_by_side(
      {{"tokenizer", [&] { tokenizer.encode_all(texts, of.task.max_length); }}}, TimingOptions());
  return throughput_rows(seconds.front(), texts.size(), tokens);
}

/// States what is measured on one engine, but for what follows all engines.
void state_cells(Study& study, const std::shared_ptr<Networks>& networks, const std::string& engine,
                 const DeploymentPlan& plan, const PassSamples& samples) {
  const std::vector<Method> methods = execution_methods(engine);
  for (const Method& method : methods)
    study.measure(method.variant(), "", "", [=] { return size_rows(*networks, method); });
  for (const BatchSize& size : batch_sizes(study.evaluator().config(), plan)) {
    const auto cell = std::make_shared<Cell>(networks, engine, size, study.options().cell_seconds, samples);
    study.measure_together(variants_of(methods), "batch x length", size.value(),
                           [=](std::size_t i) { return cell->rows(methods[i]); });
  }
}

void state_memory(Study& study, const std::shared_ptr<Networks>& networks, const std::string& engine,
                  const DeploymentPlan& plan) {
  std::vector<BatchSize> sizes = batch_sizes(study.evaluator().config(), plan);
  std::stable_sort(sizes.begin(), sizes.end(),
                   [](const BatchSize& a, const BatchSize& b) { return a.tokens() < b.tokens(); });
  for (const Method& method : execution_methods(engine)) {
    const auto process = std::make_shared<ProcessMemory>(networks, method, sizes);
    for (const BatchSize& size : sizes) {
      if (method.on_device()) {
        study.measure(method.variant(), "device memory", size.value(),
                      [=] { return device_memory(*networks, method, size); });
      } else {
        study.measure(method.variant(), "process", size.value(), [=] { return process->rows(size); });
      }
    }
  }
}

void state_batch(Study& study, const std::shared_ptr<Networks>& networks, const std::string& engine,
                 const DeploymentPlan& plan) {
  const std::string measured = std::to_string(plan.measured_examples) + "x" +
                               std::to_string(length_of(study.evaluator().config(), plan));
  for (const Method& method : execution_methods(engine)) {
    study.measure(method.variant(), "profile", measured, [=] { return profile(*networks, method, plan); });
    study.measure(method.variant(), "energy", measured, [=] { return energy(*networks, method, plan); });
  }
}

}  // namespace

void deployment(Study& study, const DeploymentPlan& plan) {
  const auto networks = std::make_shared<Networks>(study);
  const PassSamples samples(study, "batch_x_length");
  for (const TimedEngine& engine : study.timed_engines())
    state_cells(study, networks, engine.name, plan, samples);
  study.measure("tokenizer", "", "", [&study] { return tokenization(study.evaluator()); });
  for (const TimedEngine& engine : study.timed_engines()) {
    state_batch(study, networks, engine.name, plan);
    state_memory(study, networks, engine.name, plan);
  }
}

void deployment(Study& study) {
  deployment(study, DeploymentPlan());
}

}  // namespace outlierlab
