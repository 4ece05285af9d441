// What an evaluator keeps between schemes must not show.
#include "app/evaluator.h"

#include <cstring>

#include "app/resources.h"
#include "catch.h"
#include "engine/cpu/cpu_executor.h"
#include "lower/lower.h"

using namespace outlierlab;

namespace {

Evaluator demo_evaluator() {
  EvaluatorOptions options;
  options.model_folder = find_model("demo-planted").folder;
  options.task = Task::read(find_task("demo"));
  options.limit = 24;
  options.batch_size = 8;
  options.calibration_size = 16;
  return Evaluator(options);
}

Scheme scheme(const std::string& name, const std::vector<std::string>& overrides = {}) {
  return Scheme::load(name, resource_root() / "configs" / "schemes", overrides);
}

bool same_bits(const Matrix& a, const Matrix& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

Matrix on_engine(Evaluator& evaluator, const Scheme& s, std::uint64_t seed = 0) {
  engine::CpuExecutor executor(evaluator.lowered(s, seed));
  return evaluator.evaluate(executor, 0).logits;
}

}  // namespace

TEST_CASE("Schemes that share quantized or lowered weights evaluate as they do alone", "[app]") {
  const std::vector<Scheme> schemes = {
      scheme("w8a8"),
      scheme("w8a8", {"activations.calibrator=percentile", "activations.percentile=99.9"}),
      scheme("w8a8", {"weights.granularity=channel"}),
      scheme("w8a8", {"weights.bits=6"}),
      scheme("w8a8-token"),
      scheme("w8a8"),
  };
  Evaluator shared = demo_evaluator();
  for (std::size_t i = 0; i < schemes.size(); ++i) {
    INFO("scheme " << i);
    const std::uint64_t seed = i % 2;
    Evaluator alone = demo_evaluator();
    REQUIRE(same_bits(on_engine(shared, schemes[i], seed), on_engine(alone, schemes[i], seed)));
    REQUIRE(same_bits(shared.evaluate(schemes[i], seed).logits, alone.evaluate(schemes[i], seed).logits));
  }
  REQUIRE_FALSE(same_bits(on_engine(shared, schemes[0]), on_engine(shared, schemes[3])));
}

TEST_CASE("The float network is evaluated once", "[app]") {
  Evaluator evaluator = demo_evaluator();
  const Evaluation first = evaluator.evaluate(scheme("fp32"));
  REQUIRE(first.seconds > 0);
  REQUIRE(evaluator.reference().seconds == first.seconds);
  REQUIRE(evaluator.evaluate(scheme("fp32"), 3).seconds == first.seconds);
  REQUIRE(evaluator.score(first.logits).agreement == 100);
  REQUIRE(evaluator.evaluate(scheme("w8a8")).seconds != first.seconds);
}
