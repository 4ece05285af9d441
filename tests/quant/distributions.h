// Distributions and site statistics made by hand for the tests of calibration.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/random.h"
#include "model/config.h"
#include "model/sites.h"
#include "quant/grid.h"
#include "stats/statistics.h"
#include "support/tiny_bert.h"

namespace test {

inline outlierlab::Distribution distribution_of(const std::vector<float>& values) {
  outlierlab::Distribution d;
  d.min = *std::min_element(values.begin(), values.end());
  d.max = *std::max_element(values.begin(), values.end());
  double sum = 0;
  for (const float v : values) sum += v;
  d.moments.count = values.size();
  d.moments.mean = sum / static_cast<double>(values.size());
  for (const float v : values) d.moments.m2 += (v - d.moments.mean) * (v - d.moments.mean);
  d.histogram.add(values.data(), 1, values.size(), values.size());
  return d;
}

inline std::vector<float> normal_values(std::size_t count, float sd, std::uint64_t seed = 1) {
  outlierlab::Random random(seed);
  std::vector<float> values(count);
  for (float& v : values) v = sd * normal(random);
  return values;
}

inline double mean_squared_error(const std::vector<float>& values, const outlierlab::Grid& grid) {
  double sum = 0;
  for (const float v : values) {
    const double e = double(v) - double(grid.round_trip(v));
    sum += e * e;
  }
  return sum / static_cast<double>(values.size());
}

/// A tile over a matrix whose rows are tokens 0, 1, ... of the given example.
class TileOf {
 public:
  TileOf(outlierlab::Matrix& m, std::size_t site, int channel = -1, std::uint32_t example = 0) {
    for (std::size_t r = 0; r < m.rows(); ++r) tokens_.push_back({example, static_cast<std::uint32_t>(r)});
    tile_ = {site, m.data(), m.rows(), m.cols(), m.cols(), channel, tokens_.data()};
  }
  operator const outlierlab::SiteTile&() const { return tile_; }

 private:
  std::vector<outlierlab::TokenId> tokens_;
  outlierlab::SiteTile tile_;
};

}  // namespace test
