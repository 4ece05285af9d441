#include "engine/cpu/attention.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/cpu/int8_gemm.h"
#include "engine/two_floats.h"
#include "kernels/kernels.h"

namespace outlierlab::engine {

namespace {

using Kind = SiteFormat::Kind;

/// Where this head's columns begin in the queries and the context, and in keys and values.
std::size_t query_at(const AttentionPlan& plan, const AttentionTask& task) {
  return task.first_query * plan.hidden + task.head * plan.depth;
}
std::size_t key_at(const AttentionPlan& plan, const AttentionTask& task) {
  return task.first * plan.hidden + task.head * plan.depth;
}

/// Stored codes are unsigned; the right side of a product is signed, that is, smaller by this.
constexpr std::int32_t flip = 128;

/// out[r] = sum of row r's codes - count * zero[r].
void centred_sums(const std::uint8_t* codes, std::size_t stride, std::size_t rows, std::size_t count,
                  const std::int32_t* zero, std::int32_t* out) {
  for (std::size_t r = 0; r < rows; ++r) {
    const std::uint8_t* row = codes + r * stride;
    std::int32_t sum = 0;
    for (std::size_t k = 0; k < count; ++k) sum += row[k];
    out[r] = sum - static_cast<std::int32_t>(count) * zero[r];
  }
}

/// Runs body and books its time.
template <typename Body>
void timed(const AttentionTask& task, double Profile::*part, const Body& body) {
  if (!task.profile) return body();
  const auto start = std::chrono::steady_clock::now();
  body();
  task.profile->*part += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Tells a product that all its rows and columns share static grids: `factor` is the product of their scales,
/// `zero` the rows' zero point.
void on_one_grid(Int8Product& p, double factor, std::int32_t zero, AttentionScratch& s) {
  const std::size_t cols = round_up(p.cols, 16);
  if (p.finish == Finish::codes) {
    std::fill_n(s.col_factor.data(), cols, factor);
    p.col_factor = s.col_factor.data();
    p.col_addend = s.col_addend.data();
  } else {
    const TwoFloats scale(factor);
    std::fill_n(s.col_scale.data(), cols, scale.value);
    std::fill_n(s.col_rest.data(), cols, scale.rest);
    p.col_scale = s.col_scale.data();
    p.col_rest = s.col_rest.data();
  }
  for (std::size_t j = 0; j < cols; ++j) s.col_shift[j] = -zero * s.col_sum[j];
  p.col_shift = s.col_shift.data();
}

/// The same for rows, or columns, with grids of their own, which the scratch holds but for the rows' zero
/// points.
void by_row(Int8Product& p, const std::int32_t* row_zero, AttentionScratch& s) {
  p.row_scale = s.row_scale.data();
  p.row_zero = row_zero;
  p.col_scale = s.col_scale.data();
  p.col_sum = s.col_sum.data();
}

void integer_scores(const AttentionPlan& plan, const AttentionTask& task, std::size_t stride,
                    AttentionScratch& s) {
  const std::size_t n = task.length, depth = plan.depth;
  const std::uint8_t* keys = task.key.codes + key_at(plan, task);
  const std::int32_t* query_zero = task.query.row_zero + task.first_query;
  const double factor = 1.0 / std::sqrt(static_cast<double>(depth));
  int8_kernels().pack_transposed(reinterpret_cast<const std::int8_t*>(keys), plan.hidden, n, depth, flip,
                                 s.panels.data());
  bool any_zero = false;
  for (std::size_t j = 0; j < n; ++j) {
    const std::uint8_t* row = keys + j * plan.hidden;
    std::int32_t sum = 0;
    for (std::size_t k = 0; k < depth; ++k) sum += row[k];
    s.col_sum[j] = sum - flip * static_cast<std::int32_t>(depth);
    s.col_zero[j] = task.key.row_zero[task.first + j] - flip;
    any_zero = any_zero || s.col_zero[j] != 0;
  }
  const std::uint8_t* queries = task.query.codes + query_at(plan, task);
  if (any_zero) centred_sums(queries, plan.hidden, task.queries, depth, query_zero, s.row_sum.data());
  Int8Product p;
  p.a = queries;
  p.lda = plan.hidden;
  p.rows = task.queries;
  p.cols = n;
  p.depth = depth;
  p.b = s.panels.data();
  p.row_sum = any_zero ? s.row_sum.data() : nullptr;
  p.col_zero = s.col_zero.data();
  p.c = s.scores.data();
  p.ldc = stride;
  const RowFormat &query = plan.query->format(), &key = plan.key->format();
  if (query.kind == Kind::tensor && key.kind == Kind::tensor) {
    on_one_grid(p, static_cast<double>(query.scale) * key.scale * factor,
                static_cast<std::int32_t>(query.offset), s);
  } else {
    for (std::size_t r = 0; r < task.queries; ++r)
      s.row_scale[r] = task.query.row_scale[task.first_query + r] * static_cast<float>(factor);
    std::copy_n(task.key.row_scale + task.first, n, s.col_scale.data());
    by_row(p, query_zero, s);
  }
  int8_kernels().multiply(p);
}

void real_scores(const AttentionPlan& plan, const AttentionTask& task, std::size_t stride,
                 AttentionScratch& s) {
  pack_transposed(task.key.values + key_at(plan, task), plan.hidden, task.length, plan.depth,
                  s.real_panels.data());
  model_kernels().gemm(task.query.values + query_at(plan, task), plan.hidden, task.queries, plan.depth,
                       s.real_panels.data(), task.length, nullptr,
                       1.0f / std::sqrt(static_cast<float>(plan.depth)), s.scores.data(), stride);
}

void integer_context(const AttentionPlan& plan, const AttentionTask& task, const RowFormat& probs,
                     std::size_t code_stride, AttentionScratch& s) {
  const std::size_t n = task.length, depth = plan.depth, queries = task.queries;
  const std::uint8_t* values = task.value.codes + key_at(plan, task);
  int8_kernels().pack_rows(reinterpret_cast<const std::int8_t*>(values), plan.hidden, depth, n, flip,
                           s.panels.data());
  const std::int32_t value_zero = task.value.row_zero[task.first] - flip;
  std::fill_n(s.col_sum.data(), round_up(depth, 16), -flip * static_cast<std::int32_t>(n));
  for (std::size_t j = 0; j < n; ++j) {
    for (std::size_t c = 0; c < depth; ++c) s.col_sum[c] += values[j * plan.hidden + c];
  }
  std::fill_n(s.col_zero.data(), round_up(depth, 16), value_zero);
  const bool one_grid = probs.kind == Kind::tensor;
  if (one_grid) std::fill_n(s.row_zero.data(), queries, static_cast<std::int32_t>(probs.offset));
  if (value_zero != 0)
    centred_sums(s.probs.data(), code_stride, queries, n, s.row_zero.data(), s.row_sum.data());
  Int8Product p;
  p.a = s.probs.data();
  p.lda = code_stride;
  p.rows = queries;
  p.depth = round_up(n, 4);
  p.cols = depth;
  p.b = s.panels.data();
  p.row_sum = value_zero != 0 ? s.row_sum.data() : nullptr;
  p.col_zero = s.col_zero.data();
  if (const RowFormat* grid = plan.context_codes) {
    p.finish = Finish::codes;
    set_grid(p, *grid);
    p.c = task.context_codes + task.first_query * task.context_stride + task.head * depth;
    p.ldc = task.context_stride;
  } else {
    p.c = task.context_values + query_at(plan, task);
    p.ldc = plan.hidden;
  }
  if (one_grid) {
    const double steps = plan.context_codes ? plan.context_codes->steps_per_unit() : 1;
    on_one_grid(p, static_cast<double>(probs.scale) * plan.value->format().scale * steps,
                static_cast<std::int32_t>(probs.offset), s);
  } else {
    std::fill_n(s.col_scale.data(), round_up(depth, 16), plan.value->format().scale);
    by_row(p, s.row_zero.data(), s);
  }
  int8_kernels().multiply(p);
}

void real_context(const AttentionPlan& plan, const AttentionTask& task, std::size_t stride,
                  AttentionScratch& s) {
  const std::size_t n = task.length, depth = plan.depth;
  pack_rows(task.value.values + key_at(plan, task), plan.hidden, depth, n, s.real_panels.data());
  float* target = plan.context_codes ? s.context.data() : task.context_values + query_at(plan, task);
  const std::size_t target_stride = plan.context_codes ? depth : plan.hidden;
  model_kernels().gemm(s.scores.data(), stride, task.queries, n, s.real_panels.data(), depth, nullptr, 1.0f,
                       target, target_stride);
  if (plan.context_codes) {
    row_kernels().encode(*plan.context_codes, target, task.queries, depth, depth,
                         {task.context_codes + task.first_query * task.context_stride + task.head * depth,
                          nullptr, task.context_stride, nullptr, nullptr});
  }
}

}  // namespace

void AttentionScratch::reserve(std::size_t length, std::size_t depth) {
  const std::size_t wide = round_up(length, 16), deep = round_up(std::max(depth, length), 16);
  panels.resize(
      std::max(int8_kernels().packed_bytes(depth, length), int8_kernels().packed_bytes(length, depth)));
  real_panels.resize(std::max(packed_size(length, depth), packed_size(depth, length)));
  scores.resize(length * wide);
  context.resize(length * depth);
  probs.resize(length * wide + 64);
  for (AlignedVector<float>* v : {&col_scale, &col_rest, &row_scale}) v->assign(deep, 0.0f);
  for (AlignedVector<double>* v : {&col_factor, &col_addend}) v->assign(deep, 0.0);
  for (AlignedVector<std::int32_t>* v : {&col_sum, &col_shift, &col_zero, &row_sum, &row_zero})
    v->assign(deep, 0);
}

void attend(const AttentionPlan& plan, const AttentionTask& task, AttentionScratch& s) {
  const std::size_t n = task.length, rows = task.queries, stride = round_up(n, 16);
  const RowFormat scores_grid = plan.scores->of_head(task.head), probs_grid = plan.probs->of_head(task.head);
  timed(task, &Profile::gemm, [&] {
    if (plan.integer_scores) {
      integer_scores(plan, task, stride, s);
    } else {
      real_scores(plan, task, stride, s);
    }
  });
  const auto show = [&](std::size_t site, const float* values) {
    if (task.observer)
      task.observer->visit(site, values, task.observer_row, rows, n, stride, static_cast<int>(task.head));
  };
  const auto observe = [&](std::size_t site) { show(site, s.scores.data()); };
  if (plan.integer_context && probs_grid.kind == Kind::tensor) {
    AlignedVector<float> seen;
    if (task.observer) {
      seen.assign(s.scores.begin(), s.scores.begin() + static_cast<std::ptrdiff_t>(rows * stride));
      row_kernels().round_trip(scores_grid, seen.data(), rows, n, stride);
      show(task.scores_site, seen.data());
    }
    timed(task, &Profile::rest, [&] {
      row_kernels().softmax_codes(scores_grid, probs_grid, s.scores.data(), rows, n, stride, s.probs.data(),
                                  stride);
    });
    for (std::size_t i = 0; i < seen.size(); ++i) seen[i] = probs_grid.value(s.probs[i]);
    show(task.scores_site + 1, seen.data());
  } else {
    timed(task, &Profile::quantize,
          [&] { row_kernels().round_trip(scores_grid, s.scores.data(), rows, n, stride); });
    observe(task.scores_site);
    timed(task, &Profile::rest, [&] { model_kernels().softmax(s.scores.data(), rows, n, stride); });
    timed(task, &Profile::quantize, [&] {
      if (plan.integer_context) {
        row_kernels().encode(probs_grid, s.scores.data(), rows, n, stride,
                             {s.probs.data(), nullptr, stride, s.row_scale.data(), s.row_zero.data()});
      } else {
        row_kernels().round_trip(probs_grid, s.scores.data(), rows, n, stride);
      }
    });
    observe(task.scores_site + 1);
  }
  timed(task, &Profile::gemm, [&] {
    if (plan.integer_context) {
      integer_context(plan, task, probs_grid, stride, s);
    } else {
      real_context(plan, task, stride, s);
    }
  });
}

}  // namespace outlierlab::engine
