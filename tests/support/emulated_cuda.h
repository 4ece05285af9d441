// The CUDA executor over an emulated device (tests/engine/cuda_emulation).
#pragma once

#include <memory>
#include <utility>

#include "engine/cuda/cuda_executor.h"

namespace outlierlab::engine::emulated {
std::unique_ptr<CudaExecutor> make_executor(std::shared_ptr<const Model> model, const CudaOptions& options);
}

namespace test {

inline std::unique_ptr<outlierlab::engine::CudaExecutor> emulated_cuda_executor(
    std::shared_ptr<const outlierlab::engine::Model> model, outlierlab::engine::CudaOptions options = {}) {
  return outlierlab::engine::emulated::make_executor(std::move(model), options);
}

}  // namespace test
