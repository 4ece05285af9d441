#include "app/engines.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "engine/cpu/cpu_executor.h"
#include "engine/refusal.h"
#ifdef OUTLIERLAB_CUDA
#include "engine/cuda/cuda_executor.h"
#endif

namespace outlierlab {

const std::vector<std::string>& engine_names() {
  static const std::vector<std::string> names = {"int8", "cuda"};
  return names;
}

std::vector<std::string> present_engines() {
  std::vector<std::string> names = {"int8"};
#ifdef OUTLIERLAB_CUDA
  if (engine::cuda_devices() > 0) names.push_back("cuda");
#endif
  return names;
}

std::vector<std::string> available_engines() {
  std::vector<std::string> names = present_engines();
  const auto refused = [](const std::string& name) {
    try {
      require_engine(name);
      return false;
    } catch (const Error&) {
      return true;
    }
  };
  names.erase(std::remove_if(names.begin(), names.end(), refused), names.end());
  return names;
}

void require_engine(const std::string& name) {
  const std::vector<std::string> names = present_engines();
  if (std::find(names.begin(), names.end(), name) != names.end()) {
#ifdef OUTLIERLAB_CUDA
    if (name == "cuda") engine::cuda_device(engine::CudaOptions().device);
#endif
    return;
  }
#ifdef OUTLIERLAB_CUDA
  if (name == "cuda")
    engine::cuda_device(engine::CudaOptions().device);  // an Error that says why none is there
  fail_expected("engine " + name, "a CUDA device", "none");
#else
  fail_expected("engine " + name, "a build with the CUDA back end (cmake --preset cuda)", "one without");
#endif
}

engine::RealPrecision precision_named(const std::string& name) {
  const std::vector<std::string> names = {"float32", "bfloat16", "float16", "float8"};
  const auto at = std::find(names.begin(), names.end(), name);
  if (at == names.end()) fail_unknown("precision", name, names);
  return static_cast<engine::RealPrecision>(at - names.begin());
}

std::unique_ptr<engine::Executor> make_executor(const std::string& name,
                                                std::shared_ptr<const engine::Model> model,
                                                const ExecutorOptions& options) {
  if (name == "int8") {
    engine::CpuOptions how;
    if (options.real) how.real = *options.real;
    how.profile = options.profile;
    return std::make_unique<engine::CpuExecutor>(std::move(model), how);
  }
  if (name != "cuda") fail_unknown("engine", name, engine_names());
#ifdef OUTLIERLAB_CUDA
  engine::CudaOptions how;
  if (options.real) how.real = *options.real;
  how.profile = options.profile;
  return engine::make_cuda_executor(std::move(model), how);
#else
  require_engine(name);
  return nullptr;
#endif
}

TimedEngine timed_engine(const std::string& name) {
  try {
    require_engine(name);
  } catch (const Error& error) {
    const std::vector<std::string> present = present_engines();
    if (std::find(present.begin(), present.end(), name) == present.end()) throw;
    throw Refusal(error.what());  // a device is there, and cannot be used
  }
  TimedEngine made;
  made.name = name;
  made.make = [name](std::shared_ptr<const engine::Model> model, const ExecutorOptions& options) {
    return make_executor(name, std::move(model), options);
  };
#ifdef OUTLIERLAB_CUDA
  if (name == "cuda") {
    const engine::CudaDevice device = engine::cuda_device(engine::CudaOptions().device);
    made.device = fmt::format("{}, compute capability {}.{}, {:.1f} GB", device.name, device.major,
                              device.minor, 1e-9 * static_cast<double>(device.memory_bytes));
    made.monitor = std::make_shared<engine::DeviceMonitor>(device.bus_id);
    made.is_device = true;
    made.peak = [device](bool integer, engine::RealPrecision real) {
      if (!integer) engine::require_precision(device.name, device.major, device.minor, real);
      return engine::cuda_peak(engine::CudaOptions().device, integer, real);
    };
  }
#endif
  return made;
}

}  // namespace outlierlab
