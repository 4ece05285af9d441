#pragma once

#include "engine/cuda/int8_gemm.h"
#include "engine/cuda/platform.h"

// What becomes of a product's sums while they are in registers: see Finishing. For the kernels that multiply
// codes. All threads of a block come to every function that has a barrier.

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

/// What the terms of a row have in common.
struct RowFactors {
  float scale = 0;
  std::int32_t zero = 0;
};

__device__ inline RowFactors factors(const Finishing& f, const Segment& s, int r) {
  if (s.zero_from == Segment::Zero::fixed) return {};
  const std::int32_t zero = f.row_zero[r];
  const std::int32_t part = s.zero_from == Segment::Zero::of_row       ? zero
                            : s.zero_from == Segment::Zero::low_of_row ? zero % 256
                                                                       : zero / 256;
  return {f.row_scale[r], part - code_shift};
}

/// One segment's part of real[r, j], added to those before it.
template <bool FIXED>
__device__ inline float add_term(float before, std::int32_t sum, const RowFactors& row,
                                 std::int32_t column_sum, float scale, float rest) {
  if constexpr (FIXED) {
    const float v = static_cast<float>(sum + column_sum);
    return Factor{scale, rest}.times(v, before);
  } else {
    return Factor::product(row.scale, scale).times(static_cast<float>(sum - row.zero * column_sum), before);
  }
}

/// What is stored for v: its code (unsigned, still a float), the real that this stands for, or v.
__device__ inline float stored(const Finishing& f, const Grid& g, float v) {
  if (f.output == Finishing::Output::codes) return g.scale < 0.0f ? v : steps(g, v) + g.offset;
  return g.scale < 0.0f ? v : steps(g, v) * g.scale;
}

__device__ inline void set_kept(const Finishing& f, int r, int j, float v) {
  const int i = j - f.code_columns;
  if (i < f.kept_out_count) f.kept_out[static_cast<std::size_t>(r) * f.kept_out_count + i] = v;
}

/// The sums of M x N matrix instructions of 16 x 8 outputs in a warp's registers. SEGMENTED: beside each a
/// float, into which the sums are emptied where a segment of the depth ends.
template <int M, int N, bool SEGMENTED>
struct TileSums {
  std::int32_t sum[M][N][4] = {};
  float value[SEGMENTED ? M : 1][SEGMENTED ? N : 1][4];
  int row0, column0, warp_row, warp_column, lane, segment = 0, segment_end;

  /// Row and column of element e of instruction (i, k).
  __device__ int row(int i, int e) const { return row0 + warp_row + 16 * i + lane / 4 + 8 * (e / 2); }
  __device__ int column(int k, int e) const { return column0 + warp_column + 8 * k + 2 * (lane % 4) + e % 2; }

  __device__ void start(const Int8Product& p) {
    if constexpr (SEGMENTED) {
      segment_end = p.finish.segments[0].end;
#pragma unroll
      for (int k = 0; k < N; ++k) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int j = column(k, e);
          const float bias = j < p.columns ? p.finish.bias[j] : 0.0f;
#pragma unroll
          for (int i = 0; i < M; ++i) value[i][k][e] = bias;
        }
      }
    }
  }

  /// `done`: depth that the sums hold, in units.
  __device__ void end_step(const Int8Product& p, int done) {
    if constexpr (SEGMENTED) {
      if (done != segment_end) return;
      const Segment s = p.finish.segments[segment];
      if (s.zero_from == Segment::Zero::fixed) {
        empty<true>(p, s);
      } else {
        empty<false>(p, s);
      }
      if (segment + 1 < p.finish.segment_count) segment_end = p.finish.segments[++segment].end;
    }
  }

 private:
  /// Empties the sums into the floats.
  template <bool FIXED>
  __device__ void empty(const Int8Product& p, const Segment& s) {
    if constexpr (SEGMENTED) {
      const std::size_t at = static_cast<std::size_t>(segment) * p.columns;
      const std::int32_t* column_sums = p.finish.column_sums + at;
      const float *scale = p.finish.column_scale + at, *rest = p.finish.column_rest + at;
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
              value[i][k][e] = add_term<FIXED>(value[i][k][e], sum[i][k][e], of_row, column_sums[j], scale[j],
                                               FIXED ? rest[j] : 0.0f);
            }
            sum[i][k][e] = 0;
          }
        }
      }
    }
  }
};

