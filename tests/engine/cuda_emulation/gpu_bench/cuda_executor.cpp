// The twin of src/engine/cuda/cuda_executor.cu, so that gpu_bench runs over the emulated device. Peaks are
// made up: no time of it is one of a device's. OUTLIERLAB_EMULATION_SPOILS in the environment: "codes",
// logits of models with codes are wrong; "8-tokens", a pass of so many fails.
#include "engine/cuda/cuda_executor.h"

#include <cstdlib>
#include <string>
#include <utility>

#include "core/error.h"
#include "engine/cuda/runtime.h"
#include "support/emulated_cuda.h"

namespace outlierlab::engine {

namespace {

/// Another executor, spoiled.
class Spoiled : public CudaExecutor {
 public:
  Spoiled(std::unique_ptr<CudaExecutor> inner, bool swaps) : inner_(std::move(inner)), swaps_(swaps) {}
  void logits(const Tokens& tokens, float* logits) override {
    inner_->logits(tokens, logits);
    if (!swaps_ && tokens.count() == 8) throw Error("out of memory");
    for (std::size_t e = 0; swaps_ && e < tokens.examples; ++e)
      std::swap(logits[e * shape().labels], logits[e * shape().labels + 1]);
  }
  const Shape& shape() const override { return inner_->shape(); }
  std::string description() const override { return inner_->description(); }
  std::size_t bytes() const override { return inner_->bytes(); }
  Profile take_profile() override { return inner_->take_profile(); }
  std::vector<ProductTime> product_times() const override { return inner_->product_times(); }
  std::vector<std::string> dropped() const override { return inner_->dropped(); }
  std::vector<KernelTime> take_kernel_times() override { return inner_->take_kernel_times(); }

 private:
  std::unique_ptr<CudaExecutor> inner_;
  bool swaps_;  ///< logits; else passes of 8 tokens fail
};

bool has_codes(const Model& model) {
  return model.embeddings_norm_site.kind != FormatKind::real;
}

}  // namespace

int cuda_devices() {
  return emulated::device_count();
}

CudaDevice cuda_device(int device) {
  const emulated::DeviceFacts facts = emulated::use_device(device);
  return {facts.name, facts.major, facts.minor, facts.memory_bytes, facts.bus_id};
}

void synchronize_cuda_device(int) {}

std::unique_ptr<CudaExecutor> make_cuda_executor(std::shared_ptr<const Model> model,
                                                 const CudaOptions& options) {
  const char* given = std::getenv("OUTLIERLAB_EMULATION_SPOILS");
  const std::string spoils = given ? given : "";
  const bool swaps = spoils == "codes" && has_codes(*model);
  auto executor = emulated::make_executor(std::move(model), options);
  if (!swaps && spoils != "8-tokens") return executor;
  return std::make_unique<Spoiled>(std::move(executor), swaps);
}

double cuda_peak(int, bool integer, RealPrecision) {
  return integer ? 2e7 : 1e7;
}

double cuda_bandwidth(int) {
  return 1e9;
}

std::vector<std::string> cuda_integer_ways() {
  return emulated::integer_ways();
}

}  // namespace outlierlab::engine
