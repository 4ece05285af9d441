#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "report/results.h"

namespace outlierlab {

/// The loud and the quiet channel of one site and the grid they share: what the report's interactive figure
/// shows. src/report/web/page.js computes the same readings in the browser.
struct ClippingExample {
  struct Bin {
    double lower, upper;
    std::uint64_t count;
  };
  struct Part {
    std::string channel;    ///< empty for the whole site
    std::vector<Bin> bins;  ///< ascending, not empty

    double low() const { return bins.front().lower; }
    double high() const { return bins.back().upper; }
    double absmax() const;
    std::uint64_t total() const;
    /// The share of the values outside [lo, hi]; within a bin values count as spread evenly.
    double share_outside(double lo, double hi) const;
  };
  std::string site;
  Part whole, loud, quiet;

  /// The bounds to choose from: from a quarter of the quiet channel's largest magnitude to the site's.
  double least_bound() const { return quiet.absmax() / 4; }
  double largest_bound() const { return whole.absmax(); }
};

/// From `activations-histograms.csv`; none if the experiment left none. Throws Error naming the file for an
/// unknown part, a bin that is empty, reversed or out of order, or a missing part.
std::optional<ClippingExample> clipping_example(const ResultSet& results);

/// What a bound and a number of bits do to the two channels.
struct ClippingReading {
  double lo, hi;                       ///< the grid's range: the site's, cut at +-bound, with 0 inside
  double step;                         ///< (hi - lo) / (2^bits - 1)
  int levels;                          ///< 2^bits
  int loud_levels, quiet_levels;       ///< that lie within the channel's own range
  double loud_clipped, quiet_clipped;  ///< shares of the channel's values outside [lo, hi]
  double whole_clipped;                ///< and of the site's
};
ClippingReading read_clipping(const ClippingExample& example, double bound, int bits);

}  // namespace outlierlab