/// A product that one int32 sum per output does not suffice for.
inline bool needs_floats(const Int8Product& p) {
  return p.finish.output != Finishing::Output::sums && p.finish.segment_count > 1;
}

// --- Columns in float ---

/// Channels that a block takes at once.
constexpr int float_channels = 16;

/// The channels that are outliers in any row of a block's tile, in ascending order; in shared memory beside
/// the stages.
struct TileOutliers {
  int* count;
  std::uint32_t* marks;  ///< [stride / 32] a bit per channel
  std::uint16_t* channels;

  __device__ TileOutliers(const Int8Product& p, unsigned char* memory)
      : count(reinterpret_cast<int*>(memory)),
        marks(reinterpret_cast<std::uint32_t*>(memory + 16)),
        channels(reinterpret_cast<std::uint16_t*>(memory + 16 + p.finish.outliers.stride / 8)) {}
};

/// Shared memory for TileOutliers of a product.
inline std::size_t outlier_bytes(const Int8Product& p) {
  const Outliers& o = p.finish.outliers;
  if (!o.count) return 0;
  return static_cast<std::size_t>(round_up(16 + o.stride / 8 + 2 * o.stride, 16));
}

/// Lists the outliers of rows [row0, row0 + ROWS), if the left side keeps any. The caller's next barrier is
/// before their first use.
template <int ROWS, int THREADS>
__device__ inline void find_outliers(const Int8Product& p, int row0, unsigned char* memory) {
  const Outliers& o = p.finish.outliers;
  if (!o.count) return;
  const TileOutliers found(p, memory);
  const int thread = static_cast<int>(threadIdx.x), words = o.stride / 32;
  const int r = row0 + thread < p.rows ? row0 + thread : p.rows - 1;
  const int mine = thread < ROWS ? o.count[r] : 0;
  for (int w = thread; w < words; w += THREADS) found.marks[w] = 0;
  __syncthreads();
  const std::uint16_t* channels = o.channels + static_cast<std::size_t>(r) * o.stride;
#pragma unroll 1
  for (int i = 0; i < mine; ++i)
    set_bits_atomically(found.marks + channels[i] / 32, std::uint32_t{1} << channels[i] % 32);
  __syncthreads();
  if (thread >= warp_size) return;
  int first = 0;
#pragma unroll 1
  for (int w0 = 0; w0 < words; w0 += warp_size) {
    std::uint32_t word = w0 + thread < words ? found.marks[w0 + thread] : 0u;
    // Sums over ever larger groups of lanes; `before` is that of the lanes below.
    int all = count_bits(word), before = 0;
#pragma unroll
    for (int group = 1; group < warp_size; group *= 2) {
      const int other = from_lane_xor(all, group);
      if (thread & group) before += other;
      all += other;
    }
    for (int at = first + before; word != 0; word &= word - 1)
      found.channels[at++] = static_cast<std::uint16_t>(32 * (w0 + thread) + lowest_bit(word));
    first += all;
  }
  if (thread == 0) *found.count = first;
}

/// What one row of the tile has in float.
struct FloatRow {
  int left = 0;  ///< values that are still to come
  const std::uint16_t* channels = nullptr;
  const float* values = nullptr;

