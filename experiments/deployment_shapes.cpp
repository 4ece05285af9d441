// The deployment study at the sizes of BERT-base and BERT-large. The weights are random: that changes no
// time, and says nothing about accuracy. Calibration and timing see random tokens.
#include <fmt/core.h>

#include <cmath>
#include <map>
#include <memory>
#include <optional>

#include "app/study.h"
#include "core/error.h"
#include "experiments/deployment.h"
#include "experiments/deployment_batch.h"
#include "experiments/deployment_methods.h"
#include "experiments/experiments.h"
#include "experiments/pass_profile.h"
#include "experiments/pass_samples.h"
#include "experiments/timing.h"
#include "lower/lower.h"
#include "lower/tokens.h"
#include "model/random_weights.h"

namespace outlierlab {

namespace {

/// Random logits have no predictions worth counting: the engine must be this close to the simulation instead.
constexpr double largest_distance = 0.1;  ///< of the logits, rms, relative
/// So many logits, because a distance is relative to their size and at random weights all examples have
/// nearly the same: two would be as small as chance has it. 256 tell what the pooled values do, and take no
/// time.
constexpr std::size_t labels = 256;

std::vector<Method> methods_of(const DeploymentShape& shape, const std::string& engine) {
  return with_simulated(methods_on(engine, {"w8a8", "w8a8-token", "peg-6-permuted", "mp-xhy-16", "llm-int8"}),
                        engine, shape.simulated);
}

/// What one cell's passes took, and the bytes that each method then held, by variant.
struct CellTimes {
  PassSeconds seconds;
  std::map<std::string, std::size_t> bytes;
};

/// An executor, null where the engine refuses the method, and what it was made of.
struct Built {
  std::unique_ptr<engine::Executor> executor;
  std::size_t weight_bytes = 0;
  std::string refusal;
};

/// One size's network, built when it is first asked for and gone with the study.
class RandomNetwork {
 public:
  RandomNetwork(Study& study, const DeploymentShape& shape) : study_(study), shape_(shape) {
    BertConfig config;
    config.vocab_size = 30522;
    config.hidden_size = shape.hidden;
    config.layers = shape.layers;
    config.heads = shape.heads;
    config.intermediate_size = shape.intermediate;
    for (std::size_t label = 0; label < labels; ++label) config.labels.push_back(std::to_string(label));
    weights_ = random_weights(config, Heads::classifier, 0.02, 1);
    runner_ = std::make_unique<BertRunner>(weights_);
    StatisticsCollector collector(runner_->sites());
    runner_->logits(random_batch(config, 4, 64), &collector);
    statistics_ = collector.finish();
  }

  /// Whether the method has an executor that agrees with its simulation; found out once. The record says why
  /// not.
  bool may_be_timed(const TimedEngine& engine, const Method& method) {
    if (!method.on_engine()) return true;
    const auto [at, is_new] = may_be_timed_.try_emplace(method.variant());
    if (is_new) at->second = agrees(engine, method);
    return at->second;
  }

  /// Times an engine's methods on one batch.
  CellTimes time(const TimedEngine& engine, std::size_t examples, std::size_t length) {
    const Batch batch = random_batch(config(), examples, length);
    Matrix logits(examples, config().labels.size());
    std::map<std::string, Built> built;
    std::vector<Contender> contenders;
    CellTimes times;
    for (const Method& method : methods_of(shape_, engine.name)) {
      if (!may_be_timed(engine, method)) continue;
      times.bytes[method.variant()] = float_bytes();
      std::function<void()> pass = [&] { runner_->logits(batch); };
      if (method.on_engine()) {
        const Built& made = built[method.variant()] = build(engine, method, false);
        if (!made.executor) throw Error(made.refusal);
        pass = [&] { made.executor->logits(tokens_of(batch), logits.data()); };
      } else if (method.kind == Method::Kind::simulated) {
        pass = [&, hook = &quantizer(method)] { quantized().logits(batch, hook); };
      }
      contenders.push_back({method.variant(), pass});
    }
    times.seconds = time_cell(study_, engine, shape_.name + " " + BatchSize{examples, length}.value(),
                              contenders, examples * length, study_.options().cell_seconds);
    for (const auto& [variant, made] : built) times.bytes[variant] = made.executor->bytes();
    return times;
  }

