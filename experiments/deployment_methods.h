// The ways of running a network that the deployment study compares.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/agreement.h"
#include "app/study.h"
#include "experiments/pass_samples.h"
#include "experiments/timing.h"

namespace outlierlab {

struct Method {
  enum class Kind {
    real,       ///< float weights and activations
    simulated,  ///< values rounded to the grids, computed in float
    integer     ///< executed on codes
  } kind;
  std::string scheme;
  /// Of real methods; integer ones compute what is not codes as their executor chooses.
  engine::RealPrecision precision = engine::RealPrecision::float32;
  std::string engine = "int8";  ///< where it runs; "int8" stands for the processor

  /// The row's label: "float:fp32", "float:bf16", "simulated:w8a8", "integer:w8a8"; on a device beside the
  /// processor its engine's name before it: "cuda float:fp16", "cuda integer:w8a8".
  std::string variant() const;
  bool on_device() const { return engine != "int8"; }
  /// Otherwise the suite's own float network runs it.
  bool on_engine() const {
    return on_device() || kind == Kind::integer || precision == engine::RealPrecision::bfloat16;
  }
};

/// What the paper times (simulated), and what executes integers, as far as the engine runs it. On the
/// processor BF16 stands for the paper's FP16 (experiments/README.md says why).
std::vector<Method> execution_methods(const std::string& engine);
std::vector<std::string> variants_of(const std::vector<Method>& methods);
/// The one that the engine's others are compared with: FP32 on the processor, FP16 on a device, whose kernels
/// are made for it.
Method reference_method(const std::string& engine);
/// Rows of a method by the passes of all that its engine has timed beside it (by variant), its reference's
/// among them or not; timed as timing_on() says.
std::vector<Row> latency_rows(const PassSeconds& seconds, const Method& method, std::size_t examples,
                              std::size_t tokens);

/// Integer methods with these schemes, and the engine's float ones before them.
std::vector<Method> methods_on(const std::string& engine, const std::vector<std::string>& integer_schemes);

/// The same with simulated methods before the integer ones where the engine is the processor's.
std::vector<Method> with_simulated(std::vector<Method> methods, const std::string& engine,
                                   const std::vector<std::string>& simulated_schemes);

/// Bytes of the weights as the method reads them: codes, or floats of its precision where products have them.
std::size_t weight_bytes(const engine::Model& model, const Method& method);

/// An executor of the method. Nothing where the engine refuses it: `refusal` then has its reason.
std::unique_ptr<engine::Executor> executor_for(
    const TimedEngine& engine, const Method& method,
    const std::function<std::shared_ptr<const engine::Model>()>& model, bool profile, std::string& refusal);

/// How a batch of so many tokens is timed. The first pass after another method's finds that one's weights in
/// the caches, and is not timed where that shows; a device's need several to settle its clocks and graphs.
TimingOptions timing_on(const std::string& engine, std::size_t tokens, double seconds);

/// What a device said of itself right after it was timed: "1980 MHz, memory 2619 MHz, 45 C, throttled by:
/// none".
std::string device_state(const engine::DeviceMonitor& monitor);

/// Times an engine's methods side by side on a batch of so many tokens, as timing_on() says. The record then
/// says how a device did at `cell`, or the processor's clock (`clock_ghz`), how many medians are not as
/// narrow as asked for (`wide`), and how many something else has disturbed, which `run` prints, too.
PassSeconds time_cell(Study& study, const TimedEngine& engine, const std::string& cell,
                      const std::vector<Contender>& contenders, std::size_t tokens, double seconds);

/// The networks that are run, made on first use, so that a resumed study builds only what it needs.
class Networks {
 public:
  explicit Networks(Study& study) : study_(study) {}

  Evaluator& evaluator() { return study_.evaluator(); }
  Scheme scheme(const std::string& name) const { return study_.scheme(name); }
  const TimedEngine& engine(const std::string& name);
  /// The weights of all simulated schemes are those of w8a8. The reference stays valid as long as no other
  /// scheme's weights are asked for.
  const BertRunner& simulated_runner() { return evaluator().runner(scheme("w8a8")); }
  ActivationQuantizer& quantizer(const std::string& scheme);
  /// Null where its engine refuses the method.
  engine::Executor* executor(const Method& method) { return run(method).executor.get(); }
  /// What the executor held before its first pass: the weights, and a library's workspace.
  std::size_t bytes_before_passes(const Method& method) { return run(method).bytes; }
  /// One for a single measurement. Null as executor().
  std::unique_ptr<engine::Executor> another_executor(const Method& method, bool profile);
  std::shared_ptr<const engine::Model> model(const std::string& scheme);
  /// An engine's run on real examples beside the scheme's in double precision; the method must have an
  /// executor.
  const Agreement& agreement(const Method& method);
  /// An engine is timed only after it has agreed. The record says what is not timed, and why.
  bool may_be_timed(const Method& method);

  /// time_cell() of this study.
  PassSeconds time(const std::string& engine, const std::string& cell,
                   const std::vector<Contender>& contenders, std::size_t tokens, double seconds);

  /// One forward pass over the batch, which must outlive it. Makes everything that it needs at once.
  std::function<void()> pass(const Method& method, const Batch& batch);

 private:
  struct Run {
    std::unique_ptr<engine::Executor> executor;
    std::size_t bytes = 0;
    std::optional<Agreement> agreement;
  };
  Run& run(const Method& method);
  Simulation& simulation(const std::string& scheme);

  Study& study_;
  std::map<std::string, std::unique_ptr<ActivationQuantizer>> quantizers_;
  std::map<std::string, std::shared_ptr<const engine::Model>> models_;
  std::map<std::string, Simulation> simulations_;
  std::map<std::string, Run> runs_;  ///< by variant
};

/// The most memory that a process holds which has the method and nothing else, while it runs each batch of
/// random tokens ("32x128": examples x tokens), in bytes; 0 where the system does not tell. Buffers stay, so
/// that a batch is to be larger than those before it.
std::vector<std::size_t> process_peaks(Networks& networks, const Method& method,
                                       const std::vector<std::string>& batches);

}  // namespace outlierlab
