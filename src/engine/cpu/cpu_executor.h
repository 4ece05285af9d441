#pragma once

#include <memory>

#include "engine/executor.h"

namespace outlierlab::engine {

struct CpuOptions {
  RealPrecision real = RealPrecision::float32;  ///< float32, or bfloat16 for products with weights
  int threads = 0;                              ///< 0: as core/parallel.h says
  /// Measure where the time goes. Integer products with a weight run three times (Profile::repeated).
  bool profile = false;
  SiteObserver* observer = nullptr;  ///< sees every site; one that is not thread-safe needs threads = 1
};

/// Executes a Model in integers on the CPU.
///
/// Whole examples are grouped to blocks of rows that stay in a core's cache, and each thread takes a group
/// through the entire network; where there are fewer groups than threads, the threads share one group by
/// columns. Products of codes are exact in int32 (see int8_gemm.h); others run in float32, or in
/// bfloat16 those with a weight. Logits do not depend on the batch, the number of threads or the instruction
/// set (bfloat16 excepted).
class CpuExecutor : public Executor {
 public:
  CpuExecutor(std::shared_ptr<const Model> model, const CpuOptions& options = {});
  ~CpuExecutor() override;

  void logits(const Tokens& tokens, float* logits) override;
  const Shape& shape() const override;
  std::string description() const override;
  std::size_t bytes() const override;
  Profile take_profile() override;

 private:
  struct Network;
  std::unique_ptr<Network> network_;
};

}  // namespace outlierlab::engine
