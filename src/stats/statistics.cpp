#include "stats/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <stdexcept>
#include <tuple>

#include "core/error.h"
#include "core/parallel.h"
#include "core/random.h"
#include "stats/kernels.h"

namespace outlierlab {

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// Tiles are taken in blocks of so many rows: what lies about the first block's pivot stays well conditioned.
constexpr std::size_t block_rows = 128;

double sum_lanes(const double (&t)[8]) {
  return ((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7]));
}

/// Central moments from power sums about a pivot.
Moments moments_about(double pivot, std::uint64_t count, const PowerSums& sums) {
  const auto n = static_cast<double>(count);
  const double s1 = sum_lanes(sums[0]), s2 = sum_lanes(sums[1]), s3 = sum_lanes(sums[2]),
               s4 = sum_lanes(sums[3]);
  const double d = s1 / n;
  Moments m;
  m.count = count;
  m.mean = pivot + d;
  m.m2 = std::max(0.0, s2 - s1 * d);
  m.m3 = s3 - 3 * d * s2 + 2 * d * d * s1;
  m.m4 = std::max(0.0, s4 - 4 * d * s3 + 6 * d * d * s2 - 3 * d * d * d * s1);
  return m;
}

RowRun empty_run(std::size_t end) {
  RowRun run;
  run.end = end;
  std::fill(std::begin(run.min), std::end(run.min), infinity);
  std::fill(std::begin(run.max), std::end(run.max), -infinity);
  return run;
}

ExampleRange range_of(std::uint32_t example, const RowRun& run) {
  return {example, *std::min_element(std::begin(run.min), std::end(run.min)),
          *std::max_element(std::begin(run.max), std::end(run.max))};
}

std::uint64_t token_key(TokenId token) {
  return static_cast<std::uint64_t>(token.example) << 32 | token.position;
}

/// A type of its own, so that heap operations have the comparison inline.
struct EarlierInSample {
  bool operator()(const SampleRow& a, const SampleRow& b) const { return a.hash < b.hash; }
};
constexpr EarlierInSample earlier_in_sample;

Moments channel_moments(const ChannelStatistics& channels, std::size_t c) {
  Moments m;
  m.count = channels.count[c];
  m.mean = channels.mean[c];
  m.m2 = channels.m2[c];
  return m;
}

/// Sum of v^2.
double energy_of(const Moments& m) {
  return m.m2 + m.mean * m.mean * static_cast<double>(m.count);
}

void merge_channel(ChannelStatistics& channels, std::size_t c, const Moments& other, float min, float max) {
  Moments m = channel_moments(channels, c);
  m.merge(other);
  channels.count[c] = m.count;
  channels.mean[c] = m.mean;
  channels.m2[c] = m.m2;
  channels.energy[c] = energy_of(m);
  channels.min[c] = std::min(channels.min[c], min);
  channels.max[c] = std::max(channels.max[c], max);
}

Moments moments_of(const std::vector<float>& values) {
  Moments m;
  if (values.empty()) return m;
  const double n = static_cast<double>(values.size());
  m.count = values.size();
  m.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  for (const float v : values) {
    const double d = v - m.mean;
    m.m2 += d * d;
    m.m3 += d * d * d;
    m.m4 += d * d * d * d;
  }
  return m;
}

}  // namespace

void Moments::merge(const Moments& other) {
  if (other.count == 0) return;
  if (count == 0) {
    *this = other;
    return;
  }
  const auto a = static_cast<double>(count), b = static_cast<double>(other.count);
  const double n = a + b;
  const double delta = other.mean - mean;
  const double share_a = a / n, share_b = b / n;
  const double d2 = delta * delta;
  m4 += other.m4 + d2 * d2 * a * share_b * (share_a * share_a - share_a * share_b + share_b * share_b) +
        6 * d2 * (share_a * share_a * other.m2 + share_b * share_b * m2) +
        4 * delta * (share_a * other.m3 - share_b * m3);
  m3 += other.m3 + d2 * delta * a * share_b * (share_a - share_b) +
        3 * delta * (share_a * other.m2 - share_b * m2);
  m2 += other.m2 + d2 * a * share_b;
  mean += delta * share_b;
  count += other.count;
}