  __device__ FloatRow(const Finishing& f, int r) {
    if (f.outliers.count) {
      left = f.outliers.count[r];
      channels = f.outliers.channels + static_cast<std::size_t>(r) * f.outliers.stride;
      values = f.outliers.values + static_cast<std::size_t>(r) * f.outliers.stride;
    } else {
      left = f.kept_count;
      values = f.kept + static_cast<std::size_t>(r) * f.kept_count;
    }
  }
  /// The value of the tile's next channel.
  __device__ float next(const TileOutliers& found, int i) {
    if (left == 0 || (channels && *channels != found.channels[i])) return 0.0f;
    --left;
    if (channels) ++channels;
    return *values++;
  }
};

/// Four columns of the weight of the tile's channel i.
__device__ inline Four float_weights(const Int8Product& p, const TileOutliers& found, int i, int j) {
  const Finishing& f = p.finish;
  if (j >= p.columns) return {};
  if (!f.outliers.count)
    return reals_at(f.kept_weights, RealType::float32, static_cast<std::size_t>(i) * p.columns + j);
  const char4 code = *reinterpret_cast<const char4*>(
      f.codes_by_channel + static_cast<std::size_t>(found.channels[i]) * p.columns + j);
  const Four scale = reals_at(f.column_scale, RealType::float32, j);
  return {{scale.v[0] * static_cast<float>(code.x), scale.v[1] * static_cast<float>(code.y),
           scale.v[2] * static_cast<float>(code.z), scale.v[3] * static_cast<float>(code.w)}};
}

template <int ROWS, int COLUMNS>
constexpr int float_bytes = (ROWS + COLUMNS) * float_channels * 4;

/// Adds the products of what the left side has in float. `shared` has room for float_bytes<ROWS, COLUMNS>,
/// and nobody uses it.
template <int ROWS, int COLUMNS, int THREADS, int M, int N, bool SEGMENTED>
__device__ inline void add_floats(const Int8Product& p, const TileSums<M, N, SEGMENTED>& tile,
                                  float (&value)[M][N][4], unsigned char* shared, unsigned char* outliers) {
  static_assert(ROWS <= THREADS, "a thread per row");
  const TileOutliers found(p, outliers);
  const int count = p.finish.outliers.count ? *found.count : p.finish.kept_count;
  if (count == 0) return;
  auto* const left = reinterpret_cast<float*>(shared);  // [float_channels, ROWS]
  float* const right = left + float_channels * ROWS;    // [float_channels, COLUMNS]
  const int thread = static_cast<int>(threadIdx.x);
  // Rows beyond the last are read as the last.
  FloatRow row(p.finish, tile.row0 + thread < p.rows ? tile.row0 + thread : p.rows - 1);
#pragma unroll 1
  for (int first = 0; first < count; first += float_channels) {
    const int here = count - first < float_channels ? count - first : float_channels;
    if (thread < ROWS) {
      for (int i = 0; i < here; ++i) left[i * ROWS + thread] = row.next(found, first + i);
    }
    for (int i = thread; i < here * (COLUMNS / 4); i += THREADS) {
      const int channel = i / (COLUMNS / 4), j = i % (COLUMNS / 4) * 4;
      set_reals(right, RealType::float32, static_cast<std::size_t>(channel * COLUMNS + j),
                float_weights(p, found, first + channel, tile.column0 + j));
    }
    __syncthreads();
#pragma unroll 1
    for (int channel = 0; channel < here; ++channel) {
      float a[2 * M];
#pragma unroll
      for (int i = 0; i < 2 * M; ++i) a[i] = left[channel * ROWS + tile.row(i / 2, i % 2 * 2) - tile.row0];
#pragma unroll
      for (int k = 0; k < N; ++k) {
        const float2 b =
            *reinterpret_cast<const float2*>(right + channel * COLUMNS + tile.column(k, 0) - tile.column0);
#pragma unroll
        for (int i = 0; i < M; ++i) {
#pragma unroll
          for (int e = 0; e < 4; ++e)
            value[i][k][e] = fmaf(a[2 * i + e / 2], e % 2 == 0 ? b.x : b.y, value[i][k][e]);
        }
      }
    }
    __syncthreads();
  }
}

