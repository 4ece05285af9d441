#pragma once

#include "engine/cuda/runtime.h"
#include "engine/cuda/values.h"
#include "engine/two_floats.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

/// Queries, keys or values of all heads: codes on one grid or with one per row, or reals. Head h is columns
/// [h depth, (h + 1) depth).
struct HeadRows {
  const std::int8_t* codes = nullptr;  ///< [rows, stride]; null: reals
  int stride = 0;
  Grid grid;  ///< of the codes, where row_scale is null
  const float* row_scale = nullptr;
  const std::int32_t* row_zero = nullptr;
  const void* real = nullptr;  ///< [rows, real_stride]
  RealType type = RealType::float32;
  int real_stride = 0;
};

/// The attention of one layer over examples that lie end to end.
struct AttentionTask {
  const std::int32_t* offsets = nullptr;  ///< [examples + 1]
  int examples = 0, longest = 0, heads = 0, depth = 0;
  /// Of each example the first query alone; the context then has a row per example.
  bool first_alone = false;
  HeadRows query, key, value;
  bool integer_scores = false;   ///< queries and keys are codes
  bool integer_context = false;  ///< values are codes on one grid, probabilities on one per head or row
  /// Of the sums of queries and keys that have one grid each: attend() sets it.
  TwoFloats scores_factor;
  Format scores, probs;
  std::int8_t* context_codes = nullptr;  ///< the context as codes on context_grid ...
  int context_stride = 0;
  Grid context_grid;
  void* context = nullptr;  ///< ... or, where context_codes is null, as reals
  RealType context_type = RealType::float32;
  int context_real_stride = 0;
  /// For an observer: [rows, heads, longest].
  float *seen_scores = nullptr, *seen_probs = nullptr;
};

/// How a task can be computed.
enum class AttentionKernel {
  /// Integer matrix instructions for both products, on static grids; shared memory holds an example's keys
  /// and
  /// values. One warp keeps the scores of 16 queries and 128 keys in registers; longer examples compute them
  /// again for each of the three passes over them (largest, sum, codes).
  codes,
  /// The same to the bit for examples whose keys and values do not fit (Turing's 64 KiB: more than 384 of
  /// depth 64): 128 keys at a time, read again in each pass.
  codes_by_chunk,
  /// float16 or bfloat16 matrix instructions, sums in float32, softmax over a stream of keys
  /// (FlashAttention-2's order): the baseline's. Where scores or probabilities have grids, three passes as
  /// above.
  reals,
  /// One warp per query on the ordinary units; takes every format and head size.
  any
};
/// The fastest kernel that can do the task with so much shared memory per block.
AttentionKernel kernel_for(const AttentionTask& task, std::size_t shared_bytes);

void attend(AttentionKernel kernel, AttentionTask task, Stream stream);

/// Bytes that a task reads and writes, each once, where its examples have so many rows in all.
std::size_t memory_traffic(const AttentionTask& task, int rows);

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