double Moments::variance() const {
  return count == 0 ? 0 : m2 / static_cast<double>(count);
}
double Moments::stddev() const {
  return std::sqrt(variance());
}
double Moments::skewness() const {
  const double v = variance();
  return v > 0 ? m3 / static_cast<double>(count) / (v * std::sqrt(v)) : 0;
}
double Moments::kurtosis() const {
  const double v = variance();
  return v > 0 ? m4 / static_cast<double>(count) / (v * v) : 0;
}

float ChannelStatistics::absmax(std::size_t channel) const {
  return count[channel] == 0 ? 0.0f : std::max(std::fabs(min[channel]), std::fabs(max[channel]));
}

/// A block of a SiteTile's rows.
struct SiteStatistics::Tile {
  TileValues values;
  const TokenId* tokens;
};

struct SiteStatistics::SampleView {
  Matrix values;
  std::vector<TokenId> tokens;
  std::vector<std::uint32_t> heads;
};

SiteStatistics::SiteStatistics(std::size_t channels, bool by_head) {
  state_.by_head = by_head;
  state_.by_channel.count.assign(channels, 0);
  state_.by_channel.min.assign(channels, infinity);
  state_.by_channel.max.assign(channels, -infinity);
  state_.by_channel.mean.assign(channels, 0.0);
  state_.by_channel.m2.assign(channels, 0.0);
  state_.by_channel.energy.assign(channels, 0.0);
}

SiteStatistics SiteStatistics::from_state(State state) {
  SiteStatistics statistics(0, state.by_head);
  statistics.state_ = std::move(state);
  std::make_heap(statistics.state_.sample.begin(), statistics.state_.sample.end(), earlier_in_sample);
  for (const SampleRow& row : statistics.state_.sample) statistics.sampled_values_ += row.length;
  return statistics;
}

void SiteStatistics::add(const SiteTile& tile) {
  gather(tile);
  complete_channels();
}

void SiteStatistics::settle() {
  complete_channels();
  state_.histogram.settle();
}

/// Where a value's channel is its column, all channels have the same count.
void SiteStatistics::complete_channels() {
  if (by_head() || channels() == 0) return;
  ChannelStatistics& by_channel = state_.by_channel;
  for (std::size_t c = 0; c < channels(); ++c) {
    by_channel.count[c] = state_.moments.count / channels();
    by_channel.energy[c] = energy_of(channel_moments(by_channel, c));
  }
}

void SiteStatistics::gather(const SiteTile& tile) {
  const bool fits = by_head() ? tile.channel >= 0 && static_cast<std::size_t>(tile.channel) < channels()
                              : tile.channel < 0 && tile.cols == channels();
  if (!fits) throw std::invalid_argument("a tile of another shape than its site");
  if (tile.cols == 0) return;
  if (view_) view_.reset();
  for (std::size_t r = 0; r < tile.rows; r += block_rows) {
    const Tile block{
        {tile.data + r * tile.stride, std::min(block_rows, tile.rows - r), tile.cols, tile.stride},
        tile.tokens + r};
    if (by_head()) {
      add_by_head(block, static_cast<std::size_t>(tile.channel));
    } else {
      add_by_channel(block);
    }
    add_sample(block, by_head() ? static_cast<std::uint32_t>(tile.channel) : 0);
  }
}

void SiteStatistics::add_by_channel(const Tile& tile) {
  RowRun runs[block_rows];
  std::size_t count_of_runs = 0;
  for (std::size_t r = 1; r <= tile.values.rows; ++r) {
    if (r == tile.values.rows || tile.tokens[r].example != tile.tokens[r - 1].example) {
      runs[count_of_runs++] = empty_run(r);
    }
  }

  ChannelStatistics& channels = state_.by_channel;
  const std::uint64_t before = state_.moments.count / tile.values.cols;
  if (before == 0) std::copy_n(tile.values.data, tile.values.cols, channels.mean.begin());
  const float pivot = before == 0 ? tile.values.data[0] : static_cast<float>(state_.moments.mean);
  const std::uint64_t values = tile.values.rows * tile.values.cols;
  PowerSums sums;
  statistics_kernels().add_channels(
      tile.values, static_cast<double>(before),
      {channels.mean.data(), channels.m2.data(), channels.min.data(), channels.max.data()}, runs, pivot,
      state_.histogram.counters(values), sums);
  state_.moments.merge(moments_about(pivot, values, sums));
  for (std::size_t i = 0; i < count_of_runs; ++i) {
    add_example(range_of(tile.tokens[runs[i].end - 1].example, runs[i]));
  }
}

