#include "engine/cuda/int8_gemm.h"

#include <string>

#include "core/error.h"
#include "engine/cuda/finishing.h"
#include "engine/cuda/warpgroup_gemm.h"
#include "engine/two_floats.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

namespace {

/// Tiles of BM x BN outputs; each warp takes WM x WN of them.
template <int BM, int BN, int WM, int WN>
struct Tile {
  static constexpr int rows = BM, columns = BN, warp_rows = WM, warp_columns = WN;
  static constexpr int warps_down = BM / WM, warps = warps_down * (BN / WN), threads = warps * warp_size;
  static constexpr int stage_bytes = (BM + BN) * depth_unit;
  // A small tile's blocks are few, and each waits for memory alone.
  static constexpr int stages = stage_bytes <= 6 * 1024 ? 8 : stage_bytes <= 8 * 1024 ? 6 : 4;
  static constexpr int shared_bytes = stages * stage_bytes;
  static_assert(shared_bytes >= finishing_bytes<BM, BN>, "the stages' memory is the finishing's afterwards");
  static constexpr int m = WM / 16, n = WN / 8;  ///< matrix instructions per warp
  static_assert(m >= 1 && n % 2 == 0, "a load of B serves two instructions");
};

/// Where the 16 bytes `chunk` of a tile's row of 64 lie: two rows fill the 32 banks, and eight rows that
/// ldmatrix reads at once touch each bank once.
__device__ inline int swizzled(int row, int chunk) {
  return row * depth_unit + ((chunk ^ ((row >> 1) & 3)) << 4);
}

/// Starts copying 64 bytes of ROWS rows from `first` on; rows beyond the last are read as the last.
template <int ROWS, int THREADS>
__device__ inline void copy_tile(unsigned char* shared, const std::int8_t* source, int stride, int first,
                                 int rows, int depth) {
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
  const int warp = static_cast<int>(threadIdx.x) / warp_size,
            lane = static_cast<int>(threadIdx.x) % warp_size;
  TileSums<T::m, T::n, SEGMENTED> tile;
  tile.row0 = static_cast<int>(blockIdx.x) * T::rows;
  tile.column0 = static_cast<int>(blockIdx.y) * T::columns;
  tile.warp_row = warp % T::warps_down * T::warp_rows;
  tile.warp_column = warp / T::warps_down * T::warp_columns;
  tile.lane = lane;
  tile.start(p);

  const int steps_of_depth = p.depth / depth_unit;
  const auto copy_step = [&](int step) {
    unsigned char* stage = shared + step % T::stages * T::stage_bytes;
    copy_tile<T::rows, T::threads>(stage, p.a, p.lda, tile.row0, p.rows, step * depth_unit);
    copy_tile<T::columns, T::threads>(stage + T::rows * depth_unit, p.b, p.depth, tile.column0, p.columns,
                                      step * depth_unit);
  };
#pragma unroll
  for (int step = 0; step < T::stages - 1; ++step) {
    if (step < steps_of_depth) copy_step(step);
    commit_copies();
  }
  // While the first copies are under way.
  find_outliers<T::rows, T::threads>(p, tile.row0, shared + T::shared_bytes);
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
        load_matrices(a[i], a_stage + swizzled(tile.warp_row + 16 * i + lane % 16, 2 * half + lane / 16));
#pragma unroll
      for (int k = 0; k < T::n; k += 2) {
        std::uint32_t two[4];
        load_matrices(two, b_stage + swizzled(tile.warp_column + 8 * k + lane % 8 + lane / 16 * 8,
                                              2 * half + lane / 8 % 2));
        b[k][0] = two[0];
        b[k][1] = two[1];
        b[k + 1][0] = two[2];
        b[k + 1][1] = two[3];
      }
#pragma unroll
      for (int i = 0; i < T::m; ++i) {
#pragma unroll
        for (int k = 0; k < T::n; ++k) mma_int8(tile.sum[i][k], a[i], b[k]);
      }
    }
    tile.end_step(p, step + 1);
  }
  wait_copies<0>();
  __syncthreads();  // the stages become the tile of codes
  finish_tile<T::rows, T::columns, T::threads>(p, tile, shared, shared + T::shared_bytes);
}

