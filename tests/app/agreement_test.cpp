#include "app/agreement.h"

#include <cstring>
#include <memory>

#include "app/resources.h"
#include "catch.h"
#include "engine/cpu/cpu_executor.h"
#include "paths.h"

using namespace outlierlab;

namespace {

/// Of `examples`, so many predictions of an engine differ from the reference's, and so many of the float32
/// simulation.
bool holds(std::size_t examples, double differ, double in_float32) {
  Agreement agreement;
  agreement.examples = examples;
  agreement.predictions = 100 - 100 * differ / static_cast<double>(examples);
  agreement.float32_predictions = 100 - 100 * in_float32 / static_cast<double>(examples);
  return agreement.holds();
}

/// Of `examples`, so many predictions differ, and so many more of them turn right than wrong.
bool unbiased(std::size_t examples, double differ, double gained) {
  Agreement agreement;
  agreement.examples = examples;
  agreement.predictions = 100 - 100 * differ / static_cast<double>(examples);
  agreement.float32_predictions = agreement.predictions;
  agreement.accuracy_change = 100 * gained / static_cast<double>(examples);
  return agreement.holds();
}

}  // namespace

TEST_CASE("Agreement: 99.5 %, or what float32 leaves of the reference's predictions but for chance",
          "[app]") {
  REQUIRE(holds(1000, 5, 0));
  REQUIRE_FALSE(holds(1000, 6, 0));
  REQUIRE(holds(1000, 12, 5));  // up to 5 + 3 sqrt(6)
  REQUIRE_FALSE(holds(1000, 13, 5));
  REQUIRE(holds(1000, 100, 100));
  REQUIRE(holds(1000, 130, 100));
  REQUIRE_FALSE(holds(1000, 131, 100));
}

TEST_CASE("Agreement: of few examples, chance is not granted all", "[app]") {
  for (const std::size_t n : {1u, 2u, 3u, 10u}) {
    REQUIRE(holds(n, 0, 0));
    REQUIRE_FALSE(holds(n, 1, 0));
  }
  REQUIRE(holds(20, 1, 0));
  REQUIRE_FALSE(holds(20, 2, 0));
  REQUIRE(holds(100, 3, 0));
  REQUIRE_FALSE(holds(100, 4, 0));
}

TEST_CASE("Agreement: accuracy within 0.2 points, or within chance of the predictions that differ", "[app]") {
  for (const double sign : {1.0, -1.0}) {
    REQUIRE(unbiased(10000, 4, sign * 4));
    REQUIRE(unbiased(10000, 100, sign * 30));  // 3 sqrt(100)
    REQUIRE_FALSE(unbiased(10000, 100, sign * 31));
    REQUIRE(unbiased(10000, 40, sign * 20));  // 0.2 points
    REQUIRE_FALSE(unbiased(10000, 40, sign * 21));
    REQUIRE(unbiased(200, 1, sign));  // 0.5 points
    REQUIRE(unbiased(200, 9, sign * 9));
    REQUIRE_FALSE(unbiased(200, 10, sign * 10));
  }
}

namespace {

/// Says the opposite of every tenth prediction of another executor.
class Contrary : public engine::Executor {
 public:
  explicit Contrary(engine::Executor& inner) : inner_(inner) {}
  void logits(const engine::Tokens& tokens, float* logits) override {
    inner_.logits(tokens, logits);
    for (std::size_t e = 0; e < tokens.examples; ++e) {
      if (seen_++ % 10 != 0) continue;
      for (std::size_t c = 0; c < shape().labels; ++c) {
        float& logit = logits[e * shape().labels + c];
        logit = -logit;
      }
    }
  }
  const engine::Shape& shape() const override { return inner_.shape(); }
  std::string description() const override { return inner_.description(); }
  std::size_t bytes() const override { return inner_.bytes(); }
  engine::Profile take_profile() override { return inner_.take_profile(); }

 private:
  engine::Executor& inner_;
  std::size_t seen_ = 0;
};

}  // namespace

TEST_CASE("Agreement is with double precision, and measures float32 where that decides", "[app]") {
  EvaluatorOptions options;
  options.task = Task::read(find_task("demo"));
  options.model_folder = test::source("models/demo/control");
  options.limit = 60;
  options.calibration_size = 16;
  Evaluator evaluator(options);
  const Scheme scheme = Scheme::load("w8a8", resource_root() / "configs" / "schemes", {});
  Simulation whole(evaluator, scheme), part(evaluator, scheme, 0, 40), beyond(evaluator, scheme, 0, 1000);
  REQUIRE(whole.examples() == 60);
  REQUIRE(part.examples() == 40);
  REQUIRE(beyond.examples() == 60);
  REQUIRE(part.exact().rows() == 40);
  const Matrix& float32 = whole.float32();
  const Matrix evaluated = evaluator.evaluate(scheme).logits;
  REQUIRE(std::memcmp(float32.data(), evaluated.data(), evaluated.size() * sizeof(float)) == 0);
  REQUIRE(std::memcmp(float32.data(), whole.exact().data(), evaluated.size() * sizeof(float)) != 0);

  engine::CpuExecutor executor(evaluator.lowered(scheme));
  const Agreement agreement = engine_agreement(part, executor);
  REQUIRE(agreement.predictions >= Agreement::required_predictions);
  REQUIRE_FALSE(agreement.float32_predictions.has_value());
  REQUIRE(agreement.text().find("float32") == std::string::npos);
  REQUIRE(agreement.holds());
  const Agreement thorough = engine_agreement(part, executor, true);
  REQUIRE(thorough.float32_predictions == part.float32_predictions());
  REQUIRE(thorough.text().find("in float32") != std::string::npos);

  Contrary contrary(executor);
  const Agreement other = engine_agreement(part, contrary);
  REQUIRE(other.predictions == Approx(90));
  REQUIRE(other.float32_predictions.has_value());
  REQUIRE_FALSE(other.holds());
}
