#pragma once

#include "engine/cuda/runtime.h"
#include "engine/cuda/values.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

/// An embedding table: codes with a scale per tensor or per row, or reals.
struct Table {
  const std::int8_t* codes = nullptr;
  const float* scales = nullptr;  ///< 1 or one per row
  bool scale_per_row = false;
  const void* values = nullptr;
  RealType type = RealType::float32;
  int stride = 0;  ///< a multiple of 4
};

/// What the row kernel does to each row, in this order; what is null or real is left out:
///
///   v = sum of three embeddings | source (float, real, or an operand's values)
///   v = gelu(v) | tanh(v)
///   v = first(v);  v = v + residual;  v = second(v)
///   v = LayerNorm(v), of whole steps where `second` and the target are grids of at most 8 bits
///   target <- encode(v)
///
/// One warp takes a row (eight, if it is wide) and keeps it in registers.
struct RowTask {
  int rows = 0, cols = 0;
  enum class From : unsigned char { embeddings, reals, operand } from = From::reals;
  // embeddings
  Table words, types, positions;
  const std::int32_t* ids = nullptr;
  const std::uint8_t* type_ids = nullptr;
  const std::int32_t* position_ids = nullptr;
  // reals: a product's result
  const void* source = nullptr;
  RealType source_type = RealType::float32;
  int source_stride = 0;
  // operand: a product's result that is coded already (then `first` has been applied)
  Operand coded;
  Format coded_format;

  enum class Map : unsigned char { none, gelu, tanh } map = Map::none;
  Format first;
  bool has_residual = false;
  Operand residual;
  Format residual_format;
  Format second;
  const float *gain = nullptr, *bias = nullptr;  ///< of the LayerNorm; null: none
  float epsilon = 0;
  Format target_format;
  Operand target;
  /// For an observer: values after `first`, after `second` and after encoding, [rows, cols] without gaps.
  float *seen_first = nullptr, *seen_second = nullptr, *seen_target = nullptr;
};

void run_rows(const RowTask& task, Stream stream);

/// Bytes of one row of an operand, in all forms that it has; of LLM.int8()'s outliers their count alone.
std::size_t row_bytes(const Operand& operand, int cols);

/// Bytes that a task's rows read and write, each once. Of embeddings that is the words' table: those of types
/// and positions are small enough to stay in the caches, as is what belongs to columns.
std::size_t memory_traffic(const RowTask& task);

/// Widest row that run_rows() takes.
constexpr int largest_row = 4096;

/// values[r, j] += bias[j], then GELU: what cublasLt does at a product's end, for where it refuses to. Rows
/// of `stride`.
void add_bias(void* values, RealType type, const float* bias, bool with_gelu, int rows, int cols, int stride,
              Stream stream);

/// Copies rows from[offsets[e]] to to[e], in all forms that the operand has. `from` and `to` are alike.
void gather_rows(const Operand& from, const Operand& to, const std::int32_t* offsets, int examples,
                 Stream stream);

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