// --- The end ---

/// Of the tile of codes that a block puts together in shared memory, so that they leave in whole 16 bytes.
template <int COLUMNS>
constexpr int code_stride = COLUMNS + 16;

/// Shared memory that finish_tile() uses.
template <int ROWS, int COLUMNS>
constexpr int finishing_bytes =
    ROWS* code_stride<COLUMNS> > float_bytes<ROWS, COLUMNS> ? ROWS* code_stride<COLUMNS>
                                                            : float_bytes<ROWS, COLUMNS>;

template <int M, int N, bool SEGMENTED>
__device__ inline void write_sums(const Int8Product& p, const TileSums<M, N, SEGMENTED>& tile) {
#pragma unroll
  for (int i = 0; i < M; ++i) {
#pragma unroll
    for (int k = 0; k < N; ++k) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int r = tile.row(i, e), j = tile.column(k, e);
        if (r < p.rows && j < p.columns) {
          static_cast<std::int32_t*>(p.finish.out)[static_cast<std::size_t>(r) * p.finish.stride + j] =
              tile.sum[i][k][e];
        }
      }
    }
  }
}

/// The sums as reals: the bias and the term of the only segment.
template <bool FIXED, int M, int N>
__device__ inline void only_term_of(const Int8Product& p, const TileSums<M, N, false>& tile,
                                    float (&value)[M][N][4]) {
  const Finishing& f = p.finish;
  RowFactors of_row[2 * M];
#pragma unroll
  for (int i = 0; i < 2 * M; ++i) {
    const int r = tile.row(i / 2, i % 2 * 2);
    of_row[i] = factors(f, f.first, r < p.rows ? r : p.rows - 1);
  }
#pragma unroll
  for (int k = 0; k < N; ++k) {
    const int j = tile.column(k, 0) < p.columns ? tile.column(k, 0) : 0;
    const int2 column_sum = *reinterpret_cast<const int2*>(f.column_sums + j);
    const float2 scale = *reinterpret_cast<const float2*>(f.column_scale + j),
                 rest = FIXED ? *reinterpret_cast<const float2*>(f.column_rest + j) : make_float2(0.0f, 0.0f),
                 bias = *reinterpret_cast<const float2*>(f.bias + j);
#pragma unroll
    for (int i = 0; i < 2 * M; ++i) {
      const std::int32_t* sum = tile.sum[i / 2][k] + 2 * (i % 2);
      float* to = value[i / 2][k] + 2 * (i % 2);
      to[0] = add_term<FIXED>(bias.x, sum[0], of_row[i], column_sum.x, scale.x, rest.x);
      to[1] = add_term<FIXED>(bias.y, sum[1], of_row[i], column_sum.y, scale.y, rest.y);
    }
  }
}

/// The sums as reals: the bias and all terms.
template <int M, int N>
__device__ inline void terms_of(const Int8Product& p, const TileSums<M, N, false>& tile,
                                float (&value)[M][N][4]) {
  if (p.finish.first.zero_from == Segment::Zero::fixed) {
    only_term_of<true>(p, tile, value);
  } else {
    only_term_of<false>(p, tile, value);
  }
}
template <int M, int N>
__device__ inline void terms_of(const Int8Product&, const TileSums<M, N, true>& tile,
                                float (&value)[M][N][4]) {
#pragma unroll
  for (int i = 0; i < M; ++i) {
#pragma unroll
    for (int k = 0; k < N; ++k) {
#pragma unroll
      for (int e = 0; e < 4; ++e) value[i][k][e] = tile.value[i][k][e];
    }
  }
}

