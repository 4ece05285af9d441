// How much the deployment studies measure; tests measure less.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "app/study.h"

namespace outlierlab {

struct DeploymentPlan {
  std::vector<std::size_t> examples = {1, 8, 32, 128}, lengths = {16, 64, 128, 256, 512};
  /// Energy and time shares are measured on one batch: many tokens, of a length that is usual.
  std::size_t measured_examples = 32, measured_length = 128;
  double energy_seconds = 2;  ///< of passes between two readings, at least
};

void deployment(Study& study, const DeploymentPlan& plan);

/// A network with random weights, and the batches on which it is timed.
struct DeploymentShape {
  std::string name;
  std::size_t hidden, layers, heads, intermediate;
  std::vector<std::pair<std::size_t, std::size_t>> cells = {};  ///< examples, length
  std::pair<std::size_t, std::size_t> profiled = {8, 128};      ///< the batch of the time shares
  std::vector<std::string> simulated = {"w8a8"};                ///< schemes, on the processor
};

void deployment_shapes(Study& study, const std::vector<DeploymentShape>& shapes);

}  // namespace outlierlab
