#include "experiments/timing.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iterator>

#include "app/study.h"
#include "core/quantile.h"

namespace outlierlab {

namespace {

using Clock = std::chrono::steady_clock;

/// The largest k with P(Binomial(n, q) < k) <= 0.025; 0 where there is none. The k-th smallest of n values is
/// then at most their q-quantile, but for one time in forty.
std::size_t lower_rank(std::size_t n, double q) {
  // Logarithms, since 2^-n is no double from n = 1075 on.
  double log_probability = static_cast<double>(n) * std::log1p(-q), below = 0;
  std::size_t k = 0;
  while (k < n && below + std::exp(log_probability) <= 0.025) {
    below += std::exp(log_probability);
    log_probability +=
        std::log(static_cast<double>(n - k) / static_cast<double>(k + 1)) + std::log(q / (1 - q));
    ++k;
  }
  return k;
}

/// Whether rare latencies are worth more passes.
bool is_worth_more(std::size_t passes, double spent, const TimingOptions& options) {
  return std::any_of(std::begin(rare_counts), std::end(rare_counts), [&](std::size_t count) {
    return passes < count && count <= options.most_passes &&
           spent * static_cast<double>(count) <= options.patience * static_cast<double>(passes);
  });
}

}  // namespace

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<std::vector<double>> time_side_by_side(const std::vector<Contender>& contenders,
                                                   const TimingOptions& options) {
  std::vector<std::vector<double>> seconds(contenders.size());
  for (std::size_t i = 0; i < options.warm_up; ++i) {
    for (const Contender& contender : contenders) contender.pass();
  }
  const auto begin = Clock::now();
  for (std::size_t round = 0; round * options.block < options.most_passes; ++round) {
    const bool enough = std::all_of(seconds.begin(), seconds.end(), [&](const std::vector<double>& all) {
      return all.size() >= 20 && is_narrow(all, options.narrow, options.block);
    });
    const double spent = since(begin);
    if (round >= options.least_rounds && (enough || spent > options.seconds) &&
        !is_worth_more(round * options.block, spent, options))
      break;
    for (std::size_t c = 0; c < contenders.size(); ++c) {
      for (std::size_t i = 0; i < options.before_block; ++i) contenders[c].pass();
      for (std::size_t i = 0; i < options.block; ++i) {
        const auto start = Clock::now();
        contenders[c].pass();
        seconds[c].push_back(since(start));
        if (options.after_pass) options.after_pass(c);
      }
    }
  }
  return seconds;
}

Interval median_interval(const std::vector<double>& values, std::size_t block) {
  std::vector<double> medians;
  for (std::size_t i = 0; i < values.size(); i += block) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(i);
    medians.push_back(
        median({first, first + static_cast<std::ptrdiff_t>(std::min(block, values.size() - i))}));
  }
  std::sort(medians.begin(), medians.end());
  const std::size_t n = medians.size();
  // The interval is the k-th smallest to the k-th largest.
  const std::size_t k = lower_rank(n, 0.5);
  const std::size_t first = k == 0 ? 0 : k - 1;
  // The median of all is not the blocks' own, and may lie beside few of them.
  const double middle = median(values);
  return {std::min(medians[first], middle), std::max(medians[n - 1 - first], middle)};
}

std::optional<Interval> quantile_interval(const std::vector<double>& values, double q) {
  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const std::size_t n = sorted.size(), low = lower_rank(n, q), high = lower_rank(n, 1 - q);
  if (low == 0 || high == 0) return std::nullopt;
  return Interval{sorted[low - 1], sorted[n - high]};
}

bool is_narrow(const std::vector<double>& seconds, double share, std::size_t block) {
  const Interval interval = median_interval(seconds, block);
  return interval.high - interval.low <= 2 * share * median(seconds);
}

bool is_disturbed(const std::vector<double>& seconds, std::size_t block) {
  return !is_narrow(seconds, 0.1, block);
}

Row with_interval(Row row, Interval interval, std::size_t n) {
  row.ci_low = interval.low;
  row.ci_high = interval.high;
  row.n = n;
  return row;
}

std::vector<Row> throughput_rows(const std::vector<double>& seconds, std::size_t examples, std::size_t tokens,
                                 std::size_t block) {
  const double middle = median(seconds);
  const Interval interval = median_interval(seconds, block);
  const auto per_second = [&](const char* metric, std::size_t count) {
    const double units = static_cast<double>(count);
    return with_interval(figure(metric, units / middle), {units / interval.high, units / interval.low},
                         seconds.size());
  };
  return {per_second("throughput_examples", examples), per_second("throughput_tokens", tokens)};
}

std::vector<Row> latency_rows(const std::vector<double>& seconds, const std::vector<double>& reference,
                              std::size_t examples, std::size_t tokens, std::size_t block) {
  const std::size_t n = seconds.size();
  const double middle = median(seconds);
  const Interval interval = median_interval(seconds, block);
  std::vector<Row> rows = {
      with_interval(figure("latency_p50_ms", 1e3 * middle), {1e3 * interval.low, 1e3 * interval.high}, n)};
  const auto percentile = [&](const char* metric, double q) {
    Row row = figure(metric, 1e3 * quantile(seconds, q));
    row.n = n;
    if (const auto rare = quantile_interval(seconds, q))
      row = with_interval(row, {1e3 * rare->low, 1e3 * rare->high}, n);
    rows.push_back(row);
  };
  if (n >= 20) percentile("latency_p95_ms", 0.95);
  if (n >= 100) percentile("latency_p99_ms", 0.99);
  for (Row& row : throughput_rows(seconds, examples, tokens, block)) rows.push_back(std::move(row));
  if (reference.empty()) return rows;
  std::vector<double> ratios;
  for (std::size_t i = 0; i < n; ++i) ratios.push_back(reference[i] / seconds[i]);
  rows.push_back(with_interval(figure("speedup", median(ratios)), median_interval(ratios, block), n));
  return rows;
}

}  // namespace outlierlab
