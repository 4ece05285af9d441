#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/matrix.h"
#include "model/hook.h"
#include "model/sites.h"
#include "stats/histogram.h"

namespace outlierlab {

/// Central moments up to the fourth, merged by the pairwise formulas of Pebay (2008, SAND2008-6212).
struct Moments {
  std::uint64_t count = 0;
  double mean = 0, m2 = 0, m3 = 0, m4 = 0;  ///< mk = sum of (v - mean)^k

  void merge(const Moments& other);
  double variance() const;  ///< population
  double stddev() const;
  double skewness() const;
  double kurtosis() const;  ///< Pearson's: m4 * n / m2^2; a normal gives 3
};

/// What a calibrator sees: the distribution of the values that will share one grid.
struct Distribution {
  float min = 0, max = 0;  ///< exact
  Moments moments;
  Histogram histogram;
};

/// Per-channel statistics; for scores and probs a channel is a head. All arrays have the site's channels.
struct ChannelStatistics {
  std::vector<std::uint64_t> count;
  std::vector<float> min, max;
  std::vector<double> mean, m2;  ///< m2 = sum of (v - mean)^2
  std::vector<double> energy;    ///< sum of v^2
  float absmax(std::size_t channel) const;
};

/// The range of one site within one example; what running_minmax smooths over.
struct ExampleRange {
  std::uint32_t example;
  float min, max;
};

/// Everything that one streaming pass leaves of a site. Bounded memory; mergeable: the statistics of two halves
/// merged equal those of the whole (counts, ranges, histogram and sample exactly, moments up to rounding).
class SiteStatistics {
 public:
  /// Rows kept in the sample: those with the smallest hash of (example, position[, head]); at most 64 Ki values.
  static constexpr std::size_t max_sample_values = 65536;
  /// Examples whose ranges are kept: those with the smallest index.
  static constexpr std::size_t max_example_ranges = 4096;

  SiteStatistics(std::size_t channels, bool by_head);

  void add(const SiteTile& tile);
  void merge(const SiteStatistics& other);

  std::size_t channels() const;
  float min() const;
  float max() const;
  float absmax() const;
  const Moments& moments() const;
  const ChannelStatistics& by_channel() const;
  const Histogram& histogram() const;
  /// Sampled rows, ordered by (example, position, head): [rows, channels] for token sites; for scores and probs each
  /// value sequence is kept flat with its head.
  const Matrix& sample() const;
  const std::vector<ExampleRange>& example_ranges() const;  ///< ascending by example

  /// The whole site.
  Distribution distribution() const;
  /// Some channels only (a group, or one): exact range and moments up to the second from the channels, histogram and
  /// higher moments from the sample.
  Distribution distribution(const std::vector<std::size_t>& channels) const;

  /// Share of the energy in the top max(1, round(share * C)) channels (docs/design.md, section 5).
  double top_energy_share(double share = 0.01) const;
  /// Channels in descending order of energy (ties by index).
  std::vector<std::size_t> channels_by_energy() const;

  /// Throws Error naming `site` if a NaN or an Inf was seen.
  void require_finite(const std::string& site) const;
};

/// Statistics of every site of a network, in the order of its SiteTable.
struct NetworkStatistics {
  std::vector<std::string> names;
  std::vector<SiteStatistics> sites;
  const SiteStatistics& at(const std::string& name) const;
};

/// A hook that gathers statistics of all sites (or of one) in one pass: one accumulator per site and thread.
class StatisticsCollector : public SiteHook {
 public:
  explicit StatisticsCollector(const SiteTable& sites);
  StatisticsCollector(const SiteTable& sites, const std::vector<std::size_t>& only);
  void visit(const SiteTile& tile, int thread) override;
  /// Merges the threads' accumulators in a fixed order and checks them for NaN and Inf (Error naming the site).
  NetworkStatistics finish();
};

}  // namespace outlierlab