/// GELU and rounding.
template <int M, int N, bool SEGMENTED>
__device__ inline void map_values(const Int8Product& p, const TileSums<M, N, SEGMENTED>& tile,
                                  float (&value)[M][N][4]) {
  const Finishing& f = p.finish;
  if (f.gelu) {
#pragma unroll
    for (int i = 0; i < M; ++i) {
#pragma unroll
      for (int k = 0; k < N; ++k) {
#pragma unroll
        for (int e = 0; e < 4; ++e) value[i][k][e] = gelu(value[i][k][e]);
      }
    }
  }
  const bool by_column = f.column_grids != nullptr;
  if (!by_column && f.output != Finishing::Output::codes) return;
#pragma unroll
  for (int k = 0; k < N; ++k) {
    const int j = tile.column(k, 0) < p.columns ? tile.column(k, 0) : 0;
    Grid grids[2];
    if (by_column) {
      float2 m[grid_members];
#pragma unroll
      for (int i = 0; i < grid_members; ++i)
        m[i] = *reinterpret_cast<const float2*>(f.column_grids +
                                                static_cast<std::size_t>(i) * f.column_stride + j);
      grids[0] = {m[0].x, m[1].x, m[2].x, m[3].x, m[4].x, m[5].x};
      grids[1] = {m[0].y, m[1].y, m[2].y, m[3].y, m[4].y, m[5].y};
    } else {
      grids[0] = grids[1] = f.grids[j < f.part ? 0 : j / f.part];
    }
#pragma unroll
    for (int i = 0; i < M; ++i) {
#pragma unroll
      for (int e = 0; e < 4; ++e) value[i][k][e] = stored(f, grids[e % 2], value[i][k][e]);
    }
  }
}

/// Writes a block's tile. `shared` has room for finishing_bytes<ROWS, COLUMNS>, and nobody uses it any more;
/// `outliers` is find_outliers()'s.
template <int ROWS, int COLUMNS, int THREADS, int M, int N, bool SEGMENTED>
__device__ inline void finish_tile(const Int8Product& p, const TileSums<M, N, SEGMENTED>& tile,
                                   unsigned char* shared, unsigned char* outliers) {
  const Finishing& f = p.finish;
  if (f.output == Finishing::Output::sums) return write_sums(p, tile);
  float value[M][N][4];
  terms_of(p, tile, value);
  add_floats<ROWS, COLUMNS, THREADS>(p, tile, value, shared, outliers);
  map_values(p, tile, value);
  const bool as_codes = f.output == Finishing::Output::codes;
#pragma unroll
  for (int i = 0; i < M; ++i) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int r = tile.row(i, 2 * half);
      if (r >= p.rows) continue;
#pragma unroll
      for (int k = 0; k < N; ++k) {
        const int j = tile.column(k, 0);
        if (j >= p.columns) continue;
        const float a = value[i][k][2 * half], b = value[i][k][2 * half + 1];
        if (!as_codes) {
          set_pair(f.out, f.type, static_cast<std::size_t>(r) * f.stride + j, a, b);
        } else if (j >= f.code_columns) {
          set_kept(f, r, j, a);
          set_kept(f, r, j + 1, b);
        } else {
          *reinterpret_cast<std::uint16_t*>(shared + (r - tile.row0) * code_stride<COLUMNS> +
                                            (j - tile.column0)) = pack_codes(signed_code(a), signed_code(b));
        }
      }
    }
  }
  if (!as_codes) return;
  __syncthreads();
  constexpr int chunks_per_row = COLUMNS / 16;
  for (int i = static_cast<int>(threadIdx.x); i < ROWS * chunks_per_row; i += THREADS) {
    const int r = i / chunks_per_row, j = i % chunks_per_row * 16;
    if (tile.row0 + r >= p.rows || tile.column0 + j >= p.columns || tile.column0 + j >= f.code_columns)
      continue;
    *reinterpret_cast<uint4*>(static_cast<std::int8_t*>(f.out) +
                              static_cast<std::size_t>(tile.row0 + r) * f.stride + tile.column0 + j) =
        *reinterpret_cast<const uint4*>(shared + r * code_stride<COLUMNS> + j);
  }
}

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
