#include "app/agreement.h"

#include <cstring>
#include <memory>

#include "app/resources.h"
#include "catch.h"
#include "engine/cpu/cpu_executor.h"
#include "paths.h"

using namespace outlierlab;

namespace {

/// Of `examples`, so many predictions differ from the reference's, and so many more turn right than wrong.
bool holds(std::size_t examples, double differ, double gained = 0, bool whole_split = false) {
  Agreement agreement;
  agreement.examples = examples;
  agreement.whole_split = whole_split;
  agreement.predictions = 100 - 100 * differ / static_cast<double>(examples);
  agreement.accuracy_change = 100 * gained / static_cast<double>(examples);
  return agreement.holds();
}

}  // namespace

TEST_CASE("Agreement: of a whole split 99.5 % and 0.2 points", "[app]") {
  REQUIRE(holds(5000, 25, 0, true));
  REQUIRE_FALSE(holds(5000, 26, 0, true));
  for (const double sign : {1.0, -1.0}) {
    REQUIRE(holds(5000, 25, sign * 10, true));
    REQUIRE_FALSE(holds(5000, 25, sign * 11, true));
  }
}

TEST_CASE("Agreement: of a sample within chance of 99.5 %", "[app]") {
  REQUIRE(holds(1000, 11));  // up to 5 + 3 sqrt(5)
  REQUIRE_FALSE(holds(1000, 12));
  REQUIRE(holds(200, 4));
  REQUIRE_FALSE(holds(200, 5));
  REQUIRE(holds(20, 1));
  REQUIRE_FALSE(holds(20, 2));
  for (const std::size_t n : {1u, 2u, 3u, 10u}) {
    REQUIRE(holds(n, 0));
    REQUIRE_FALSE(holds(n, 1));
  }
}

TEST_CASE(
    "Agreement: accuracy of a sample within 0.2 points, or within chance of the predictions that differ",
    "[app]") {
  for (const double sign : {1.0, -1.0}) {
    REQUIRE(holds(10000, 4, sign * 4));
    REQUIRE(holds(10000, 64, sign * 24));  // 3 sqrt(64)
    REQUIRE_FALSE(holds(10000, 64, sign * 25));
    REQUIRE(holds(10000, 40, sign * 20));  // 0.2 points
    REQUIRE_FALSE(holds(10000, 40, sign * 21));
    REQUIRE(holds(200, 1, sign));  // 0.5 points
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

TEST_CASE("Agreement is with double precision, and measures float32 where it does not suffice", "[app]") {
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
  REQUIRE_FALSE(agreement.whole_split);
  const Agreement thorough = engine_agreement(part, executor, true);
  REQUIRE(thorough.float32_predictions == part.float32_predictions());
  REQUIRE(thorough.text().find("in float32") != std::string::npos);

  Contrary contrary(executor);
  const Agreement other = engine_agreement(part, contrary);
  REQUIRE(other.predictions == Approx(90));
  REQUIRE(other.float32_predictions.has_value());
  REQUIRE_FALSE(other.holds());
}
