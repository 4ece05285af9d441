// What must be equal between the statistics of the same values gathered in two ways.
#pragma once
#include <cmath>
#include <cstring>

#include "catch.h"
#include "stats/statistics.h"

namespace test {

template <typename T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

inline bool same_bits(const outlierlab::Matrix& a, const outlierlab::Matrix& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

/// Counts, ranges, histogram, sample and example ranges.
inline void require_same_exact_part(const outlierlab::SiteStatistics& a,
                                    const outlierlab::SiteStatistics& b) {
  REQUIRE(a.moments().count == b.moments().count);
  REQUIRE(a.by_channel().count == b.by_channel().count);
  REQUIRE(same_bits(a.by_channel().min, b.by_channel().min));
  REQUIRE(same_bits(a.by_channel().max, b.by_channel().max));
  REQUIRE(a.histogram().nonzero() == b.histogram().nonzero());
  REQUIRE(same_bits(a.sample(), b.sample()));
  REQUIRE(same_bits(a.sample_tokens(), b.sample_tokens()));
  REQUIRE(a.sample_heads() == b.sample_heads());
  REQUIRE(a.state().sample_limit == b.state().sample_limit);
  REQUIRE(same_bits(a.example_ranges(), b.example_ranges()));
}

inline void require_close(double a, double b, double scale) {
  INFO(a << " against " << b << ", scale " << scale);
  REQUIRE(std::fabs(a - b) <= 1e-9 * scale);
}

/// Moments up to rounding: 1e-9 of what is added up.
inline void require_close_moments(const outlierlab::SiteStatistics& a, const outlierlab::SiteStatistics& b) {
  const outlierlab::Moments &x = a.moments(), &y = b.moments();
  const double n = static_cast<double>(x.count), s = x.stddev();
  require_close(x.mean, y.mean, std::fabs(x.mean) + s);
  require_close(x.m2, y.m2, x.m2);
  require_close(x.m3, y.m3, n * s * s * s + std::fabs(x.m3));
  require_close(x.m4, y.m4, x.m4);
  for (std::size_t c = 0; c < a.channels(); ++c) {
    require_close(a.by_channel().mean[c], b.by_channel().mean[c], std::fabs(a.by_channel().mean[c]) + s);
    require_close(a.by_channel().m2[c], b.by_channel().m2[c], a.by_channel().m2[c]);
    require_close(a.by_channel().energy[c], b.by_channel().energy[c], a.by_channel().energy[c]);
  }
}

/// Everything, to the bit.
inline void require_identical(const outlierlab::SiteStatistics& a, const outlierlab::SiteStatistics& b) {
  require_same_exact_part(a, b);
  REQUIRE(std::memcmp(&a.moments(), &b.moments(), sizeof(outlierlab::Moments)) == 0);
  REQUIRE(same_bits(a.by_channel().mean, b.by_channel().mean));
  REQUIRE(same_bits(a.by_channel().m2, b.by_channel().m2));
  REQUIRE(same_bits(a.by_channel().energy, b.by_channel().energy));
}

}  // namespace test
