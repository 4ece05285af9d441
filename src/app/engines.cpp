#include "app/engines.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "engine/cpu/cpu_executor.h"
#ifdef OUTLIERLAB_CUDA
#include "engine/cuda/cuda_executor.h"
#endif

namespace outlierlab {

const std::vector<std::string>& engine_names() {
  static const std::vector<std::string> names = {"int8", "cuda"};
  return names;
}

std::vector<std::string> available_engines() {
  std::vector<std::string> names = {"int8"};
#ifdef OUTLIERLAB_CUDA
  if (engine::cuda_devices() > 0) names.push_back("cuda");
#endif
  return names;
}

void require_engine(const std::string& name) {
  const std::vector<std::string> names = available_engines();
  if (std::find(names.begin(), names.end(), name) != names.end()) return;
#ifdef OUTLIERLAB_CUDA
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
                                                std::optional<engine::RealPrecision> real) {
  if (name == "int8") {
    engine::CpuOptions options;
    if (real) options.real = *real;
    return std::make_unique<engine::CpuExecutor>(std::move(model), options);
  }
  if (name != "cuda") fail_unknown("engine", name, engine_names());
#ifdef OUTLIERLAB_CUDA
  engine::CudaOptions options;
  if (real) options.real = *real;
  return engine::make_cuda_executor(std::move(model), options);
#else
  require_engine(name);
  return nullptr;
#endif
}

}  // namespace outlierlab
