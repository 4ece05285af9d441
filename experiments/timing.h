// Timing of several ways to run one network, side by side.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "report/row.h"

namespace outlierlab {

/// Seconds from then to now.
double since(std::chrono::steady_clock::time_point start);

/// One way to run a batch.
struct Contender {
  std::string name;
  std::function<void()> pass;
};

struct TimingOptions {
  std::size_t warm_up = 1;        ///< untimed passes of each contender
  std::size_t block = 1;          ///< passes of a contender in a row
  std::size_t before_block = 0;   ///< untimed passes before each block, which follow another's
  std::size_t least_rounds = 6;   ///< blocks of each contender at least (fewer give no interval), and:
  std::size_t most_passes = 370;  ///< timed passes of each at most
  double narrow = 0.02;           ///< enough when each median's 95 % interval is within this share of it
  double seconds = 2;             ///< ...or when so much time is spent on all contenders together
  /// Rare latencies want many passes: goes on to the most of `rare_counts` that fit in so many seconds.
  double patience = 0;
  /// Called behind each timed pass with its contender's index; what it takes is not timed.
  std::function<void(std::size_t)> after_pass;
};

/// From so many passes on there is a 99th percentile with an interval, and one without; a 95th with, and
/// without.
constexpr std::size_t rare_counts[] = {368, 100, 72, 20};

/// Seconds of each pass by contender. Contenders take turns, a block of passes each, so that a change of the
/// machine's speed hits all alike.
std::vector<std::vector<double>> time_side_by_side(const std::vector<Contender>& contenders,
                                                   const TimingOptions& options);

struct Interval {
  double low = 0, high = 0;
};
/// The row with its interval, from `n` passes.
Row with_interval(Row row, Interval interval, std::size_t n);
/// 95 % interval of the median by order statistics (binomial), which supposes values that do not depend on
/// each other. Those of a block of passes do: the interval is that of the blocks' medians. The extremes where
/// there are fewer than six, which cover it less often.
Interval median_interval(const std::vector<double>& values, std::size_t block = 1);

/// 95 % interval of a quantile by order statistics, of values that do not depend on each other (what disturbs
/// one pass of a block and not its neighbours); none where an end would lie beyond the extremes.
std::optional<Interval> quantile_interval(const std::vector<double>& values, double q);

/// Whether the interval of the passes' median is at most twice this share of it wide.
bool is_narrow(const std::vector<double>& seconds, double share, std::size_t block = 1);

/// Whether the passes tell that something else ran on the machine: the interval of their median is wider than
/// a fifth of it.
bool is_disturbed(const std::vector<double>& seconds, std::size_t block = 1);

/// Rows throughput_examples and throughput_tokens, per second, each with its interval.
std::vector<Row> throughput_rows(const std::vector<double>& seconds, std::size_t examples, std::size_t tokens,
                                 std::size_t block = 1);

/// Rows of one contender: latency_p50_ms with its interval, p95 and p99 (from 20 and 100 passes on, with an
/// interval from 72 and 368 on), throughput in examples and tokens per second, speedup over `reference`'s
/// passes of the same rounds (median of the ratios, with its interval; none where there are no such passes).
/// `block` passes were made in a row.
std::vector<Row> latency_rows(const std::vector<double>& seconds, const std::vector<double>& reference,
                              std::size_t examples, std::size_t tokens, std::size_t block = 1);

}  // namespace outlierlab
