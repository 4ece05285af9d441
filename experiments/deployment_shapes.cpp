// The deployment study at the sizes of BERT-base and BERT-large. The weights are random: that changes no
// time, and says nothing about accuracy. Calibration and timing see random tokens.
#include <cmath>
#include <map>
#include <memory>

#include "app/study.h"
#include "core/error.h"
#include "core/parallel.h"
#include "engine/cpu/cpu_executor.h"
#include "experiments/deployment_batch.h"
#include "experiments/experiments.h"
#include "experiments/timing.h"
#include "lower/lower.h"
#include "lower/tokens.h"
#include "model/random_weights.h"

namespace outlierlab {

namespace {

struct Size {
  const char* name;
  std::size_t hidden, layers, heads, intermediate;
  std::vector<std::pair<std::size_t, std::size_t>> cells;  ///< examples, length
};

const std::vector<Size>& sizes() {
  static const std::vector<Size> all = {
      {"bert-base", 768, 12, 12, 3072, {{1, 32}, {1, 128}, {8, 128}, {32, 128}}},
      {"bert-large", 1024, 24, 16, 4096, {{1, 32}, {8, 128}}},
  };
  return all;
}

const char* const integer_schemes[] = {"w8a8", "w8a8-token", "peg-6-permuted", "mp-xhy-16", "llm-int8"};
/// Random logits have no predictions worth counting: the engine must be this close to the simulation instead.
constexpr double largest_distance = 0.1;  ///< of the logits, rms, relative

/// One size's network, built when it is first asked for and gone with the study.
class RandomNetwork {
 public:
  RandomNetwork(Study& study, const Size& size) : study_(study) {
    BertConfig config;
    config.vocab_size = 30522;
    config.hidden_size = size.hidden;
    config.layers = size.layers;
    config.heads = size.heads;
    config.intermediate_size = size.intermediate;
    config.labels = {"0", "1"};
    weights_ = random_weights(config, Heads::classifier, 0.02, 1);
    runner_ = std::make_unique<BertRunner>(weights_);
    StatisticsCollector collector(runner_->sites());
    runner_->logits(random_batch(config, 4, 64), &collector);
    statistics_ = collector.finish();
  }

  const BertConfig& config() const { return weights_.config; }

  /// Times all methods on one batch; the engine's only where they agree with their simulation.
  std::map<std::string, std::vector<double>> time(std::size_t examples, std::size_t length) {
    const Batch batch = random_batch(config(), examples, length);
    Matrix logits(examples, 2);
    std::vector<Contender> contenders = {{"float:fp32", [&] { runner_->logits(batch); }}};
    std::vector<std::unique_ptr<engine::CpuExecutor>> executors;
    const auto add = [&](const std::string& name, const std::string& scheme_name,
                         engine::RealPrecision real) {
      const Scheme scheme = study_.scheme(scheme_name);
      const ActivationQuantizer quantizer(scheme, runner_->sites(), &statistics_);
      engine::CpuOptions options;
      options.real = real;
      options.threads = threads();
      executors.push_back(std::make_unique<engine::CpuExecutor>(
          std::make_shared<const engine::Model>(lower(weights_, scheme, quantizer, &statistics_)), options));
      engine::CpuExecutor& executor = *executors.back();
      if (!(distance(executor, scheme) <= largest_distance)) return;  // NaN is no agreement
      contenders.push_back({name, [&] { executor.logits(tokens_of(batch), logits.data()); }});
    };
    add("float:bf16", "fp32", engine::RealPrecision::bfloat16);
    const Scheme simulated = study_.scheme("w8a8");
    ActivationQuantizer hook(simulated, runner_->sites(), &statistics_);
    contenders.push_back({"simulated:w8a8", [&] { quantized().logits(batch, &hook); }});
    for (const char* scheme : integer_schemes)
      add(std::string("integer:") + scheme, scheme, engine::RealPrecision::float32);
    TimingOptions options;
    options.seconds = 8;
    const auto seconds = time_side_by_side(contenders, options);
    std::map<std::string, std::vector<double>> by_name;
    for (std::size_t i = 0; i < contenders.size(); ++i) by_name[contenders[i].name] = seconds[i];
    return by_name;
  }

 private:
  /// The weights of w8a8, which all integer schemes here share but those with a scale per channel.
  const BertRunner& quantized() {
    if (!quantized_)
      quantized_ =
          std::make_unique<BertRunner>(quantize_weights(weights_, study_.scheme("w8a8"), &statistics_));
    return *quantized_;
  }
  double distance(engine::CpuExecutor& executor, const Scheme& scheme) {
    const Batch batch = random_batch(config(), 4, 32);
    ActivationQuantizer hook(scheme, runner_->sites(), &statistics_);
    const bool integer = scheme.quantizes_weights();
    const bool own_weights = scheme.name() == "llm-int8";
    const Matrix expected =
        !integer      ? runner_->logits(batch)
        : own_weights ? BertRunner(quantize_weights(weights_, scheme, &statistics_)).logits(batch, &hook)
                      : quantized().logits(batch, &hook);
    Matrix found(batch.size(), 2);
    executor.logits(tokens_of(batch), found.data());
    double difference = 0, size = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      difference += std::pow(found.data()[i] - expected.data()[i], 2);
      size += std::pow(expected.data()[i], 2);
    }
    return std::sqrt(difference / size);
  }

  Study& study_;
  BertWeights weights_;
  std::unique_ptr<BertRunner> runner_, quantized_;
  NetworkStatistics statistics_;
};

}  // namespace

void deployment_shapes(Study& study) {
  std::vector<std::string> methods = {"float:fp32", "float:bf16", "simulated:w8a8"};
  for (const char* scheme : integer_schemes) methods.push_back(std::string("integer:") + scheme);
  // One network at a time: BERT-large in several forms is several GB.
  const auto current = std::make_shared<std::pair<const Size*, std::unique_ptr<RandomNetwork>>>();
  for (const Size& size : sizes()) {
    for (const auto& cell : size.cells) {
      const auto seconds = std::make_shared<std::map<std::string, std::vector<double>>>();
      const std::string value = std::to_string(cell.first) + "x" + std::to_string(cell.second);
      for (const std::string& method : methods) {
        study.measure(method, std::string(size.name) + " batch x length", value, [=, &study, &size] {
          if (current->first != &size) {
            current->second.reset();
            current->second = std::make_unique<RandomNetwork>(study, size);
            current->first = &size;
          }
          if (seconds->empty()) *seconds = current->second->time(cell.first, cell.second);
          const auto own = seconds->find(method);
          if (own == seconds->end()) return std::vector<Row>();
          return latency_rows(own->second, seconds->at("float:fp32"), cell.first, cell.first * cell.second);
        });
      }
    }
  }
}

}  // namespace outlierlab
