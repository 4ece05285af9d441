#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "quant/kernels.h"
#include "quant/options.h"
#include "quant/scheme.h"

namespace outlierlab {

namespace {
using Channels = std::vector<std::size_t>;

// One site's rule and the grids that came of it.
struct SitePlan {
  std::string name;
  ActivationRule rule;
  bool on = true;
  bool calibrated = false;
  std::vector<Grid> grids;         // as ActivationQuantizer::grids() reports them
  bool by_column = false;          // else grids[0] serves all values
  std::vector<float> scale, zero;  // [channels]; scale < 0: stays in float

  bool quantizes() const { return on && !rule.is_float(); }
};

// The top share of the channels by absmax (ties by index), at least one for a share above 0.
Channels kept_channels(const ChannelStatistics& channels, double share) {
  if (share <= 0) return {};
  Channels order(channels.min.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return channels.absmax(a) > channels.absmax(b); });
  const auto count = std::max<long>(1, std::lround(share * static_cast<double>(order.size())));
  order.resize(std::min(order.size(), static_cast<std::size_t>(count)));
  return order;
}

// The sets of channels that share a grid, without the kept ones; sets may end up empty.
std::vector<Channels> grid_sets(const ActivationRule& rule, const ChannelStatistics& channels,
                                const Channels& kept) {
  const std::size_t count = channels.min.size();
  const std::size_t sets = rule.granularity == Granularity::group     ? rule.groups
                           : rule.granularity == Granularity::channel ? count
                                                                      : 1;
  std::vector<Channels> result =
      peg_groups(channels, sets, rule.granularity == Granularity::group && rule.permute_by_range);
  for (Channels& set : result) {
    set.erase(
        std::remove_if(set.begin(), set.end(),
                       [&](std::size_t c) { return std::find(kept.begin(), kept.end(), c) != kept.end(); }),
        set.end());
  }
  return result;
}

Grid grid_of(const ActivationRule& rule, const Distribution& distribution,
             const CalibrationContext& context) {
  const Range range = rule.calibrator->range(distribution, context);
  if (!std::isfinite(range.lo) || !std::isfinite(range.hi) || range.lo > range.hi) {
    fail_expected("site " + context.place, "a finite range from the calibrator",
                  std::to_string(range.lo) + " to " + std::to_string(range.hi));
  }
  if (!rule.symmetric) return Grid::affine(range, rule.bits);
  return Grid::symmetric(std::max(std::abs(range.lo), std::abs(range.hi)), rule.bits);
}

// Ranges alone are exact per channel and need no histogram.
void set_range(Distribution& distribution, const ChannelStatistics& channels, const Channels& set) {
  distribution.min = channels.min[set[0]];
  distribution.max = channels.max[set[0]];
  for (const std::size_t c : set) {
    distribution.min = std::min(distribution.min, channels.min[c]);
    distribution.max = std::max(distribution.max, channels.max[c]);
  }
}

void plan_columns(SitePlan& plan, const SiteStatistics& statistics, const CalibrationContext& context) {
  const ChannelStatistics& channels = statistics.by_channel();
  const Channels kept = kept_channels(channels, plan.rule.keep_channels);
  plan.scale.assign(channels.min.size(), -1.0f);
  plan.zero.assign(channels.min.size(), 0.0f);
  plan.by_column = true;
  Distribution distribution;
  for (const Channels& set : grid_sets(plan.rule, channels, kept)) {
    if (set.empty()) continue;
    if (plan.rule.calibrator->needs_only_min_max()) {
      set_range(distribution, channels, set);
    } else {
      distribution = statistics.distribution(set);
    }
    const Grid grid = grid_of(plan.rule, distribution, context);
    plan.grids.push_back(grid);
    for (const std::size_t c : set) {
      plan.scale[c] = grid.scale;
      plan.zero[c] = static_cast<float>(grid.zero);
    }
  }
}

void calibrate_plan(SitePlan& plan, std::size_t channels, const SiteStatistics& statistics) {
  if (!plan.rule.is_static() || statistics.moments().count == 0) return;
  statistics.require_finite(plan.name);
  if (statistics.channels() != channels) {
    fail_expected("statistics of site " + plan.name, std::to_string(channels) + " channels",
                  std::to_string(statistics.channels()));
  }
  CalibrationContext context;
  context.bits = plan.rule.bits;
  context.symmetric = plan.rule.symmetric;
  context.place = plan.name;
  plan.grids.clear();
  if (plan.rule.granularity == Granularity::tensor && plan.rule.keep_channels == 0) {
    context.example_ranges = &statistics.example_ranges();
    plan.grids = {grid_of(plan.rule, statistics.distribution(), context)};
  } else {
    plan_columns(plan, statistics, context);
  }
  plan.calibrated = true;
}

// All values of the tile belong to one channel (a head of scores or probs).
bool quantize_head(const SitePlan& plan, const SiteTile& tile) {
  const auto head = static_cast<std::size_t>(tile.channel);
  Grid grid;
  if (!plan.grids.empty()) grid = plan.grids[0];
  grid.scale = plan.scale[head];
  grid.zero = static_cast<std::int32_t>(plan.zero[head]);
  if (grid.scale >= 0)
    return fake_quantize_tensor(tile.data, tile.data, tile.rows, tile.cols, tile.stride, grid);
  return true;
}

bool quantize_tile(const SitePlan& plan, const SiteTile& tile) {
  if (!plan.rule.is_static()) {
    return fake_quantize_rows(tile.data, tile.data, tile.rows, tile.cols, tile.stride, plan.rule.block,
                              plan.rule.bits, plan.rule.symmetric, plan.rule.outlier_threshold);
  }
  if (!plan.by_column) {
    return fake_quantize_tensor(tile.data, tile.data, tile.rows, tile.cols, tile.stride, plan.grids[0]);
  }
  if (tile.channel >= 0) return quantize_head(plan, tile);
  const Grid any = plan.grids.empty() ? Grid() : plan.grids[0];
  return fake_quantize_columns(tile.data, tile.data, tile.rows, tile.cols, tile.stride, plan.scale.data(),
                               plan.zero.data(), static_cast<float>(any.qmin), static_cast<float>(any.qmax));
}
}  // namespace

