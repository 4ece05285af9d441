#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/device_monitor.h"
#include "engine/executor.h"

namespace outlierlab {

/// What executes a model in integers: "int8" on the CPU, "cuda" on a GPU.
const std::vector<std::string>& engine_names();

/// Those that this build has and this machine has a device for, which may be too old.
std::vector<std::string> present_engines();

/// Those of them that this machine can run.
std::vector<std::string> available_engines();

/// Throws Error, which says what is needed, where an engine is not among the latter.
void require_engine(const std::string& name);

/// "float32", "bfloat16", "float16" or "float8"; anything else is a UsageError.
engine::RealPrecision precision_named(const std::string& name);

struct ExecutorOptions {
  /// How products are computed whose sides are not both codes; the executor's own choice where none is given.
  std::optional<engine::RealPrecision> real;
  bool profile = false;  ///< measure where the time goes
};

/// An executor by name. "cuda" in a build without it, or where there is no device, is an Error that says what
/// is needed; a precision that the device lacks is a Refusal.
std::unique_ptr<engine::Executor> make_executor(const std::string& name,
                                                std::shared_ptr<const engine::Model> model,
                                                const ExecutorOptions& options = {});

/// An engine on what it runs on, as studies that time it need it.
struct TimedEngine {
  std::string name;
  std::function<std::unique_ptr<engine::Executor>(std::shared_ptr<const engine::Model>,
                                                  const ExecutorOptions&)>
      make;
  bool is_device = false;  ///< beside the processor
  /// Of a device: what it is ("NVIDIA H100 80GB HBM3, compute capability 9.0, 85.0 GB"), and what it says of
  /// itself. Empty for the processor.
  std::string device;
  std::shared_ptr<const engine::DeviceMonitor> monitor;
  /// The device's measured operations per second on a large product of codes, or of floats; throws Refusal
  /// for a precision that it lacks. Empty for the processor, whose loops src/engine/cpu/peak.h has.
  std::function<double(bool integer, engine::RealPrecision)> peak;
};

/// Throws Error where the engine is not there, and Refusal where its device cannot run it.
TimedEngine timed_engine(const std::string& name);

}  // namespace outlierlab
