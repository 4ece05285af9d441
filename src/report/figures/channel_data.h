#pragma once

#include <string>
#include <vector>

#include "report/results.h"

namespace outlierlab {

/// One layer's channels at one kind of site, from activations-channels.csv.
struct LayerChannels {
  int layer = 0;
  std::vector<double> absmax, energy;

  double total_energy() const;
};

/// All layers of a kind ("ffn_residual"), in order; none without data. Throws Error if channels are missing.
std::vector<LayerChannels> channels_of(const ResultSet& set, const std::string& kind);

}  // namespace outlierlab