struct ActivationQuantizer::Plan {
  std::vector<SitePlan> sites;
  std::vector<std::size_t> channels;
  std::unique_ptr<std::atomic<bool>[]> not_finite, uncalibrated;  // set by visit()
};

ActivationQuantizer::ActivationQuantizer(const Scheme& scheme, const SiteTable& sites,
                                         const NetworkStatistics* statistics)
    : plan_(std::make_unique<Plan>()) {
  plan_->not_finite.reset(new std::atomic<bool>[sites.size()]());
  plan_->uncalibrated.reset(new std::atomic<bool>[sites.size()]());
  for (std::size_t i = 0; i < sites.size(); ++i) {
    SitePlan plan;
    plan.name = sites[i].name;
    plan.rule = ActivationRule::read(scheme.activation_rule(sites, i));
    plan_->sites.push_back(std::move(plan));
    plan_->channels.push_back(sites[i].channels);
    if (!plan_->sites[i].rule.is_static()) continue;
    if (statistics) {
      calibrate(i, statistics->at(sites[i].name));
    } else if (!scheme.sequential()) {
      fail_expected("scheme " + scheme.name(), "statistics to calibrate site " + sites[i].name, "none");
    }
  }
}

ActivationQuantizer::~ActivationQuantizer() = default;
ActivationQuantizer::ActivationQuantizer(ActivationQuantizer&&) noexcept = default;

void ActivationQuantizer::visit(const SiteTile& tile, int) {
  const SitePlan& plan = plan_->sites[tile.site];
  if (!plan.quantizes()) return;
  if (plan.rule.is_static() && !plan.calibrated) {
    plan_->uncalibrated[tile.site].store(true, std::memory_order_relaxed);
  } else if (!quantize_tile(plan, tile)) {
    plan_->not_finite[tile.site].store(true, std::memory_order_relaxed);
  }
}

void ActivationQuantizer::calibrate(std::size_t site, const SiteStatistics& statistics) {
  calibrate_plan(plan_->sites[site], plan_->channels[site], statistics);
}

void ActivationQuantizer::enable(std::size_t site, bool on) {
  plan_->sites[site].on = on;
}

bool ActivationQuantizer::enabled(std::size_t site) const {
  return plan_->sites[site].quantizes();
}

bool ActivationQuantizer::is_static(std::size_t site) const {
  return plan_->sites[site].rule.is_static();
}

void ActivationQuantizer::require_finite() const {
  for (std::size_t i = 0; i < plan_->sites.size(); ++i) {
    const std::string place = "site " + plan_->sites[i].name;
    if (plan_->not_finite[i]) fail_expected(place, "finite values", "NaN or Inf");
    if (plan_->uncalibrated[i]) fail_expected(place, "a grid from calibration", "none");
  }
}

std::vector<Grid> ActivationQuantizer::grids(std::size_t site) const {
  return plan_->sites[site].grids;
}

SiteLayout ActivationQuantizer::layout(std::size_t site) const {
  const SitePlan& plan = plan_->sites[site];
  SiteLayout layout;
  if (!plan.quantizes()) return layout;
  layout.bits = plan.rule.bits;
  layout.symmetric = plan.rule.symmetric;
  layout.granularity = plan.rule.granularity;
  layout.block = plan.rule.block;
  layout.outlier_threshold = plan.rule.outlier_threshold;
  if (!plan.rule.is_static()) return layout;
  if (!plan.calibrated) fail_expected("site " + plan.name, "a grid from calibration", "none");
  layout.by_channel = plan.by_column;
  if (!plan.by_column) {
    layout.scale = {plan.grids[0].scale};
    layout.zero = {plan.grids[0].zero};
    return layout;
  }
  layout.scale = plan.scale;
  for (const float zero : plan.zero) layout.zero.push_back(static_cast<std::int32_t>(zero));
  return layout;
}

QuantizedWeight quantize_weight(const Matrix& matrix, const WeightRule& rule, const std::string& name,
                                const std::string& input_site, const NetworkStatistics* statistics) {
  WeightContext context;
  context.bits = rule.bits;
  context.granularity = rule.granularity;
  context.block = rule.block;
  context.name = name;
  if (statistics && !input_site.empty()) context.input = &statistics->at(input_site);
  return rule.quantizer->quantize(matrix, context);
}

BertWeights quantize_weights(const BertWeights& weights, const Scheme& scheme,
                             const NetworkStatistics* statistics, std::size_t* stored_bytes) {
  BertWeights result = weights;
  std::size_t bytes = weights.parameter_count() * sizeof(float);
  result.for_each_matrix([&](const std::string& name, const std::string& input_site, Matrix& matrix) {
    const WeightRule rule = WeightRule::read(scheme.weight_rule(name));
    if (rule.is_float() || matrix.empty()) return;
    QuantizedWeight quantized = quantize_weight(matrix, rule, name, input_site, statistics);
    bytes = bytes - matrix.size() * sizeof(float) + quantized.stored_bytes;
    matrix = std::move(quantized.values);
  });
  if (stored_bytes) *stored_bytes = bytes;
  return result;
}

}  // namespace outlierlab
