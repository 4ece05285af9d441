#include "engine/cuda/int8_gemm.h"

#include <string>

#include "core/error.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

namespace {

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

/// Tiles of BM x BN outputs; each warp takes WM x WN of them.
template <int BM, int BN, int WM, int WN>
struct Tile {
  static constexpr int rows = BM, columns = BN, warp_rows = WM, warp_columns = WN;
  static constexpr int warps_down = BM / WM, warps = warps_down * (BN / WN), threads = warps * warp_size;
  static constexpr int stages = 4;
  static constexpr int stage_bytes = (BM + BN) * depth_unit;
  static constexpr int code_stride = BN + 16;  ///< of the tile of codes that is put together at the end
  static constexpr std::size_t shared_bytes =
      stages * stage_bytes > BM * code_stride ? stages * stage_bytes : BM * code_stride;
  static constexpr int m = WM / 16, n = WN / 8;  ///< matrix instructions per warp
  static_assert(m >= 1 && n % 2 == 0, "a load of B serves two instructions");
};

/// Where the 16 bytes `chunk` of a tile's row of 64 lie: two rows fill the 32 banks, and eight rows that ldmatrix reads
/// at once touch each bank once.
__device__ inline int swizzled(int row, int chunk) {
  return row * depth_unit + ((chunk ^ ((row >> 1) & 3)) << 4);
}

/// Starts copying 64 bytes of ROWS rows from `first` on; rows beyond the last are read as the last.
template <int ROWS, int THREADS>
__device__ inline void copy_tile(unsigned char* shared, const std::int8_t* source, int stride, int first, int rows,
                                 int depth) {
  constexpr int chunks = ROWS * (depth_unit / 16);
  const int thread = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int base = 0; base < chunks; base += THREADS) {
    const int i = base + thread;
    if (chunks % THREADS != 0 && i >= chunks) break;
    const int row = i / (depth_unit / 16), chunk = i % (depth_unit / 16);
    const int from = first + row < rows ? first + row : rows - 1;
    copy_async(shared + swizzled(row, chunk),
               source + static_cast<std::size_t>(from) * stride + depth + 16 * chunk);
  }
}

/// SEGMENTED keeps a float beside each int32 sum, and empties the sums into it where a segment ends.
template <typename T, bool SEGMENTED>
__global__ void __launch_bounds__(T::threads) gemm_kernel(const Int8Product p) {
  unsigned char* const shared = shared_memory();
  const int thread = static_cast<int>(threadIdx.x), warp = thread / warp_size, lane = thread % warp_size;
  const int row0 = static_cast<int>(blockIdx.x) * T::rows, column0 = static_cast<int>(blockIdx.y) * T::columns;
  const int warp_row = warp % T::warps_down * T::warp_rows, warp_column = warp / T::warps_down * T::warp_columns;
  const int steps_of_depth = p.depth / depth_unit;

  std::int32_t sum[T::m][T::n][4] = {};
  float value[SEGMENTED ? T::m : 1][SEGMENTED ? T::n : 1][4];

  // Row and column of element e of the instruction (i, k).
  const auto row_of = [&](int i, int e) { return row0 + warp_row + 16 * i + lane / 4 + 8 * (e / 2); };
  const auto column_of = [&](int k, int e) { return column0 + warp_column + 8 * k + 2 * (lane % 4) + e % 2; };

  if constexpr (SEGMENTED) {
#pragma unroll
    for (int i = 0; i < T::m; ++i) {
#pragma unroll
      for (int k = 0; k < T::n; ++k) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int r = row_of(i, e), j = column_of(k, e);
          value[i][k][e] = r < p.rows && j < p.columns ? start_value(p.finish, r, j) : 0.0f;
        }
      }
    }
  }

  const auto copy_step = [&](int step) {
    unsigned char* stage = shared + step % T::stages * T::stage_bytes;
    copy_tile<T::rows, T::threads>(stage, p.a, p.lda, row0, p.rows, step * depth_unit);
    copy_tile<T::columns, T::threads>(stage + T::rows * depth_unit, p.b, p.depth, column0, p.columns,
                                      step * depth_unit);
  };
