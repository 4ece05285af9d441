#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/matrix.h"
#include "data/batch.h"
#include "model/hook.h"
#include "model/sites.h"
#include "stats/histogram.h"

namespace outlierlab {

/// Central moments up to the fourth, merged by the pairwise formulas of Pebay (2008, SAND2008-6212).
struct Moments {
  std::uint64_t count = 0;
  double mean = 0, m2 = 0, m3 = 0, m4 = 0;  ///< mk = sum of (v - mean)^k

  void merge(const Moments& other);
  double variance() const;  ///< population; 0 without values
  double stddev() const;
  double skewness() const;  ///< 0 where the variance is 0
  double kurtosis() const;  ///< Pearson's: m4 * n / m2^2; a normal gives 3; 0 where the variance is 0
};

/// What a calibrator sees: the distribution of the values that will share one grid.
struct Distribution {
  float min = 0, max = 0;  ///< exact; 0 without values
  Moments moments;
  Histogram histogram;
};

/// Per-channel statistics; for scores and probs a channel is a head. All arrays have the site's channels. A
/// channel without values has min = +Inf and max = -Inf.
struct ChannelStatistics {
  std::vector<std::uint64_t> count;
  std::vector<float> min, max;
  std::vector<double> mean, m2;             ///< m2 = sum of (v - mean)^2
  std::vector<double> energy;               ///< sum of v^2
  float absmax(std::size_t channel) const;  ///< 0 without values
};

/// The range of one site within one example; what running_minmax smooths over.
struct ExampleRange {
  std::uint32_t example;
  float min, max;
};

/// A sampled row: all channels of a token, or one head's values for one query token.
struct SampleRow {
  std::uint64_t hash;
  TokenId token;
  std::uint32_t head;  ///< 0 for token sites
  std::uint32_t length;
  std::size_t offset;  ///< of its values in State::sample_values
};

/// Everything that one streaming pass leaves of a site. Bounded memory; mergeable: the statistics of two
/// halves merged equal those of the whole (counts, ranges, histogram and sample exactly, moments up to
/// rounding).
///
/// Sums are taken in double about running means, so a channel of mean 1e4 and deviation 1e-3 keeps its
/// variance.
class SiteStatistics {
 public:
  /// Rows kept in the sample: those with the smallest hash of (example, position[, head]); at most 64 Ki
  /// values.
  static constexpr std::size_t max_sample_values = 65536;
  /// Examples whose ranges are kept: those with the smallest index.
  static constexpr std::size_t max_example_ranges = 4096;

  SiteStatistics(std::size_t channels, bool by_head);

  /// Adds a tile. Its rows must be whole: all channels of a token, or all keys of a query token.
  void add(const SiteTile& tile);
  /// As add(), but leaves the counts and energies of by_channel() to settle(): for who adds many tiles, where
  /// each array less that a tile has to touch counts. (Heads' are kept up to date.)
  void gather(const SiteTile& tile);
  /// Throws std::invalid_argument if the other site has another shape.
  void merge(const SiteStatistics& other);

  std::size_t channels() const { return state_.by_channel.count.size(); }
  bool by_head() const { return state_.by_head; }
  float min() const;  ///< 0 without values, as max()
  float max() const;
  float absmax() const;
  const Moments& moments() const { return state_.moments; }
  /// After gather(), counts and energies are those of the last add(), merge() or settle().
  const ChannelStatistics& by_channel() const { return state_.by_channel; }
  const Histogram& histogram() const { return state_.histogram; }
  /// Sampled rows, ordered by (example, position, head): [rows, channels] for token sites; for scores and
  /// probs [values, 1], each sampled row's values one after the other. Built on first use; safe from several
  /// threads. The reference lasts until the next add(), gather() or merge().
  const Matrix& sample() const;
  /// The token of each row of sample() (for scores and probs: the query token of each value).
  const std::vector<TokenId>& sample_tokens() const;
  /// The head of each row of sample(); empty for token sites.
  const std::vector<std::uint32_t>& sample_heads() const;
  const std::vector<ExampleRange>& example_ranges() const { return state_.example_ranges; }  ///< by example

  /// The whole site.
  Distribution distribution() const;
  /// Some channels only (a group, or one; all of them give the whole site's): exact range and moments up to
  /// the second from the channels; histogram and the shape (skewness and kurtosis) from the sample.
  Distribution distribution(const std::vector<std::size_t>& channels) const;

