#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/cuda/cuda_executor.h"
#include "engine/cuda/platform.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

std::unique_ptr<CudaExecutor> make_executor(std::shared_ptr<const Model> model, const CudaOptions& options);
std::vector<std::string> integer_ways();

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