#pragma unroll
  for (int step = 0; step < T::stages - 1; ++step) {
    if (step < steps_of_depth) copy_step(step);
    commit_copies();
  }

  int segment = 0;
  for (int step = 0; step < steps_of_depth; ++step) {
    wait_copies<T::stages - 2>();
    __syncthreads();
    // The stage that the previous step read is free now.
    if (step + T::stages - 1 < steps_of_depth) copy_step(step + T::stages - 1);
    commit_copies();

    const unsigned char* a_stage = shared + step % T::stages * T::stage_bytes;
    const unsigned char* b_stage = a_stage + T::rows * depth_unit;
#pragma unroll
    for (int half = 0; half < depth_unit / 32; ++half) {
      std::uint32_t a[T::m][4], b[T::n][2];
#pragma unroll
      for (int i = 0; i < T::m; ++i)
        load_matrices(a[i], a_stage + swizzled(warp_row + 16 * i + lane % 16, 2 * half + lane / 16));
#pragma unroll
      for (int k = 0; k < T::n; k += 2) {
        std::uint32_t two[4];
        load_matrices(two, b_stage + swizzled(warp_column + 8 * k + lane % 8 + lane / 16 * 8,
                                              2 * half + lane / 8 % 2));
        b[k][0] = two[0];
        b[k][1] = two[1];
        b[k + 1][0] = two[2];
        b[k + 1][1] = two[3];
      }
#pragma unroll
      for (int i = 0; i < T::m; ++i) {
#pragma unroll
        for (int k = 0; k < T::n; ++k) mma_int8(sum[i][k], a[i], b[k]);
      }
    }

    if constexpr (SEGMENTED) {
      const Segment s = p.finish.segments[segment];
      if (step + 1 == s.end) {
        const std::int32_t* column_sums = p.finish.column_sums + static_cast<std::size_t>(segment) * p.columns;
#pragma unroll
        for (int i = 0; i < T::m; ++i) {
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            const int r = row_of(i, e);
            const RowFactors row = factors(p.finish, s, r < p.rows ? r : p.rows - 1);
#pragma unroll
            for (int k = 0; k < T::n; ++k) {
              const int j = column_of(k, e);
              if (j < p.columns)
                value[i][k][e] =
                    term(sum[i][k][e], row, column_sums[j], p.finish.column_scale[j]) + value[i][k][e];
              sum[i][k][e] = 0;
            }
          }
        }
        ++segment;
      }
    }
  }

  const Finishing& f = p.finish;
  const bool as_codes = f.output == Finishing::Output::codes;
  wait_copies<0>();
  __syncthreads();  // the stages become the tile of codes
#pragma unroll
  for (int i = 0; i < T::m; ++i) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int r = row_of(i, 2 * half);
      if (r >= p.rows) continue;
      const RowFactors row = SEGMENTED ? RowFactors() : factors(f, f.first, r);
#pragma unroll
      for (int k = 0; k < T::n; ++k) {
#pragma unroll
        for (int side = 0; side < 2; ++side) {
          const int e = 2 * half + side, j = column_of(k, e);
          if (j >= p.columns) continue;
          if (f.output == Finishing::Output::sums) {
            static_cast<std::int32_t*>(f.out)[static_cast<std::size_t>(r) * f.stride + j] = sum[i][k][e];
            continue;
          }
          float v;
          if constexpr (SEGMENTED) {
            v = value[i][k][e];
          } else {
            v = term(sum[i][k][e], row, f.column_sums[j], f.column_scale[j]) + f.bias[j];
          }
          if (f.gelu) v = gelu(v);
          if (as_codes) {
            shared[(r - row0) * T::code_stride + (j - column0)] = static_cast<unsigned char>(code_of(f, v, j));
          } else {
            set_real(f.out, f.type, static_cast<std::size_t>(r) * f.stride + j, v);
          }
        }
      }
    }
  }
  if (!as_codes) return;
  __syncthreads();
  constexpr int chunks_per_row = T::columns / 16;
  for (int i = thread; i < T::rows * chunks_per_row; i += T::threads) {
    const int r = i / chunks_per_row, j = i % chunks_per_row * 16;
    if (row0 + r >= p.rows || column0 + j >= p.columns) continue;
    *reinterpret_cast<uint4*>(static_cast<std::int8_t*>(f.out) +
                              static_cast<std::size_t>(row0 + r) * f.stride + column0 + j) =
        *reinterpret_cast<const uint4*>(shared + r * T::code_stride + j);
  }
}

