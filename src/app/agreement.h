#pragma once

#include <string>

#include "app/evaluator.h"
#include "engine/executor.h"

namespace outlierlab {

/// How far two executions of one scheme say the same.
struct Agreement {
  std::size_t examples = 0;
  double predictions = 0;       ///< equal ones, percent
  double accuracy_change = 0;   ///< accuracy of the engine minus that of the simulation, percentage points
  double logit_difference = 0;  ///< root mean square
  /// The simulation beside itself when every value is moved by about the error of a float32 sum before it is
  /// quantized. Where rounding decides predictions, two correct implementations cannot agree better than
  /// that.
  double simulation_noise_floor = 0;  ///< equal predictions, percent

  /// Percent. What chance is granted is at most `largest_chance` of the examples.
  static constexpr double required_predictions = 99.5, largest_chance = 5;
  static constexpr double largest_accuracy_change = 0.2;  ///< percentage points
  /// Enough equal predictions, or, within three standard deviations, as many as the simulation has with
  /// itself; and an accuracy that is no further off than that, or than three standard deviations of as many
  /// predictions that turn right or wrong by chance.
  bool holds() const;
  /// "98.7 % equal predictions (...), accuracy +0.02, logits 0.01"
  std::string text() const;
};

/// What an engine is compared with: the scheme's simulation on the first examples of the evaluator's split,
/// and the same when its sums are rounded otherwise. Engines that execute one scheme can share it.
struct Simulation {
  Matrix logits, rounded_otherwise;
};
Simulation simulation(Evaluator& evaluator, const Scheme& scheme, std::uint64_t seed = 0,
                      std::size_t first = 0);
Agreement engine_agreement(Evaluator& evaluator, const Simulation& simulation, engine::Executor& executor);

/// Compares the integer engine with the simulated scheme on the evaluator's split, or on its `first`
/// examples.
Agreement engine_agreement(Evaluator& evaluator, const Scheme& scheme, engine::Executor& executor,
                           std::uint64_t seed = 0, std::size_t first = 0);

}  // namespace outlierlab
