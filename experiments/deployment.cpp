// Claim C7: simulated int8 gives no speed and no memory; and what true integer execution gives on the CPU.
// Every way of running the network is timed beside the others, batch by batch and length by length, on random
// tokens of that length without padding; an integer run is timed only after it has agreed with its simulation
// on real examples.
#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <sstream>

#include "app/machine.h"
#include "app/study.h"
#include "core/files.h"
#include "core/parallel.h"
#include "data/tokenizer.h"
#include "experiments/deployment_batch.h"
#include "experiments/deployment_methods.h"
#include "experiments/experiments.h"
#include "experiments/timing.h"
#include "lower/tokens.h"

namespace outlierlab {

namespace {

/// Memory, energy and time shares are measured on one batch: many tokens, of a length that is usual.
constexpr std::size_t measured_batch = 32, usual_length = 128;
/// From so many tokens on, a pass takes seconds and needs no many repeats to be told from another.
constexpr std::size_t many_tokens = 16384;
constexpr double energy_seconds = 2;
constexpr const char* samples_header = "variant,batch_x_length,round,milliseconds\n";

std::size_t length_of(const BertConfig& config) {
  return std::min(usual_length, config.max_positions);
}
Batch measured(Networks& networks) {
  const BertConfig& config = networks.evaluator().config();
  return random_batch(config, measured_batch, length_of(config));
}

double since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Passes tiles on, and measures how long the quantizer takes for them, and how long products take.
class TimedHook : public SiteHook {
 public:
  /// `inner` may be null: the float network.
  explicit TimedHook(SiteHook* inner) : inner_(inner), parts_(static_cast<std::size_t>(threads())) {}
  void visit(const SiteTile& tile, int thread) override {
    if (!inner_) return;
    const auto start = std::chrono::steady_clock::now();
    inner_->visit(tile, thread);
    parts_[static_cast<std::size_t>(thread)].quantizer += since(start);
  }
  void product_begins(int thread) override {
    parts_[static_cast<std::size_t>(thread)].begin = std::chrono::steady_clock::now();
  }
  void product_ends(int thread) override {
    Part& part = parts_[static_cast<std::size_t>(thread)];
    part.products += since(part.begin);
  }
  double quantizer_seconds() const { return sum(&Part::quantizer); }
  double product_seconds() const { return sum(&Part::products); }

 private:
  struct alignas(64) Part {  // threads do not share cache lines
    double quantizer = 0, products = 0;
    std::chrono::steady_clock::time_point begin;
  };
  double sum(double Part::*member) const {
    double all = 0;
    for (const Part& part : parts_) all += part.*member;
    return all;
  }
  SiteHook* inner_;
  std::vector<Part> parts_;
};

/// All methods on one batch size and length. The first that is asked for times them all.
class Cell {
 public:
  Cell(std::shared_ptr<Networks> networks, std::size_t examples, std::size_t length,
       std::filesystem::path samples)
      : networks_(std::move(networks)), examples_(examples), length_(length), samples_(std::move(samples)) {}

  std::string value() const { return std::to_string(examples_) + "x" + std::to_string(length_); }

  std::vector<Row> rows(const Method& method) {
    // Refused: it did not agree with its simulation.
    if (!networks_->may_be_timed(method)) return {};
    if (seconds_.empty()) time_all();
    return latency_rows(seconds_.at(method.variant()), seconds_.at(float_method().variant()), examples_,
                        examples_ * length_);
  }

 private:
  void time_all() {
    const Batch batch = random_batch(networks_->evaluator().config(), examples_, length_);
    // Agreement needs the weights of each scheme, the passes those of one.
    for (const Method& method : execution_methods()) networks_->may_be_timed(method);
    std::vector<Contender> contenders;
    for (const Method& method : execution_methods()) {
      if (networks_->may_be_timed(method))
        contenders.push_back({method.variant(), networks_->pass(method, batch)});
    }
    TimingOptions options;
    options.seconds = 8;
    if (examples_ * length_ > many_tokens) options.least_rounds = 3;
    const auto seconds = time_side_by_side(contenders, options);
    for (std::size_t i = 0; i < contenders.size(); ++i) seconds_[contenders[i].name] = seconds[i];
    keep_samples();
  }

