#include "app/engines.h"

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

std::unique_ptr<engine::Executor> make_executor(const std::string& name,
                                                std::shared_ptr<const engine::Model> model) {
  if (name == "int8") return std::make_unique<engine::CpuExecutor>(std::move(model));
  if (name != "cuda") fail_unknown("engine", name, engine_names());
#ifdef OUTLIERLAB_CUDA
  return engine::make_cuda_executor(std::move(model));
#else
  fail_expected("engine cuda", "a build with the CUDA back end (cmake --preset cuda)", "one without");
#endif
}

}  // namespace outlierlab
