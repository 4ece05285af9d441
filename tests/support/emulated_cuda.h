// The CUDA executor over an emulated device (tests/engine/cuda_emulation).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/cuda/cuda_executor.h"

namespace outlierlab::engine::emulated {
std::unique_ptr<CudaExecutor> make_executor(std::shared_ptr<const Model> model, const CudaOptions& options);
std::vector<std::string> integer_ways();
extern std::size_t memory_limit;  ///< of the emulated device
}  // namespace outlierlab::engine::emulated

namespace test {

/// Whatever is timed takes as long there.
constexpr double emulated_launch_seconds = 1e-3;

inline std::unique_ptr<outlierlab::engine::CudaExecutor> emulated_cuda_executor(
    std::shared_ptr<const outlierlab::engine::Model> model,
    const outlierlab::engine::CudaOptions& options = {}) {
  return outlierlab::engine::emulated::make_executor(std::move(model), options);
}

/// The emulated device has so many bytes while this lives.
class LittleMemory {
 public:
  explicit LittleMemory(std::size_t bytes) { outlierlab::engine::emulated::memory_limit = bytes; }
  ~LittleMemory() { outlierlab::engine::emulated::memory_limit = ~std::size_t{0}; }
  LittleMemory(const LittleMemory&) = delete;
  LittleMemory& operator=(const LittleMemory&) = delete;
};

inline std::vector<std::string> emulated_cuda_ways() {
  return outlierlab::engine::emulated::integer_ways();
}

}  // namespace test
