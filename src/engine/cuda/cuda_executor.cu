#include "engine/cuda/cuda_executor.h"

#include <utility>

#include "engine/cuda/executor.h"
#include "engine/cuda/products.h"
#include "engine/cuda/runtime.h"

namespace outlierlab::engine {

int cuda_devices() {
  return cuda::device_count();
}

std::unique_ptr<CudaExecutor> make_cuda_executor(std::shared_ptr<const Model> model, const CudaOptions& options) {
  return cuda::make_executor(std::move(model), options);
}

std::vector<std::string> cuda_integer_ways() {
  std::vector<std::string> names;
  for (int way = 0; way < cuda::Products::integer_ways(); ++way) names.push_back(cuda::Products::way_name(way));
  return names;
}

}  // namespace outlierlab::engine
