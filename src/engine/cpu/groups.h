#pragma once

#include <cstddef>

// How a batch's rows are divided between threads.

namespace outlierlab::engine {

/// Rows of a group: enough to use a packed weight often while it is in the cache, few enough that a group's
/// activations stay in a core's second-level cache.
constexpr std::size_t group_rows = 112;
/// Columns that a member of a team takes at least.
constexpr std::size_t column_unit = 32;

/// Rows to aim at in each group: about equal, no more than group_rows, a multiple of the threads in number.
inline std::size_t rows_per_group(std::size_t rows, std::size_t threads) {
  const std::size_t rounds = (rows + threads * group_rows - 1) / (threads * group_rows);
  return rounds == 0 ? 0 : (rows + threads * rounds - 1) / (threads * rounds);
}

}  // namespace outlierlab::engine
