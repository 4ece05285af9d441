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
/// of the last layer. How many predictions rounding alone turns is told by the simulation in float32.
struct Agreement {
  std::size_t examples = 0;
  bool whole_split = false;     ///< else they are a sample of it
  double predictions = 0;       ///< equal ones, percent
  double accuracy_change = 0;   ///< accuracy of the engine minus the reference's, percentage points
  double logit_difference = 0;  ///< root mean square
  /// The float32 simulation's predictions that equal the reference's, percent: measured where it is asked for
  /// and where the engine's do not suffice. It decides nothing.
  std::optional<double> float32_predictions;

  static constexpr double required_predictions = 99.5;    ///< percent
  static constexpr double largest_accuracy_change = 0.2;  ///< percentage points
  /// Of a whole split, these. Of a sample, as many differing predictions as are within three standard
  /// deviations of that share, and an accuracy within three standard deviations of as many predictions that
  /// turn right or wrong by chance.
  bool holds() const;
  /// "99.5 % equal predictions and an accuracy within 0.2 points (of a sample, but for chance)"
  static std::string required_text();
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
