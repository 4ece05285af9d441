// Claim C7: simulated int8 gives no speed and no memory; and what true integer execution gives on the CPU.
// Every way of running the network is timed beside the others, batch by batch and length by length, on random
// tokens of that length without padding; an integer run is timed only after it has agreed with its simulation
// on real examples.
#include <chrono>
#include <map>
#include <memory>

#include "app/agreement.h"
#include "app/study.h"
#include "core/parallel.h"
#include "engine/cpu/cpu_executor.h"
#include "experiments/deployment_batch.h"
#include "experiments/experiments.h"
#include "experiments/timing.h"
#include "lower/tokens.h"

namespace outlierlab {

namespace {

constexpr std::size_t agreement_examples = 1000;
/// Cells of more tokens are left out: their time is that of smaller batches, in proportion.
constexpr std::size_t most_tokens = 16384;
constexpr std::size_t profiled_batch = 32, profiled_length = 128;

/// What the paper times (simulated) and what executes integers.
const char* const simulated_schemes[] = {"w8a8", "percentile-99.99", "peg-6-permuted", "mp-xhy",
                                         "w8a8-token"};
const char* const integer_schemes[] = {
    "w8a8", "w8a8-channel-weights", "w8a8-token", "peg-6-permuted", "mp-xhy-16", "mp-xhy", "mp-channel-1"};

/// Passes tiles on, and measures how long the quantizer takes for them.
class TimedHook : public SiteHook {
 public:
  explicit TimedHook(SiteHook& inner)
      : inner_(inner), seconds_(static_cast<std::size_t>(threads()) * 8, 0.0) {}
  void visit(const SiteTile& tile, int thread) override {
    const auto start = std::chrono::steady_clock::now();
    inner_.visit(tile, thread);
    seconds_[static_cast<std::size_t>(thread) * 8] +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  double seconds() const {
    double sum = 0;
    for (const double s : seconds_) sum += s;
    return sum;
  }

 private:
  SiteHook& inner_;
  std::vector<double> seconds_;  // eight apart: threads do not share cache lines
};

/// The networks that are timed, made on first use, so that a resumed study builds only what it needs.
class Networks {
 public:
  explicit Networks(Study& study) : study_(study) {}

  Evaluator& evaluator() { return study_.evaluator(); }
  Scheme scheme(const std::string& name) const { return study_.scheme(name); }

  ActivationQuantizer& quantizer(const std::string& scheme) {
    auto& made = quantizers_[scheme];
    if (!made) made = std::make_unique<ActivationQuantizer>(evaluator().quantizer(study_.scheme(scheme)));
    return *made;
  }
  engine::CpuExecutor& executor(const std::string& scheme,
                                engine::RealPrecision real = engine::RealPrecision::float32) {
    auto& made = executors_[{scheme, real}];
    if (!made) {
      engine::CpuOptions options;
      options.real = real;
      options.threads = threads();
      made = std::make_unique<engine::CpuExecutor>(evaluator().lowered(study_.scheme(scheme)), options);
    }
    return *made;
  }
  const Agreement& agreement(const std::string& scheme,
                             engine::RealPrecision real = engine::RealPrecision::float32) {
    const std::pair key{scheme, real};
    const auto known = agreements_.find(key);
    if (known != agreements_.end()) return known->second;
    return agreements_[key] = engine_agreement(evaluator(), study_.scheme(scheme), executor(scheme, real), 0,
                                               agreement_examples);
  }

 private:
  Study& study_;
  std::map<std::string, std::unique_ptr<ActivationQuantizer>> quantizers_;
  std::map<std::pair<std::string, engine::RealPrecision>, std::unique_ptr<engine::CpuExecutor>> executors_;
  std::map<std::pair<std::string, engine::RealPrecision>, Agreement> agreements_;
};

struct Method {
  enum class Kind { real, simulated, integer } kind;
  std::string scheme;
  engine::RealPrecision precision = engine::RealPrecision::float32;

  std::string variant() const {
    switch (kind) {
      case Kind::real:
        return precision == engine::RealPrecision::bfloat16 ? "bf16" : "fp32";
      case Kind::simulated:
        return "simulated:" + scheme;
      default:
        return "integer:" + scheme;
    }
  }
  bool on_engine() const { return kind == Kind::integer || precision == engine::RealPrecision::bfloat16; }
};

std::vector<Method> methods() {
  std::vector<Method> all = {{Method::Kind::real, "fp32"},
                             {Method::Kind::real, "fp32", engine::RealPrecision::bfloat16}};
  for (const char* scheme : simulated_schemes) all.push_back({Method::Kind::simulated, scheme});
  for (const char* scheme : integer_schemes) all.push_back({Method::Kind::integer, scheme});
  return all;
}

/// All methods on one batch size and length. The first that is asked for times them all.
class Cell {
 public:
  Cell(std::shared_ptr<Networks> networks, std::size_t examples, std::size_t length)
      : networks_(std::move(networks)), examples_(examples), length_(length) {}

  std::string value() const { return std::to_string(examples_) + "x" + std::to_string(length_); }

  std::vector<Row> rows(const Method& method) {
    if (seconds_.empty()) time_all();
    const auto own = seconds_.find(method.variant());
    // Refused: it did not agree with its simulation.
    if (own == seconds_.end()) return {};
    return latency_rows(own->second, seconds_.at("fp32"), examples_, examples_ * length_);
  }
  std::string samples() const {
    std::string text;
    for (const auto& [variant, all] : seconds_) {
      for (std::size_t i = 0; i < all.size(); ++i)
        text += variant + "," + value() + "," + std::to_string(i) + "," + std::to_string(1e3 * all[i]) + "\n";
    }
    return text;
  }