void SiteStatistics::add_by_head(const Tile& tile, std::size_t head) {
  const ChannelStatistics& channels = state_.by_channel;
  const float pivot =
      channels.count[head] == 0 ? tile.values.data[0] : static_cast<float>(channels.mean[head]);
  const std::uint64_t values = tile.values.rows * tile.values.cols;
  std::uint32_t* counters = state_.histogram.counters(values);
  std::size_t begin = 0;
  while (begin < tile.values.rows) {
    const std::uint32_t example = tile.tokens[begin].example;
    std::size_t end = begin + 1;
    while (end < tile.values.rows && tile.tokens[end].example == example) ++end;
    TileValues part = tile.values;
    part.data += begin * part.stride;
    part.rows = end - begin;
    if (part.stride == part.cols) {  // one long row: no remainder at the end of each
      part.cols *= part.rows;
      part.stride = part.cols;
      part.rows = 1;
    }
    RowRun run = empty_run(end);
    PowerSums sums;
    statistics_kernels().add_values(part, run, pivot, counters, sums);
    const Moments moments = moments_about(pivot, part.rows * part.cols, sums);
    const ExampleRange range = range_of(example, run);
    merge_channel(state_.by_channel, head, moments, range.min, range.max);
    state_.moments.merge(moments);
    add_example(range);
    begin = end;
  }
}

void SiteStatistics::add_example(const ExampleRange& range) {
  std::vector<ExampleRange>& kept = state_.example_ranges;
  if (last_example_ < kept.size() && kept[last_example_].example == range.example) {
    kept[last_example_].min = std::min(kept[last_example_].min, range.min);
    kept[last_example_].max = std::max(kept[last_example_].max, range.max);
    return;
  }
  const auto place = std::lower_bound(kept.begin(), kept.end(), range.example,
                                      [](const ExampleRange& a, std::uint32_t b) { return a.example < b; });
  last_example_ = static_cast<std::size_t>(place - kept.begin());
  if (place != kept.end() && place->example == range.example) {
    place->min = std::min(place->min, range.min);
    place->max = std::max(place->max, range.max);
    return;
  }
  if (kept.size() < max_example_ranges) {
    kept.insert(place, range);
  } else if (place != kept.end()) {
    std::move_backward(place, kept.end() - 1, kept.end());
    *place = range;
  }
}

std::uint64_t SiteStatistics::sample_hash(TokenId token, std::uint32_t head) {
  return mix64(token_key(token) ^ mix64(head));
}

void SiteStatistics::add_sample(const Tile& tile, std::uint32_t head) {
  const std::uint64_t head_hash = mix64(head);
  for (std::size_t r = 0; r < tile.values.rows; ++r) {
    const std::uint64_t hash = mix64(token_key(tile.tokens[r]) ^ head_hash);
    if (hash >= state_.sample_limit) continue;
    keep_row({hash, tile.tokens[r], head, static_cast<std::uint32_t>(tile.values.cols), 0},
             tile.values.data + r * tile.values.stride);
  }
}

// The sample is the longest run of rows, in the order of their hashes, that fits. Once a row had to go, it
// and all of its hash or a later one can never be part of it again; hence one limit suffices, and the order
// of arrival does not matter.
void SiteStatistics::keep_row(SampleRow row, const float* values) {
  while (row.hash < state_.sample_limit && sampled_values_ + row.length > max_sample_values) {
    const bool is_last = state_.sample.empty() || state_.sample.front().hash < row.hash;
    lower_sample_limit(is_last ? row.hash : state_.sample.front().hash);
  }
  if (row.hash >= state_.sample_limit) return;
  row.offset = room_for(row.length);
  std::copy_n(values, row.length, state_.sample_values.begin() + static_cast<std::ptrdiff_t>(row.offset));
  sampled_values_ += row.length;
  state_.sample.push_back(row);
  std::push_heap(state_.sample.begin(), state_.sample.end(), earlier_in_sample);
}

