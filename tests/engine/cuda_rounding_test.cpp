// How near to double precision the CUDA back end's arithmetic comes, over the emulated device. Minutes: by
// itself, as `outlierlab_tests "[.emulated-split]"`.
#include <cmath>

#include "app/agreement.h"
#include "app/resources.h"
#include "catch.h"
#include "engine/cpu/cpu_executor.h"
#include "paths.h"
#include "support/emulated_cuda.h"

using namespace outlierlab;

TEST_CASE("On the CUDA back end, emulated, W8A8 is as near to double precision as on the CPU",
          "[.emulated-split]") {
  const auto data = test::data("qnli");
  SKIP_WITHOUT_DATA(data);
  EvaluatorOptions options;
  options.task = Task::read(find_task("qnli"));
  options.model_folder = test::data("minilm-qnli");
  options.data_folder = data;
  options.limit = 30;
  options.calibration_size = 64;
  Evaluator evaluator(std::move(options));
  const Scheme scheme = Scheme::load("w8a8", resource_root() / "configs" / "schemes");
  Simulation simulation(evaluator, scheme);
  const Matrix &exact = simulation.exact(), &in_float = simulation.float32();
  double squares = 0;
  for (std::size_t i = 0; i < exact.size(); ++i)
    squares += std::pow(double{exact.data()[i]} - in_float.data()[i], 2);
  const double float32 = std::sqrt(squares / static_cast<double>(exact.size()));
  const auto model = evaluator.lowered(scheme);
  engine::CpuExecutor on_cpu(model, engine::CpuOptions());
  const double cpu = engine_agreement(simulation, on_cpu).logit_difference;
  const double cuda = engine_agreement(simulation, *test::emulated_cuda_executor(model)).logit_difference;
  WARN("logits from double precision's (rms): float32 simulation " << float32 << ", CPU " << cpu
                                                                   << ", CUDA, emulated " << cuda);
  // Each code that changes sides moves logits by more than rounding does, so the distances are rough.
  REQUIRE(cuda < 2 * cpu);
  REQUIRE(cuda < float32);
}
