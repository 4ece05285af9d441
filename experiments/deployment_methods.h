// The ways of running a network that the deployment study compares.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "app/agreement.h"
#include "app/study.h"
#include "engine/cpu/cpu_executor.h"

namespace outlierlab {

struct Method {
  enum class Kind {
    real,       ///< float weights and activations
    simulated,  ///< values rounded to the grids, computed in float
    integer     ///< executed on codes
  } kind;
  std::string scheme;
  engine::RealPrecision precision = engine::RealPrecision::float32;

  /// The row's label: "float:fp32", "float:bf16", "simulated:w8a8", "integer:w8a8".
  std::string variant() const;
  bool on_engine() const { return kind == Kind::integer || precision == engine::RealPrecision::bfloat16; }
};

/// What the paper times (simulated), and what executes integers. BF16 stands for the paper's FP16
/// (experiments/README.md says why).
const std::vector<Method>& execution_methods();
/// The one that all others are compared with.
const Method& float_method();

/// The networks that are run, made on first use, so that a resumed study builds only what it needs.
class Networks {
 public:
  explicit Networks(Study& study) : study_(study) {}

  Evaluator& evaluator() { return study_.evaluator(); }
  Scheme scheme(const std::string& name) const { return study_.scheme(name); }
  /// The weights of all simulated schemes are those of w8a8. The reference stays valid as long as no other
  /// scheme's weights are asked for.
  const BertRunner& simulated_runner() { return evaluator().runner(scheme("w8a8")); }
  ActivationQuantizer& quantizer(const std::string& scheme);
  engine::CpuExecutor& executor(const Method& method);
  std::shared_ptr<const engine::Model> model(const std::string& scheme);
  /// An engine's run on real examples beside its simulation's.
  const Agreement& agreement(const Method& method);
  /// An engine is timed only after it has agreed.
  bool may_be_timed(const Method& method) { return !method.on_engine() || agreement(method).holds(); }

  /// One forward pass over the batch, which must outlive it. Makes everything that it needs at once.
  std::function<void()> pass(const Method& method, const Batch& batch);

 private:
  using EngineKey = std::pair<std::string, engine::RealPrecision>;
  Study& study_;
  std::map<std::string, std::unique_ptr<ActivationQuantizer>> quantizers_;
  std::map<std::string, std::shared_ptr<const engine::Model>> models_;
  std::map<EngineKey, std::unique_ptr<engine::CpuExecutor>> executors_;
  std::map<EngineKey, Agreement> agreements_;
};

/// The most memory that a process of its own holds while it runs the method on `examples` of `length` random
/// tokens, in bytes: after set-up, the peak is set back and two passes are made. 0 where the system does not
/// tell.
std::size_t process_peak(Networks& networks, const Method& method, std::size_t examples, std::size_t length);

}  // namespace outlierlab
