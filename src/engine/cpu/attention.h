#pragma once

#include "engine/cpu/site_rows.h"
#include "engine/executor.h"

namespace outlierlab::engine {

/// The queries, keys or values of a group of rows: codes [rows, hidden], or floats.
struct HeadRows {
  const std::uint8_t* codes = nullptr;
  const float* values = nullptr;
  const float* row_scale = nullptr;        ///< [rows]; one value repeated for a static grid
  const std::int32_t* row_zero = nullptr;  ///< [rows]
};

/// Per-thread memory of attend().
struct AttentionScratch {
  AlignedVector<char> panels;
  AlignedVector<float> real_panels, scores, col_scale, col_rest, row_scale, context;
  AlignedVector<double> col_factor, col_addend;
  AlignedVector<std::int32_t> col_sum, col_shift, col_zero, row_sum, row_zero;
  AlignedVector<std::uint8_t> probs;
  /// Makes room for heads of this depth and examples up to this length (tokens).
  void reserve(std::size_t length, std::size_t depth);
};

/// The attention of one layer: how its two products run.
struct AttentionPlan {
  std::size_t hidden = 0, depth = 0;  ///< depth: of a head
  bool integer_scores = false;        ///< queries and keys are codes with a grid per tensor or per row
  bool integer_context = false;       ///< values on one grid; probabilities on one grid per head or per row
  const SiteRows *query = nullptr, *key = nullptr, *value = nullptr, *scores = nullptr, *probs = nullptr;
  const RowFormat* context_codes = nullptr;  ///< not null: the context is stored as codes on this grid
};

/// One head of one example: keys and values are rows [first, first + length) of the group, queries rows
/// [first_query, first_query + queries) of theirs. The context goes to the queries' rows and columns of this
/// head in `context_codes` or `context_values`, both [rows, hidden].
struct AttentionTask {
  std::size_t first = 0, length = 0, first_query = 0, queries = 0, head = 0;
  HeadRows query, key, value;
  std::uint8_t* context_codes = nullptr;
  std::size_t context_stride = 0;  ///< from row to row of either, in elements
  float* context_values = nullptr;
  SiteObserver* observer = nullptr;               ///< null: none
  std::size_t scores_site = 0, observer_row = 0;  ///< the site's number; the batch's row of the first query
  Profile* profile = nullptr;                     ///< not null: where the time goes is added
};

/// softmax(query * key^T / sqrt(depth)) * value of one head and example, with the plan's sites rounded to
/// their grids. The scratch must have been reserved for the plan's depth and at least the task's length.
void attend(const AttentionPlan& plan, const AttentionTask& task, AttentionScratch& scratch);

}  // namespace outlierlab::engine