  /// Share of the energy in the top max(1, round(share * C)) channels (docs/design.md, section 5); halves
  /// round up. 0 if there is no energy.
  double top_energy_share(double share = 0.01) const;
  /// Channels in descending order of energy (ties by index).
  std::vector<std::size_t> channels_by_energy() const;

  /// Throws Error naming `site` if a NaN or an Inf was seen.
  void require_finite(const std::string& site) const;

  /// Everything that a store needs to rebuild the object bit for bit.
  struct State {
    bool by_head = false;
    Moments moments;
    ChannelStatistics by_channel;
    Histogram histogram;
    std::vector<SampleRow> sample;       ///< a heap on the hash; any order will do in from_state()
    AlignedVector<float> sample_values;  ///< the rows' values, with gaps
    std::uint64_t sample_limit = ~0ull;  ///< rows with this hash or a larger one have been dropped
    std::vector<ExampleRange> example_ranges;
  };
  const State& state() const { return state_; }
  static SiteStatistics from_state(State state);
  const float* values(const SampleRow& row) const { return state_.sample_values.data() + row.offset; }
  /// The sample in the order of (example, position, head).
  std::vector<const SampleRow*> sorted_sample() const;
  /// The hash by which rows are sampled; the same at every site.
  static std::uint64_t sample_hash(TokenId token, std::uint32_t head = 0);
  /// Rows with this hash or a larger one will not be sampled. For who knows the rows to come, see
  /// StatisticsCollector::expect().
  void limit_sample(std::uint64_t hash) { lower_sample_limit(hash); }
  /// Once counting is over: completes what gather() left, and gives back working memory.
  void settle();

 private:
  struct SampleView;
  struct Tile;

  void complete_channels();
  void add_by_channel(const Tile& tile);
  void add_by_head(const Tile& tile, std::size_t head);
  void add_sample(const Tile& tile, std::uint32_t head);
  void add_example(const ExampleRange& range);
  void keep_row(SampleRow row, const float* values);
  std::size_t room_for(std::size_t length);
  void lower_sample_limit(std::uint64_t limit);
  const SampleView& view() const;

  State state_;
  std::size_t sampled_values_ = 0;
  std::size_t last_example_ = 0;  ///< where in example_ranges the last one went: heads and tiles repeat it
  SampleRow dropped_{};           ///< the row dropped last: its place can be used again
  mutable std::shared_ptr<const SampleView> view_;
};

/// Statistics of every site of a network, in the order of its SiteTable.
struct NetworkStatistics {
  std::vector<std::string> names;
  std::vector<SiteStatistics> sites;
  /// An unknown name throws UsageError with the nearest one.
  const SiteStatistics& at(const std::string& name) const;
};

/// A hook that gathers statistics of all sites (or of some) in one pass: one accumulator per site and thread.
class StatisticsCollector : public SiteHook {
 public:
  /// For at most threads() threads, as set when the collector is made.
  explicit StatisticsCollector(const SiteTable& sites);
  /// Other sites than these indices are passed over; their statistics stay empty.
  StatisticsCollector(const SiteTable& sites, const std::vector<std::size_t>& only);
  /// Says that the tokens of these batches will come, each once: rows that a later one would push out of a
  /// sample are then not copied in the first place. The outcome is the same; if other tokens come, the sample
  /// holds fewer rows than it might. Call it before the first visit().
  void expect(const std::vector<Batch>& batches);
  void visit(const SiteTile& tile, int thread) override;
  /// A site's counters and channels come from an outer cache at every visit: few visits of many rows.
  static constexpr std::size_t rows_per_visit = 128;
  std::size_t preferred_rows() const override { return rows_per_visit; }
  /// Merges the threads' accumulators in a fixed order and checks them for NaN and Inf (Error naming the
  /// site). The collector is empty afterwards.
  NetworkStatistics finish();

 private:
  std::vector<Site> sites_;
  std::vector<bool> wanted_;
  std::vector<std::uint64_t> sample_limits_;  ///< [site]
  std::vector<std::vector<std::unique_ptr<SiteStatistics>>>
      accumulators_;  ///< [thread][site], made on first use
};

}  // namespace outlierlab
