#pragma once

#include <cstdint>
#include <vector>

#include "engine/cuda/runtime.h"
#include "engine/cuda/values.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

/// The depth of a product is a multiple of this; what is added are weights of 0.
constexpr int depth_unit = 64;

/// A run of a product's depth whose left codes share a grid per tensor (PEG's groups; the planes of wide
/// codes). All of a product's are fixed, or none.
struct Segment {
  int end = 0;            ///< in units of depth_unit, exclusive
  float scale = 0;        ///< of the left codes; with per-row grids, what the row's scale is multiplied by
  std::int32_t zero = 0;  ///< of the signed codes, where it is fixed
  enum class Zero : unsigned char { fixed, of_row, low_of_row, high_of_row } zero_from = Zero::fixed;
};

/// What becomes of a product's sums. With the segments s of the depth
///
///   real[r, j] = bias[j] + sum_s (sum_s[r, j] + column_sums[s, j]) (column_scale[s, j] + column_rest[s, j])
///                + sum_i kept[r, i] kept_weights[i, j]
///                + sum_c outlier[r, c] (column_scale[0, j] codes_by_channel[c, j])
///
/// for fixed segments, of which column_terms() has put together what does not depend on the row; for those of
/// rows, the terms are
///
///   (sum_s[r, j] - zero_s[r] column_sums[s, j]) (row_scale[r] column_scale[s, j])
///
/// with that factor in two floats. In this order of additions, each term by two fused multiply-adds (the last
/// two sums are chains of them, with ascending channels); then GELU, then rounding to a grid, then the
/// output's form. A tile takes the channels that are outliers in any of its rows: what a row does not have
/// adds 0, so that its bits do not depend on its neighbours.
struct Finishing {
  enum class Output : unsigned char { sums, reals, codes } output = Output::reals;
  bool gelu = false;
  void* out = nullptr;  ///< [rows, stride]
  int stride = 0;       ///< in elements; of codes, a multiple of 16
  RealType type = RealType::float32;
  Grid grids[3];  ///< codes: of columns [i part, (i + 1) part), where column_grids is null
  int part = 1 << 30;
  /// Codes or reals: a grid per column, as Format has them; scale < 0: the column is not rounded.
  const float* column_grids = nullptr;
  int column_stride = 0;
  /// Codes: columns from here on are not coded, but go to kept_out [rows, kept_out_count].
  int code_columns = 1 << 30;
  float* kept_out = nullptr;
  int kept_out_count = 0;
  const Segment* segments = nullptr;  ///< device memory
  int segment_count = 1;
  bool whole_segments = true;                                   ///< they end at even units
  Segment first;                                                ///< segments[0], for products that have one
  const float *column_scale = nullptr, *column_rest = nullptr;  ///< [segments, columns]
  const std::int32_t* column_sums = nullptr;                    ///< [segments, columns]
  const float* bias = nullptr;
  const float* row_scale = nullptr;
  const std::int32_t* row_zero = nullptr;
  const float* kept = nullptr;          ///< [rows, kept_count]
  const float* kept_weights = nullptr;  ///< [kept_count, columns]
  int kept_count = 0;
  Outliers outliers;                              ///< of the left rows
  const std::int8_t* codes_by_channel = nullptr;  ///< [channels, columns]
};

/// Finishing's column_sums, column_scale and column_rest.
struct ColumnTerms {
  std::vector<std::int32_t> sums;
  std::vector<float> scale, rest;
};

/// Of the sums of a weight's codes [segments, columns] and its scales [columns].
ColumnTerms column_terms(const std::vector<Segment>& segments, const std::vector<std::int32_t>& sums,
                         const std::vector<float>& weight_scale);

/// codes [rows, depth] times weights [columns, depth] transposed. Sums are exact in int32.
struct Int8Product {
  const std::int8_t* a = nullptr;  ///< 16-byte aligned rows
  int lda = 0;
  const std::int8_t* b = nullptr;  ///< [columns, depth]
  int rows = 0;
  int columns = 0;  ///< a multiple of 16 (padded)
  int depth = 0;    ///< a multiple of depth_unit
  Finishing finish;
};

/// Number of tile shapes of our own kernels, and what they are called.
int tile_count();
const char* tile_name(int tile);
/// Whether the device and the build have the tile's instructions and memory, and the product's sizes suit it.
bool tile_can(int tile, const Int8Product& product, const DeviceFacts& device);
/// The largest tile on mma instructions that the device can and that keeps all its multiprocessors busy.
int full_tile(const Int8Product& product, const DeviceFacts& device);
/// Matrix instructions with the finishing in the same kernel. All tile shapes give the same bits.
void multiply_tiled(int tile, const Int8Product& product, Stream stream);

/// The finishing alone: `sums` is [segments, padded_rows(), columns] int32 of another product
/// (cublasLt's).
void finish_sums(const Int8Product& product, const std::int32_t* sums, Stream stream);

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
