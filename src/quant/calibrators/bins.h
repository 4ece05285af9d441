// The histogram of a distribution as calibrators that integrate over it need it.
#pragma once

#include <algorithm>
#include <vector>

#include "stats/statistics.h"

namespace outlierlab {

/// `weight` values spread evenly over [lower, upper]; a point mass if both are equal.
struct ValueBin {
  double lower, upper, weight;
};

/// The non-empty bins, ascending, with the outermost edges drawn in to the exact min and max.
inline std::vector<ValueBin> value_bins(const Distribution& d) {
  std::vector<ValueBin> bins;
  for (const Histogram::Bin& bin : d.histogram.sorted()) {
    bins.push_back({std::clamp(bin.lower, d.min, d.max), std::clamp(bin.upper, d.min, d.max),
                    static_cast<double>(bin.count)});
  }
  return bins;
}

}  // namespace outlierlab