  /// Where a pass over the shape's profiled batch spends its time, and the bytes of the method's weights.
  std::vector<Row> profile(const TimedEngine& engine, const Method& method) {
    const Batch batch = random_batch(config(), shape_.profiled.first, shape_.profiled.second);
    std::vector<Row> rows;
    std::size_t bytes = float_bytes();
    if (method.on_engine()) {
      const Built made = build(engine, method, true);
      if (!made.executor) throw Error(made.refusal);
      bytes = made.weight_bytes;
      rows = time_shares(method, *made.executor, batch);
    } else {
      const bool simulated = method.kind == Method::Kind::simulated;
      rows = time_shares(method, simulated ? quantized() : *runner_, simulated ? &quantizer(method) : nullptr,
                         batch);
    }
    rows.push_back(figure("weight_bytes", static_cast<double>(bytes)));
    return rows;
  }

 private:
  const BertConfig& config() const { return weights_.config; }

  std::size_t float_bytes() const { return sizeof(float) * weights_.parameter_count(); }

  /// Executors are not kept: several of BERT-large are several GB, and what a device's holds is measured
  /// batch by batch.
  Built build(const TimedEngine& engine, const Method& method, bool profile) {
    const Scheme scheme = study_.scheme(method.scheme);
    Built made;
    made.executor = executor_for(
        engine, method,
        [&] {
          const ActivationQuantizer quantizer(scheme, runner_->sites(), &statistics_);
          auto model =
              std::make_shared<const engine::Model>(lower(weights_, scheme, quantizer, &statistics_));
          made.weight_bytes = weight_bytes(*model, method);
          return model;
        },
        profile, made.refusal);
    return made;
  }

  ActivationQuantizer& quantizer(const Method& method) {
    auto& made = quantizers_[method.scheme];
    if (!made)
      made =
          std::make_unique<ActivationQuantizer>(study_.scheme(method.scheme), runner_->sites(), &statistics_);
    return *made;
  }

  bool agrees(const TimedEngine& engine, const Method& method) {
    const std::string of = shape_.name + " " + method.variant();
    study_.tries(of);
    const Built made = build(engine, method, false);
    if (!made.executor) {
      study_.note("not_timed", of, made.refusal);
      return false;
    }
    study_.note("executors", of, made.executor->description());
    const double apart = distance(*made.executor, study_.scheme(method.scheme));
    const std::string text =
        fmt::format("logits {:.4f} of their size apart from the simulation's (rms)", apart);
    study_.note("agreement", of, text);
    if (apart <= largest_distance) return true;  // NaN is no agreement
    study_.note("not_timed", of, text + fmt::format(", at most {} are allowed", largest_distance));
    return false;
  }

  /// The weights of w8a8, which all schemes here share but those with a scale per channel.
  const BertRunner& quantized() {
    if (!quantized_)
      quantized_ =
          std::make_unique<BertRunner>(quantize_weights(weights_, study_.scheme("w8a8"), &statistics_));
    return *quantized_;
  }
  double distance(engine::Executor& executor, const Scheme& scheme) {
    const Batch batch = random_batch(config(), 4, 32);
    ActivationQuantizer hook(scheme, runner_->sites(), &statistics_);
    const bool integer = scheme.quantizes_weights();
    const bool own_weights = scheme.name() == "llm-int8";
    const Matrix expected =
        !integer      ? runner_->logits(batch)
        : own_weights ? BertRunner(quantize_weights(weights_, scheme, &statistics_)).logits(batch, &hook)
                      : quantized().logits(batch, &hook);
    Matrix found(batch.size(), config().labels.size());
    executor.logits(tokens_of(batch), found.data());
    double difference = 0, size = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      difference += std::pow(found.data()[i] - expected.data()[i], 2);
      size += std::pow(expected.data()[i], 2);
    }
    return std::sqrt(difference / size);
  }