/// Rows are counted along x, whose limit no batch reaches.
__global__ void finish_kernel(const Int8Product p, const std::int32_t* sums) {
  const int j = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x), r = static_cast<int>(blockIdx.x);
  if (j >= p.columns) return;
  const Finishing& f = p.finish;
  const std::size_t plane = static_cast<std::size_t>(padded_rows(p.rows)) * p.columns,
                    at = static_cast<std::size_t>(r) * p.columns + j,
                    to = static_cast<std::size_t>(r) * f.stride + j;
  if (f.output == Finishing::Output::sums) {
    static_cast<std::int32_t*>(f.out)[to] = sums[at];
    return;
  }
  float v = f.bias[j];
  for (int s = 0; s < f.segment_count; ++s) {
    const Segment segment = f.segment_count == 1 ? f.first : f.segments[s];
    const std::size_t column = static_cast<std::size_t>(s) * p.columns + j;
    v = segment.zero_from == Segment::Zero::fixed
            ? add_term<true>(v, sums[s * plane + at], {}, f.column_sums[column], f.column_scale[column],
                             f.column_rest[column])
            : add_term<false>(v, sums[s * plane + at], factors(f, segment, r), f.column_sums[column],
                              f.column_scale[column], 0.0f);
  }
  for (int i = 0; i < f.kept_count; ++i)
    v = fmaf(f.kept[static_cast<std::size_t>(r) * f.kept_count + i],
             f.kept_weights[static_cast<std::size_t>(i) * p.columns + j], v);
  if (f.outliers.count) {
    const std::size_t row = static_cast<std::size_t>(r) * f.outliers.stride;
    for (int i = 0; i < f.outliers.count[r]; ++i) {
      const std::size_t channel = f.outliers.channels[row + i];
      v = fmaf(f.outliers.values[row + i],
               f.column_scale[j] * static_cast<float>(f.codes_by_channel[channel * p.columns + j]), v);
    }
  }
  if (f.gelu) v = gelu(v);
  const bool as_codes = f.output == Finishing::Output::codes;
  if (f.column_grids) {
    Format by_column;
    by_column.column_grids = f.column_grids;
    by_column.column_stride = f.column_stride;
    v = stored(f, column_grid(by_column, j), v);
  } else if (as_codes) {
    v = stored(f, f.grids[j < f.part ? 0 : j / f.part], v);
  }
  if (!as_codes) {
    set_real(f.out, f.type, to, v);
  } else if (j >= f.code_columns) {
    set_kept(f, r, j, v);
  } else {
    static_cast<std::int8_t*>(f.out)[to] = signed_code(v);
  }
}

template <typename T>
void start(const Int8Product& p, Stream stream) {
  const Grid3 grid = {static_cast<unsigned>((p.rows + T::rows - 1) / T::rows),
                      static_cast<unsigned>((p.columns + T::columns - 1) / T::columns), 1};
  launch("gemm_kernel", needs_floats(p) ? gemm_kernel<T, true> : gemm_kernel<T, false>, grid, T::threads,
         T::shared_bytes + outlier_bytes(p), stream, p);
}

struct TileChoice {
  const char* name;
  int rows, columns, shared_bytes;
  void (*start)(const Int8Product&, Stream);
};

template <typename T>
constexpr TileChoice choice(const char* name) {
  return {name, T::rows, T::columns, T::shared_bytes, start<T>};
}

constexpr TileChoice tiles[] = {
    choice<Tile<128, 128, 64, 32>>("mma 128x128"),
    choice<Tile<128, 64, 32, 32>>("mma 128x64"),
    choice<Tile<64, 64, 32, 32>>("mma 64x64"),
    choice<Tile<32, 64, 16, 32>>("mma 32x64"),
    choice<Tile<16, 32, 16, 16>>("mma 16x32"),
    {"wgmma 128x128", 128, 128, warpgroup_bytes, multiply_by_warpgroups},
};
constexpr int warpgroup_tile = 5;

void check(const Int8Product& p) {
  if (p.depth % depth_unit != 0 || p.columns % 16 != 0 || p.lda % 16 != 0)
    fail_expected("int8 product", "a depth of whole units, columns and rows of whole 16 bytes",
                  std::to_string(p.depth) + ", " + std::to_string(p.columns) + ", " + std::to_string(p.lda));
}

}  // namespace

ColumnTerms column_terms(const std::vector<Segment>& segments, const std::vector<std::int32_t>& sums,
                         const std::vector<float>& weight_scale) {
  const std::size_t columns = weight_scale.size();
  ColumnTerms terms = {sums, std::vector<float>(sums.size(), 0.0f), std::vector<float>(sums.size(), 0.0f)};
  for (std::size_t s = 0; s < segments.size(); ++s) {
    const bool fixed = segments[s].zero_from == Segment::Zero::fixed;
    for (std::size_t j = 0; j < columns; ++j) {
      const std::size_t at = s * columns + j;
      if (fixed) terms.sums[at] = -segments[s].zero * sums[at];
      const TwoFloats factor(static_cast<double>(segments[s].scale) * weight_scale[j]);
      terms.scale[at] = factor.value;
      terms.rest[at] = factor.rest;
    }
  }
  return terms;
}

int tile_count() {
  return static_cast<int>(sizeof tiles / sizeof *tiles);
}

const char* tile_name(int tile) {
  return tiles[tile].name;
}

bool tile_can(int tile, const Int8Product& product, const DeviceFacts& device) {
  return tiles[tile].shared_bytes + outlier_bytes(product) <= device.shared_bytes &&
         (tile != warpgroup_tile || warpgroups_can(product, device));
}

int full_tile(const Int8Product& product, const DeviceFacts& device) {
  int tile = 0;
  const auto blocks = [&] {
    return ((product.rows + tiles[tile].rows - 1) / tiles[tile].rows) *
           ((product.columns + tiles[tile].columns - 1) / tiles[tile].columns);
  };
  while (tile + 1 < warpgroup_tile && (blocks() < device.multiprocessors || !tile_can(tile, product, device)))
    ++tile;
  return tile;
}

void multiply_tiled(int tile, const Int8Product& product, Stream stream) {
  check(product);
  if (product.rows > 0) tiles[tile].start(product, stream);
}

void finish_sums(const Int8Product& product, const std::int32_t* sums, Stream stream) {
  check(product);
  if (product.rows == 0) return;
  const Grid3 grid = {static_cast<unsigned>(product.rows),
                      static_cast<unsigned>((product.columns + 127) / 128), 1};
  launch("finish_kernel", finish_kernel, grid, 128, 0, stream, product, sums);
}

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