/// Rows are counted along x, whose limit no batch reaches.
__global__ void finish_kernel(const Int8Product p, const std::int32_t* sums) {
  const int j = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x), r = static_cast<int>(blockIdx.x);
  if (j >= p.columns) return;
  const Finishing& f = p.finish;
  const std::size_t plane = static_cast<std::size_t>(round_up(p.rows, 16)) * p.columns,
                    at = static_cast<std::size_t>(r) * p.columns + j, to = static_cast<std::size_t>(r) * f.stride + j;
  if (f.output == Finishing::Output::sums) {
    static_cast<std::int32_t*>(f.out)[to] = sums[at];
    return;
  }
  float v = start_value(f, r, j);
  for (int s = 0; s < f.segment_count; ++s) {
    const Segment segment = f.segment_count == 1 ? f.first : f.segments[s];
    v = term(sums[s * plane + at], factors(f, segment, r),
             f.column_sums[static_cast<std::size_t>(s) * p.columns + j], f.column_scale[j]) +
        v;
  }
  if (f.gelu) v = gelu(v);
  if (f.output == Finishing::Output::codes) {
    static_cast<std::int8_t*>(f.out)[to] = code_of(f, v, j);
  } else {
    set_real(f.out, f.type, to, v);
  }
}

template <typename T>
void start(const Int8Product& p, Stream stream) {
  const Grid3 grid = {static_cast<unsigned>((p.rows + T::rows - 1) / T::rows),
                      static_cast<unsigned>((p.columns + T::columns - 1) / T::columns), 1};
  const bool segmented =
      p.finish.output != Finishing::Output::sums && (p.finish.segment_count > 1 || p.finish.kept_count > 0);
  launch("gemm_kernel", segmented ? gemm_kernel<T, true> : gemm_kernel<T, false>, grid, T::threads,
         T::shared_bytes, stream, p);
}

struct TileChoice {
  const char* name;
  void (*start)(const Int8Product&, Stream);
};

constexpr TileChoice tiles[] = {
    {"128x128", start<Tile<128, 128, 64, 32>>},
    {"128x64", start<Tile<128, 64, 32, 32>>},
    {"64x64", start<Tile<64, 64, 32, 32>>},
    {"32x64", start<Tile<32, 64, 16, 32>>},
    {"16x32", start<Tile<16, 32, 16, 16>>},
};

void check(const Int8Product& p) {
  if (p.depth % depth_unit != 0 || p.columns % 16 != 0 || p.lda % 16 != 0)
    fail_expected("int8 product", "a depth of whole units, columns and rows of whole 16 bytes",
                  std::to_string(p.depth) + ", " + std::to_string(p.columns) + ", " + std::to_string(p.lda));
}

}  // namespace

int tile_count() {
  return static_cast<int>(sizeof tiles / sizeof *tiles);
}

const char* tile_name(int tile) {
  return tiles[tile].name;
}

void multiply_tiled(int tile, const Int8Product& product, Stream stream) {
  check(product);
  if (product.rows > 0) tiles[tile].start(product, stream);
}

void finish_sums(const Int8Product& product, const std::int32_t* sums, Stream stream) {
  check(product);
  if (product.rows == 0) return;
  const Grid3 grid = {static_cast<unsigned>(product.rows), static_cast<unsigned>((product.columns + 127) / 128), 1};
  launch("finish_kernel", finish_kernel, grid, 128, 0, stream, product, sums);
}

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