  Study& study_;
  DeploymentShape shape_;
  BertWeights weights_;
  std::unique_ptr<BertRunner> runner_, quantized_;
  NetworkStatistics statistics_;
  std::map<std::string, std::unique_ptr<ActivationQuantizer>> quantizers_;  ///< by scheme
  std::map<std::string, bool> may_be_timed_;                                ///< by variant
};

/// One network at a time: BERT-large in several forms is several GB.
class CurrentNetwork {
 public:
  explicit CurrentNetwork(Study& study) : study_(study) {}
  RandomNetwork& of(const DeploymentShape& shape) {
    if (!network_ || name_ != shape.name) {
      network_.reset();
      network_ = std::make_unique<RandomNetwork>(study_, shape);
      name_ = shape.name;
    }
    return *network_;
  }

 private:
  Study& study_;
  std::string name_;
  std::unique_ptr<RandomNetwork> network_;
};

std::vector<Row> rows_of(const CellTimes& times, const Method& method, std::size_t examples,
                         std::size_t length) {
  std::vector<Row> rows = latency_rows(times.seconds, method, examples, examples * length);
  const auto bytes = static_cast<double>(times.bytes.at(method.variant()));
  rows.push_back(figure(method.on_device() ? "memory_device_peak_mb" : "memory_weights_mb", 1e-6 * bytes));
  return rows;
}

}  // namespace

void deployment_shapes(Study& study, const std::vector<DeploymentShape>& shapes) {
  const auto current = std::make_shared<CurrentNetwork>(study);
  const PassSamples samples(study, "network,batch_x_length");
  for (const DeploymentShape& shape : shapes) {
    for (const auto& [examples, length] : shape.cells) {
      for (const TimedEngine& engine : study.timed_engines()) {
        const auto times = std::make_shared<std::optional<CellTimes>>();
        const std::string value = BatchSize{examples, length}.value();
        const std::vector<Method> methods = methods_of(shape, engine.name);
        study.measure_together(variants_of(methods), shape.name + " batch x length", value,
                               [=, &engine, n = examples, tokens = length](std::size_t i) {
                                 RandomNetwork& network = current->of(shape);
                                 if (!network.may_be_timed(engine, methods[i])) return std::vector<Row>();
                                 if (!*times) {
                                   *times = network.time(engine, n, tokens);
                                   samples.keep(shape.name + "," + value, (*times)->seconds);
                                 }
                                 return rows_of(**times, methods[i], n, tokens);
                               });
      }
    }
    // Together, so that a resumed study does not ask again for what is refused.
    for (const TimedEngine& engine : study.timed_engines()) {
      const std::vector<Method> methods = methods_of(shape, engine.name);
      study.measure_together(variants_of(methods), shape.name + " profile",
                             BatchSize{shape.profiled.first, shape.profiled.second}.value(),
                             [=, &engine](std::size_t i) {
                               RandomNetwork& network = current->of(shape);
                               if (!network.may_be_timed(engine, methods[i])) return std::vector<Row>();
                               return network.profile(engine, methods[i]);
                             });
    }
  }
}

void deployment_shapes(Study& study) {
  // The simulated methods of the paper at the size of its network; at the next, one for all.
  DeploymentShape base{"bert-base", 768, 12, 12, 3072}, large{"bert-large", 1024, 24, 16, 4096};
  base.cells = {{1, 32}, {1, 128}, {1, 512}, {8, 128}, {32, 128}};
  base.simulated = {"w8a8", "percentile-99.99", "peg-6-permuted", "mp-xhy"};
  large.cells = {{1, 32}, {8, 128}};
  deployment_shapes(study, {base, large});
}

}  // namespace outlierlab
