#pragma once

#include "engine/cuda/int8_gemm.h"
#include "engine/cuda/platform.h"

// What becomes of a product's sums while they are in registers: see Finishing. For the kernels that multiply
// codes.

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

/// What the terms of a row have in common.
struct RowFactors {
  float scale = 0;
  std::int32_t zero = 0;
};

__device__ inline RowFactors factors(const Finishing& f, const Segment& s, int r) {
  if (s.zero_from == Segment::Zero::fixed) return {s.scale, s.zero};
  const std::int32_t zero = f.row_zero[r];
  const std::int32_t part = s.zero_from == Segment::Zero::of_row       ? zero
                            : s.zero_from == Segment::Zero::low_of_row ? zero % 256
                                                                       : zero / 256;
  return {f.row_scale[r] * s.scale, part - code_shift};
}

/// One segment's part of real[r, j].
__device__ inline float term(std::int32_t sum, const RowFactors& row, std::int32_t column_sum,
                             float column_scale) {
  return static_cast<float>(sum - row.zero * column_sum) * (row.scale * column_scale);
}

__device__ inline float start_value(const Finishing& f, int r, int j) {
  float v = f.bias[j];
  const float* kept = f.kept + static_cast<std::size_t>(r) * f.kept_count;
  const float* weights = f.kept_weights + static_cast<std::size_t>(j) * f.kept_count;
  for (int i = 0; i < f.kept_count; ++i) v = fmaf(kept[i], weights[i], v);
  return v;
}

__device__ inline std::int8_t code_of(const Finishing& f, float v, int j) {
  const Grid& g = f.grids[j < f.part ? 0 : j / f.part];
  return static_cast<std::int8_t>(static_cast<int>(steps(g, v) + g.offset) - code_shift);
}

/// The sums of M x N matrix instructions of 16 x 8 outputs in a warp's registers. SEGMENTED: beside each a
/// float, into which the sums are emptied where a segment of the depth ends.
template <int M, int N, bool SEGMENTED>
struct TileSums {
  std::int32_t sum[M][N][4] = {};
  float value[SEGMENTED ? M : 1][SEGMENTED ? N : 1][4];
  int row0, column0, warp_row, warp_column, lane, segment = 0;

  /// Row and column of element e of instruction (i, k).
  __device__ int row(int i, int e) const { return row0 + warp_row + 16 * i + lane / 4 + 8 * (e / 2); }
  __device__ int column(int k, int e) const { return column0 + warp_column + 8 * k + 2 * (lane % 4) + e % 2; }

  __device__ void start(const Int8Product& p) {
    if constexpr (SEGMENTED) {
#pragma unroll
      for (int i = 0; i < M; ++i) {
#pragma unroll
        for (int k = 0; k < N; ++k) {
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            const int r = row(i, e), j = column(k, e);
            value[i][k][e] = r < p.rows && j < p.columns ? start_value(p.finish, r, j) : 0.0f;
          }
        }
      }
    }
  }

  /// `done`: depth that the sums hold, in units.
  __device__ void end_step(const Int8Product& p, int done) {
    if constexpr (SEGMENTED) {
      const Segment s = p.finish.segments[segment];
      if (done != s.end) return;
      const std::int32_t* column_sums = p.finish.column_sums + static_cast<std::size_t>(segment) * p.columns;
#pragma unroll
      for (int i = 0; i < M; ++i) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int r = row(i, e);
          const RowFactors of_row = factors(p.finish, s, r < p.rows ? r : p.rows - 1);
#pragma unroll
          for (int k = 0; k < N; ++k) {
            const int j = column(k, e);
            if (j < p.columns) {
              value[i][k][e] =
                  term(sum[i][k][e], of_row, column_sums[j], p.finish.column_scale[j]) + value[i][k][e];
            }
            sum[i][k][e] = 0;
          }
        }
      }
      if (segment + 1 < p.finish.segment_count) ++segment;
    }
  }
};

/// A product that one int32 sum per output does not suffice for.
inline bool needs_floats(const Int8Product& p) {
  return p.finish.output != Finishing::Output::sums &&
         (p.finish.segment_count > 1 || p.finish.kept_count > 0);
}

/// Of the tile of codes that a block puts together in shared memory, so that they leave in whole 16 bytes.
template <int COLUMNS>
constexpr int code_stride = COLUMNS + 16;

/// Writes a block's tile. `shared` has room for ROWS rows of code_stride<COLUMNS>, and nobody uses it any
/// more.
template <int ROWS, int COLUMNS, int THREADS, int M, int N, bool SEGMENTED>
__device__ inline void finish_tile(const Int8Product& p, const TileSums<M, N, SEGMENTED>& tile,
                                   unsigned char* shared) {
  const Finishing& f = p.finish;
  const bool as_codes = f.output == Finishing::Output::codes;
#pragma unroll
  for (int i = 0; i < M; ++i) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int r = tile.row(i, 2 * half);
      if (r >= p.rows) continue;
      const RowFactors of_row = SEGMENTED ? RowFactors() : factors(f, f.first, r);
#pragma unroll
      for (int k = 0; k < N; ++k) {
#pragma unroll
        for (int side = 0; side < 2; ++side) {
          const int e = 2 * half + side, j = tile.column(k, e);
          if (j >= p.columns) continue;
          if (f.output == Finishing::Output::sums) {
            static_cast<std::int32_t*>(f.out)[static_cast<std::size_t>(r) * f.stride + j] = tile.sum[i][k][e];
            continue;
          }
          float v;
          if constexpr (SEGMENTED) {
            v = tile.value[i][k][e];
          } else {
            v = term(tile.sum[i][k][e], of_row, f.column_sums[j], f.column_scale[j]) + f.bias[j];
          }
          if (f.gelu) v = gelu(v);
          if (as_codes) {
            shared[(r - tile.row0) * code_stride<COLUMNS> + (j - tile.column0)] =
                static_cast<unsigned char>(code_of(f, v, j));
          } else {
            set_real(f.out, f.type, static_cast<std::size_t>(r) * f.stride + j, v);
          }
        }
      }
    }
  }
  if (!as_codes) return;
  __syncthreads();
  constexpr int chunks_per_row = COLUMNS / 16;
  for (int i = static_cast<int>(threadIdx.x); i < ROWS * chunks_per_row; i += THREADS) {
    const int r = i / chunks_per_row, j = i % chunks_per_row * 16;
    if (tile.row0 + r >= p.rows || tile.column0 + j >= p.columns) continue;
    *reinterpret_cast<uint4*>(static_cast<std::int8_t*>(f.out) +
                              static_cast<std::size_t>(tile.row0 + r) * f.stride + tile.column0 + j) =
        *reinterpret_cast<const uint4*>(shared + r * code_stride<COLUMNS> + j);
  }
}

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
