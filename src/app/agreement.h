#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "app/evaluator.h"
#include "engine/executor.h"

namespace outlierlab {

/// How far an execution of a scheme says the same as the scheme itself: the ExactNetwork, in double
/// precision from end to end.
///
/// A value that rounding puts on the other side of a grid's threshold moves by a whole step, and with it
/// everything that depends on it: over coarse grids two correct implementations come to differ in most values
/// of the last layer. How many predictions that turns is measured with the simulation in float32, which
/// differs from the reference by its rounding alone.
struct Agreement {
  std::size_t examples = 0;
  double predictions = 0;       ///< equal ones, percent
  double accuracy_change = 0;   ///< accuracy of the engine minus the reference's, percentage points
  double logit_difference = 0;  ///< root mean square
  /// The float32 simulation's predictions that equal the reference's, percent; measured where it decides.
  std::optional<double> float32_predictions;

  /// Percent. What chance is granted is at most `largest_chance` of the examples.
  static constexpr double required_predictions = 99.5, largest_chance = 5;
  static constexpr double largest_accuracy_change = 0.2;  ///< percentage points
  /// Enough equal predictions, or, within three standard deviations, as many as the float32 simulation has;
  /// and an accuracy that is no further off than that, or than three standard deviations of as many
  /// predictions that turn right or wrong by chance.
  bool holds() const;
  /// "98.50 % equal predictions (...), accuracy +0.02 points, logits 0.0100 apart (rms)"
  std::string text() const;
  nlohmann::ordered_json to_json() const;
};

/// What executions of a scheme are compared with, on the first examples of the evaluator's split (0: all).
class Simulation {
 public:
  Simulation(Evaluator& evaluator, const Scheme& scheme, std::uint64_t seed = 0, std::size_t first = 0);

  std::size_t examples() const { return examples_; }
  /// Logits of the reference, and of the float32 simulation: each computed when it is first asked for.
  const Matrix& exact();
  const Matrix& float32();
  /// The float32 simulation's predictions that equal the reference's, percent.
  double float32_predictions();

 private:
  friend Agreement engine_agreement(Simulation&, engine::Executor&, bool);

  Evaluator& evaluator_;
  Scheme scheme_;
  std::uint64_t seed_;
  std::size_t examples_;
  std::vector<Batch> batches_;
  Matrix exact_, float32_;
};

/// Engines that execute one scheme can share its simulation. `thorough` measures the float32 simulation also
/// where it decides nothing.
Agreement engine_agreement(Simulation& simulation, engine::Executor& executor, bool thorough = false);

/// So many examples tell an engine that computes something else from one that rounds otherwise.
constexpr std::size_t agreement_examples = 200;

}  // namespace outlierlab