std::size_t SiteStatistics::room_for(std::size_t length) {
  if (dropped_.length == length) {
    dropped_.length = 0;
    return dropped_.offset;
  }
  if (state_.sample_values.size() + length > 2 * max_sample_values) {
    AlignedVector<float> packed;
    for (SampleRow& row : state_.sample) {
      const float* from = values(row);
      row.offset = packed.size();
      packed.insert(packed.end(), from, from + row.length);
    }
    state_.sample_values = std::move(packed);
    dropped_.length = 0;
  }
  state_.sample_values.reserve(2 * max_sample_values);  // once; pages are taken as they are first written
  const std::size_t offset = state_.sample_values.size();
  state_.sample_values.resize(offset + length);
  return offset;
}

void SiteStatistics::lower_sample_limit(std::uint64_t limit) {
  state_.sample_limit = std::min(state_.sample_limit, limit);
  while (!state_.sample.empty() && state_.sample.front().hash >= state_.sample_limit) {
    std::pop_heap(state_.sample.begin(), state_.sample.end(), earlier_in_sample);
    dropped_ = state_.sample.back();
    sampled_values_ -= dropped_.length;
    state_.sample.pop_back();
  }
}

void SiteStatistics::merge(const SiteStatistics& other) {
  if (channels() != other.channels() || by_head() != other.by_head()) {
    throw std::invalid_argument("statistics of another shape");
  }
  view_.reset();
  complete_channels();
  state_.moments.merge(other.state_.moments);
  const ChannelStatistics& theirs = other.state_.by_channel;
  for (std::size_t c = 0; c < channels(); ++c) {
    Moments moments = channel_moments(theirs, c);
    if (!by_head()) moments.count = other.state_.moments.count / channels();  // gather() leaves it
    merge_channel(state_.by_channel, c, moments, theirs.min[c], theirs.max[c]);
  }
  state_.histogram.merge(other.state_.histogram);
  for (const ExampleRange& range : other.state_.example_ranges) add_example(range);

  lower_sample_limit(other.state_.sample_limit);
  for (const SampleRow& row : other.state_.sample) {
    keep_row(row, other.values(row));
  }
}

float SiteStatistics::min() const {
  return state_.moments.count == 0
             ? 0.0f
             : *std::min_element(state_.by_channel.min.begin(), state_.by_channel.min.end());
}

float SiteStatistics::max() const {
  return state_.moments.count == 0
             ? 0.0f
             : *std::max_element(state_.by_channel.max.begin(), state_.by_channel.max.end());
}

float SiteStatistics::absmax() const {
  return std::max(std::fabs(min()), std::fabs(max()));
}

std::vector<const SampleRow*> SiteStatistics::sorted_sample() const {
  std::vector<const SampleRow*> rows;
  for (const SampleRow& row : state_.sample) rows.push_back(&row);
  // A token may have been seen twice; then the values decide.
  std::sort(rows.begin(), rows.end(), [&](const SampleRow* a, const SampleRow* b) {
    const auto place = [](const SampleRow& row) {
      return std::tie(row.token.example, row.token.position, row.head);
    };
    if (place(*a) != place(*b)) return place(*a) < place(*b);
    return std::lexicographical_compare(values(*a), values(*a) + a->length, values(*b),
                                        values(*b) + b->length);
  });
  return rows;
}

const SiteStatistics::SampleView& SiteStatistics::view() const {
  if (const auto built = std::atomic_load(&view_)) return *built;
  const std::vector<const SampleRow*> rows = sorted_sample();
  auto view = std::make_shared<SampleView>();
  view->values = by_head() ? Matrix(sampled_values_, 1) : Matrix(rows.size(), channels());
  float* out = view->values.data();
  for (const SampleRow* row : rows) {
    out = std::copy_n(values(*row), row->length, out);
    const std::size_t matrix_rows = by_head() ? row->length : 1;
    view->tokens.insert(view->tokens.end(), matrix_rows, row->token);
    if (by_head()) view->heads.insert(view->heads.end(), matrix_rows, row->head);
  }
  // Whoever comes first wins, so that references handed out stay valid.
  std::shared_ptr<const SampleView> none;
  std::atomic_compare_exchange_strong(&view_, &none, std::shared_ptr<const SampleView>(view));
  return *std::atomic_load(&view_);
}

const Matrix& SiteStatistics::sample() const {
  return view().values;
}
const std::vector<TokenId>& SiteStatistics::sample_tokens() const {
  return view().tokens;
}
const std::vector<std::uint32_t>& SiteStatistics::sample_heads() const {
  return view().heads;
}

