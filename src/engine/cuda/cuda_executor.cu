#include "engine/cuda/cuda_executor.h"

#include <utility>

#include "engine/cuda/executor.h"
#include "engine/cuda/graph_timer.h"
#include "engine/cuda/products.h"
#include "engine/cuda/runtime.h"

namespace outlierlab::engine {

int cuda_devices() {
  return cuda::device_count();
}

CudaDevice cuda_device(int device) {
  const cuda::DeviceFacts facts = cuda::use_device(device);
  return {facts.name, facts.major, facts.minor, facts.memory_bytes, facts.bus_id};
}

void synchronize_cuda_device(int device) {
  cuda::select_device(device);
  cuda::synchronize_device();
}

std::unique_ptr<CudaExecutor> make_cuda_executor(std::shared_ptr<const Model> model,
                                                 const CudaOptions& options) {
  return cuda::make_executor(std::move(model), options);
}

double cuda_peak(int device, bool integer, RealPrecision real) {
  using cuda::RealType;
  cuda::use_device(device);
  const RealType type = real == RealPrecision::float32    ? RealType::float32
                        : real == RealPrecision::bfloat16 ? RealType::bfloat16
                                                          : RealType::float16;
  return cuda::Products::peak(integer, real == RealPrecision::float8, type, nullptr);
}

double cuda_bandwidth(int device) {
  cuda::use_device(device);
  constexpr std::size_t bytes = std::size_t{256} << 20;
  const cuda::DeviceArray<unsigned char> from(bytes), to(bytes);
  const cuda::StreamOwner stream;
  const auto copy = [&] { cuda::copy_on_device(to.data(), from.data(), bytes, stream); };
  copy();
  return 2.0 * static_cast<double>(bytes) / cuda::GraphTimer().seconds(stream, copy);
}

std::vector<std::string> cuda_integer_ways() {
  return cuda::integer_ways();
}

}  // namespace outlierlab::engine