 private:
  void time_all() {
    Evaluator& evaluator = networks_->evaluator();
    const Batch batch = random_batch(evaluator.config(), examples_, length_);
    std::vector<Contender> contenders;
    Matrix logits(examples_, evaluator.config().labels.size());
    for (const Method& method : methods()) {
      if (method.on_engine()) networks_->agreement(method.scheme, method.precision);
    }
    // The weights of all simulated schemes here are those of w8a8: made once.
    const BertRunner& quantized = evaluator.runner(networks_->scheme("w8a8"));
    for (const Method& method : methods()) {
      if (method.on_engine()) {
        if (!networks_->agreement(method.scheme, method.precision).holds()) continue;
        engine::CpuExecutor& executor = networks_->executor(method.scheme, method.precision);
        contenders.push_back({method.variant(), [&] { executor.logits(tokens_of(batch), logits.data()); }});
      } else if (method.kind == Method::Kind::real) {
        contenders.push_back({method.variant(), [&] { evaluator.float_runner().logits(batch); }});
      } else {
        ActivationQuantizer& hook = networks_->quantizer(method.scheme);
        contenders.push_back({method.variant(), [&] { quantized.logits(batch, &hook); }});
      }
    }
    const auto seconds = time_side_by_side(contenders, TimingOptions());
    for (std::size_t i = 0; i < contenders.size(); ++i) seconds_[contenders[i].name] = seconds[i];
  }

  std::shared_ptr<Networks> networks_;
  std::size_t examples_, length_;
  std::map<std::string, std::vector<double>> seconds_;
};

Row share(const std::string& part, double seconds, double total) {
  return figure("time_share_" + part, 100 * seconds / total);
}

/// Where one pass spends its time, in percent of all threads' time.
std::vector<Row> time_shares(Networks& networks, const Method& method) {
  Evaluator& evaluator = networks.evaluator();
  const Batch batch = random_batch(evaluator.config(), profiled_batch, profiled_length);
  if (method.kind == Method::Kind::simulated) {
    TimedHook hook(networks.quantizer(method.scheme));
    const BertRunner& quantized = evaluator.runner(networks.scheme("w8a8"));
    quantized.logits(batch, &networks.quantizer(method.scheme));
    const auto start = std::chrono::steady_clock::now();
    quantized.logits(batch, &hook);
    const double total =
        threads() * std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    // Quantizing and dequantizing are one pass over the values.
    return {share("quantize_dequantize", hook.seconds(), total),
            share("rest", total - hook.seconds(), total)};
  }
  engine::CpuOptions options;
  options.real = method.precision;
  options.profile = true;
  engine::CpuExecutor executor(networks.evaluator().lowered(networks.scheme(method.scheme)), options);
  Matrix logits(profiled_batch, evaluator.config().labels.size());
  executor.logits(tokens_of(batch), logits.data());
  executor.take_profile();
  executor.logits(tokens_of(batch), logits.data());
  const engine::Profile p = executor.take_profile();
  const double total = p.quantize + p.gemm + p.dequantize + p.rest;
  // Sums are dequantized, and where the next grid is static quantized, in the products' registers.
  return {share("products", p.gemm, total), share("quantize", p.quantize, total),
          share("rest", p.rest, total)};
}

std::vector<Row> agreement_rows(const Agreement& agreement) {
  std::vector<Row> rows = {figure("engine_agreement", agreement.predictions),
                           figure("simulation_agreement", agreement.simulation_noise_floor),
                           figure("engine_accuracy_change", agreement.accuracy_change)};
  for (Row& row : rows) row.n = agreement.examples;
  return rows;
}

}  // namespace

void deployment(Study& study) {
  const auto networks = std::make_shared<Networks>(study);
  const BertConfig& config = study.evaluator().config();
  for (const Method& method : methods()) {
    study.measure(method.variant(), "", "", [=] {
      std::vector<Row> rows;
      if (method.on_engine()) rows = agreement_rows(networks->agreement(method.scheme, method.precision));
      // As they are held to be executed: simulated weights are floats.
      const double bytes =
          method.on_engine()
              ? static_cast<double>(networks->executor(method.scheme, method.precision).bytes())
              : 4.0 * static_cast<double>(networks->evaluator().parameter_count());
      rows.push_back(figure("memory_weights_mb", bytes / 1e6));
      return rows;
    });
  }
  auto cells = std::make_shared<std::vector<std::shared_ptr<Cell>>>();
  for (const std::size_t examples : {1u, 8u, 32u, 128u}) {
    for (const std::size_t length : {16u, 64u, 128u, 256u, 512u}) {
      if (examples * length > most_tokens || length > config.max_positions) continue;
      const auto cell = std::make_shared<Cell>(networks, examples, length);
      cells->push_back(cell);
      for (const Method& method : methods())
        study.measure(method.variant(), "batch x length", cell->value(), [=] { return cell->rows(method); });
    }
  }
  for (const Method& method : methods()) {
    if (method.variant() == "fp32" || config.max_positions < profiled_length) continue;
    study.measure(method.variant(), "profile", "32x128", [=] { return time_shares(*networks, method); });
  }
  study.attach("samples", [=] {
    std::string text = "variant,batch_x_length,round,milliseconds\n";
    for (const auto& cell : *cells) text += cell->samples();
    return text;
  });
}

}  // namespace outlierlab