  /// Adds every pass to the file of samples, cell by cell, so that an interrupted study keeps what it has.
  /// What an interrupted study has left of this cell makes room.
  void keep_samples() const {
    std::string text = samples_header;
    if (std::filesystem::exists(samples_)) {
      std::istringstream before(read_file(samples_));
      std::string line;
      std::getline(before, line);
      while (std::getline(before, line)) {
        if (line.find("," + value() + ",") == std::string::npos) text += line + "\n";
      }
    }
    for (const auto& [variant, all] : seconds_) {
      for (std::size_t i = 0; i < all.size(); ++i)
        text += variant + "," + value() + "," + std::to_string(i) + "," + std::to_string(1e3 * all[i]) + "\n";
    }
    write_file_atomically(samples_, text);
  }

  std::shared_ptr<Networks> networks_;
  std::size_t examples_, length_;
  std::filesystem::path samples_;
  std::map<std::string, std::vector<double>> seconds_;
};

/// Seconds of all threads that one pass took, and where they went.
struct PassProfile {
  double total = 0;
  engine::Profile parts;
};

PassProfile simulated_profile(const BertRunner& runner, const Batch& batch, SiteHook* quantizer) {
  TimedHook hook(quantizer);
  const auto start = std::chrono::steady_clock::now();
  runner.logits(batch, &hook);
  PassProfile profile;
  profile.total = threads() * since(start);
  profile.parts.gemm = hook.product_seconds();
  profile.parts.quantize = hook.quantizer_seconds();
  return profile;
}

PassProfile engine_profile(engine::CpuExecutor& executor, const Batch& batch, Matrix& logits) {
  executor.take_profile();
  const auto start = std::chrono::steady_clock::now();
  executor.logits(tokens_of(batch), logits.data());
  PassProfile profile;
  profile.total = threads() * since(start);
  profile.parts = executor.take_profile();
  return profile;
}

/// The profile of the fastest of several passes, after one to warm up: an interrupted pass shows waiting.
template <typename Profiled>
PassProfile fastest_profile(const Profiled& profiled) {
  constexpr int passes = 9;
  profiled();
  PassProfile best = profiled();
  for (int i = 1; i < passes; ++i) {
    const PassProfile next = profiled();
    if (next.total < best.total) best = next;
  }
  return best;
}

/// Where a pass spends its time, in percent of all threads' time; `rest` includes waiting.
std::vector<Row> time_shares(Networks& networks, const Method& method) {
  if (!networks.may_be_timed(method)) return {};
  const Batch batch = measured(networks);
  PassProfile p;
  if (method.on_engine()) {
    engine::CpuOptions options;
    options.real = method.precision;
    options.profile = true;
    engine::CpuExecutor executor(networks.model(method.scheme), options);
    Matrix logits(batch.size(), networks.evaluator().config().labels.size());
    p = fastest_profile([&] { return engine_profile(executor, batch, logits); });
  } else {
    const bool simulated = method.kind == Method::Kind::simulated;
    const BertRunner& runner = simulated ? networks.simulated_runner() : networks.evaluator().float_runner();
    SiteHook* const quantizer = simulated ? &networks.quantizer(method.scheme) : nullptr;
    p = fastest_profile([&] { return simulated_profile(runner, batch, quantizer); });
  }
  const auto share = [&](const char* part, double seconds) {
    return figure(std::string("time_share_") + part, 100 * seconds / p.total);
  };
  std::vector<Row> rows = {share("products", p.parts.gemm)};
  // Simulation quantizes and dequantizes in one pass over the values. The engine dequantizes sums, and where
  // the next grid is static quantizes, in the products' registers.
  if (method.kind == Method::Kind::simulated) rows.push_back(share("quantize_dequantize", p.parts.quantize));
  if (method.kind == Method::Kind::integer) {
    rows.push_back(share("quantize", p.parts.quantize));
    rows.push_back(share("dequantize", p.parts.dequantize));
  }
  rows.push_back(share("rest", p.total - p.parts.gemm - p.parts.quantize - p.parts.dequantize));
  return rows;
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

/// How well an engine agrees with its simulation, and the bytes of what is held.
std::vector<Row> size_rows(Networks& networks, const Method& method) {
  std::vector<Row> rows;
  const std::size_t float_bytes = 4 * networks.evaluator().parameter_count();
  if (!method.on_engine()) {
    // Simulated weights are floats.
    return {figure("weight_bytes", static_cast<double>(float_bytes)),
            figure("memory_weights_mb", 1e-6 * static_cast<double>(float_bytes))};
  }
  const Agreement& agreement = networks.agreement(method);
  rows = {figure("engine_agreement", agreement.predictions),
          figure("simulation_agreement", agreement.simulation_noise_floor),
          figure("engine_accuracy_change", agreement.accuracy_change)};
  for (Row& row : rows) row.n = agreement.examples;
  std::size_t bytes = networks.model(method.scheme)->weight_bytes();
  if (method.precision == engine::RealPrecision::bfloat16)
    bytes -= 2 * product_weights(*networks.model(method.scheme));
  rows.push_back(figure("weight_bytes", static_cast<double>(bytes)));
  // As packed for this CPU, with scratch.
  rows.push_back(figure("memory_weights_mb", 1e-6 * static_cast<double>(networks.executor(method).bytes())));
  return rows;
}

std::vector<Row> process_memory(Networks& networks, const Method& method) {
  const std::size_t bytes =
      process_peak(networks, method, measured_batch, length_of(networks.evaluator().config()));
  if (bytes == 0) return {};
  return {figure("memory_process_mb", 1e-6 * static_cast<double>(bytes))};
}

/// Energy of the processor packages, all that runs on them included; no rows where they do not tell.
std::vector<Row> energy(Networks& networks, const Method& method) {
  EnergyMeter meter;
  if (!meter.readable() || !networks.may_be_timed(method)) return {};
  const Batch batch = measured(networks);
  const std::function<void()> pass = networks.pass(method, batch);
  pass();
  std::size_t passes = 0;
  const auto start = std::chrono::steady_clock::now();
  meter.start();
  for (; passes < 3 || since(start) < energy_seconds; ++passes) pass();
  const std::optional<double> joules = meter.joules();
  if (!joules) return {};
  std::vector<Row> rows = {
      figure("joules_per_pass", *joules / static_cast<double>(passes)),
      figure("joules_per_example", *joules / static_cast<double>(passes * measured_batch))};
  for (Row& row : rows) row.n = passes;
  return rows;
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

}  // namespace

void deployment(Study& study) {
  const auto networks = std::make_shared<Networks>(study);
  const BertConfig& config = study.evaluator().config();
  const std::string measured = std::to_string(measured_batch) + "x" + std::to_string(length_of(config));
  std::filesystem::path samples = study.file();
  samples.replace_filename("deployment-samples.csv");

  for (const Method& method : execution_methods())
    study.measure(method.variant(), "", "", [=] { return size_rows(*networks, method); });
  for (const std::size_t examples : {1u, 8u, 32u, 128u}) {
    for (const std::size_t length : {16u, 64u, 128u, 256u, 512u}) {
      if (length > config.max_positions) continue;
      const auto cell = std::make_shared<Cell>(networks, examples, length, samples);
      for (const Method& method : execution_methods())
        study.measure(method.variant(), "batch x length", cell->value(), [=] { return cell->rows(method); });
    }
  }
  study.measure("tokenizer", "", "", [&study] { return tokenization(study.evaluator()); });
  for (const Method& method : execution_methods()) {
    study.measure(method.variant(), "profile", measured, [=] { return time_shares(*networks, method); });
    study.measure(method.variant(), "process", measured, [=] { return process_memory(*networks, method); });
    study.measure(method.variant(), "energy", measured, [=] { return energy(*networks, method); });
  }
  // Written as the cells are timed.
  study.attach("samples", [] { return std::string(samples_header); });
}

}  // namespace outlierlab