Distribution SiteStatistics::distribution() const {
  Distribution whole;
  whole.min = min();
  whole.max = max();
  whole.moments = state_.moments;
  whole.histogram = state_.histogram;
  return whole;
}

Distribution SiteStatistics::distribution(const std::vector<std::size_t>& selected) const {
  const ChannelStatistics& all = state_.by_channel;
  Distribution part;
  float lowest = infinity, highest = -infinity;
  std::vector<bool> wanted(channels(), false);
  for (const std::size_t c : selected) {
    if (c >= channels()) throw std::out_of_range("channel " + std::to_string(c));
    if (wanted[c]) throw std::invalid_argument("channel " + std::to_string(c) + " twice");
    wanted[c] = true;
    part.moments.merge(channel_moments(all, c));
    lowest = std::min(lowest, all.min[c]);
    highest = std::max(highest, all.max[c]);
  }
  if (part.moments.count == 0) return part;
  if (selected.size() == channels()) return distribution();
  part.min = lowest;
  part.max = highest;

  std::vector<float> sampled_values;
  for (const SampleRow& row : state_.sample) {
    const float* of_row = values(row);
    if (!by_head()) {
      for (const std::size_t c : selected) sampled_values.push_back(of_row[c]);
    } else if (wanted[row.head]) {
      sampled_values.insert(sampled_values.end(), of_row, of_row + row.length);
    }
  }
  // The merge above knows the m2 of each channel but neither m3 nor m4: their place takes the sample's shape.
  const Moments sampled = moments_of(sampled_values);
  const auto n = static_cast<double>(part.moments.count);
  const double variance = part.moments.variance();
  part.moments.m3 = n * sampled.skewness() * variance * std::sqrt(variance);
  part.moments.m4 = n * sampled.kurtosis() * variance * variance;
  part.histogram = Histogram::of(sampled_values);
  return part;
}

std::vector<std::size_t> SiteStatistics::channels_by_energy() const {
  std::vector<std::size_t> order(channels());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const std::vector<double>& energy = state_.by_channel.energy;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return energy[a] > energy[b]; });
  return order;
}

double SiteStatistics::top_energy_share(double share) const {
  const auto wanted =
      static_cast<std::size_t>(std::max(1.0, std::round(share * static_cast<double>(channels()))));
  const std::vector<std::size_t> order = channels_by_energy();
  double top = 0, total = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    total += state_.by_channel.energy[order[i]];
    if (i + 1 == std::min(wanted, order.size())) top = total;
  }
  return total > 0 ? top / total : 0;
}

void SiteStatistics::require_finite(const std::string& site) const {
  const std::uint64_t nans = state_.histogram.nans();
  const std::uint64_t infinities = state_.histogram.infinities();
  if (nans == 0 && infinities == 0) return;
  const std::vector<double>& mean = state_.by_channel.mean;
  const auto bad = std::find_if(mean.begin(), mean.end(), [](double m) { return !std::isfinite(m); });
  fail_expected("site " + site, "finite values",
                std::to_string(nans) + " NaN and " + std::to_string(infinities) + " Inf among " +
                    std::to_string(state_.histogram.total()) + ", the first in " +
                    (by_head() ? "head " : "channel ") + std::to_string(bad - mean.begin()));
}

const SiteStatistics& NetworkStatistics::at(const std::string& name) const {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) fail_unknown("site", name, names);
  return sites[static_cast<std::size_t>(found - names.begin())];
}

StatisticsCollector::StatisticsCollector(const SiteTable& sites)
    : sites_(sites.all()),
      wanted_(sites_.size(), true),
      sample_limits_(sites_.size(), ~0ull),
      accumulators_(static_cast<std::size_t>(threads())) {
  for (auto& of_thread : accumulators_) of_thread.resize(sites_.size());
}

StatisticsCollector::StatisticsCollector(const SiteTable& sites, const std::vector<std::size_t>& only)
    : StatisticsCollector(sites) {
  std::fill(wanted_.begin(), wanted_.end(), false);
  for (const std::size_t site : only) wanted_.at(site) = true;
}

static bool is_by_head(const Site& site) {
  return site.kind == SiteKind::scores || site.kind == SiteKind::probs;
}

static SiteStatistics empty_statistics(const Site& site) {
  return SiteStatistics(site.channels, is_by_head(site));
}

namespace {

/// A row to come.
struct ExpectedRow {
  std::uint64_t hash;
  std::size_t length;
  bool operator<(const ExpectedRow& other) const { return hash < other.hash; }
};

/// Finds the hash of the first row, in the order of hashes, that a sample has no room for.
class SampleForecast {
 public:
  /// No row to come is shorter than `shortest`.
  explicit SampleForecast(std::size_t shortest)
      : most_(SiteStatistics::max_sample_values / std::max<std::size_t>(1, shortest) + 1) {}

  void add(ExpectedRow row) {
    if (row.hash >= limit_) return;
    rows_.push_back(row);
    if (rows_.size() >= 2 * most_) keep_most();
  }
  std::uint64_t first_without_room() {
    if (rows_.size() > most_) keep_most();
    std::sort(rows_.begin(), rows_.end());
    std::size_t values = 0;
    for (const ExpectedRow& row : rows_) {
      values += row.length;
      if (values > SiteStatistics::max_sample_values) return row.hash;
    }
    return ~0ull;
  }

 private:
  void keep_most() {
    const auto last = rows_.begin() + static_cast<std::ptrdiff_t>(most_ - 1);
    std::nth_element(rows_.begin(), last, rows_.end());
    limit_ = last->hash;
    rows_.erase(last + 1, rows_.end());
  }

  std::size_t most_;             ///< rows that can have room, and one
  std::uint64_t limit_ = ~0ull;  ///< `most_` rows have this hash or a smaller one
  std::vector<ExpectedRow> rows_;
};

}  // namespace

void StatisticsCollector::expect(const std::vector<Batch>& batches) {
  std::map<std::pair<bool, std::size_t>, std::uint64_t> known;  // by shape
  for (std::size_t s = 0; s < sites_.size(); ++s) {
    const Site& site = sites_[s];
    if (!wanted_[s] || site.kind == SiteKind::pooler) continue;  // the pooler sees few rows
    const bool by_head = is_by_head(site);
    const auto [found, fresh] = known.try_emplace({by_head, site.channels}, ~0ull);
    if (fresh) {
      const auto length = [&](const Batch& batch, std::size_t e) {
        return by_head ? batch.length(e) : site.channels;
      };
      std::size_t shortest = SiteStatistics::max_sample_values;
      for (const Batch& batch : batches) {
        for (std::size_t e = 0; e < batch.size(); ++e) shortest = std::min(shortest, length(batch, e));
      }
      SampleForecast forecast(shortest);
      for (const Batch& batch : batches) {
        for (std::size_t e = 0; e < batch.size(); ++e) {
          for (std::size_t t = batch.offsets[e]; t < batch.offsets[e + 1]; ++t) {
            for (std::size_t head = 0; head < (by_head ? site.channels : 1); ++head) {
              forecast.add({SiteStatistics::sample_hash(batch.tokens[t], static_cast<std::uint32_t>(head)),
                            length(batch, e)});
            }
          }
        }
      }
      found->second = forecast.first_without_room();
    }
    sample_limits_[s] = found->second;
  }
}

void StatisticsCollector::visit(const SiteTile& tile, int thread) {
  if (!wanted_[tile.site]) return;
  std::unique_ptr<SiteStatistics>& mine = accumulators_.at(static_cast<std::size_t>(thread))[tile.site];
  if (!mine) {
    mine = std::make_unique<SiteStatistics>(empty_statistics(sites_[tile.site]));
    mine->limit_sample(sample_limits_[tile.site]);
  }
  mine->gather(tile);
}

NetworkStatistics StatisticsCollector::finish() {
  NetworkStatistics network;
  for (const Site& site : sites_) {
    network.names.push_back(site.name);
    network.sites.push_back(empty_statistics(site));
  }
  parallel_chunks(sites_.size(), 1, [&](std::size_t s, std::size_t, int) {
    SiteStatistics& whole = network.sites[s];
    for (auto& of_thread : accumulators_) {
      if (!of_thread[s]) continue;
      of_thread[s]->settle();
      if (whole.moments().count == 0) {
        whole = std::move(*of_thread[s]);
      } else {
        whole.merge(*of_thread[s]);
      }
      of_thread[s].reset();
    }
  });
  for (std::size_t s = 0; s < sites_.size(); ++s) network.sites[s].require_finite(sites_[s].name);
  return network;
}

}  // namespace outlierlab
