#include "engine/cuda/warpgroup_gemm.h"

#include "engine/cuda/finishing.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

namespace {

// Two warpgroups of 64 x 128 outputs; three stages, so that two blocks fit on a multiprocessor.
constexpr int tile_rows = 128, tile_columns = 128, threads = 256, stages = 3;
/// Bytes of depth in a stage: a row of the 128-byte swizzle.
constexpr int step_depth = 128;
constexpr int stage_bytes = (tile_rows + tile_columns) * step_depth;
/// Of the pattern of the swizzle, eight rows; stages begin on it.
constexpr int pattern_bytes = 8 * step_depth;
static_assert(warpgroup_bytes == stages * stage_bytes + pattern_bytes, "three stages and their alignment");
static_assert(stages * stage_bytes >= finishing_bytes<tile_rows, tile_columns>, "the same memory afterwards");

/// Starts copying 128 bytes of 128 rows; in each, the 16 bytes `chunk` go to place chunk ^ (row % 8), as the
/// instruction expects them. Rows beyond the last are read as the last.
__device__ inline void copy_rows(unsigned char* shared, const std::int8_t* source, int stride, int first,
                                 int rows, int depth) {
  constexpr int chunks = step_depth / 16;
#pragma unroll
  for (int base = 0; base < tile_rows * chunks; base += threads) {
    const int i = base + static_cast<int>(threadIdx.x), row = i / chunks, chunk = i % chunks;
    const int from = first + row < rows ? first + row : rows - 1;
    copy_async(shared + row * step_depth + ((chunk ^ (row % 8)) << 4),
               source + static_cast<std::size_t>(from) * stride + depth + 16 * chunk);
  }
}

template <bool SEGMENTED>
__global__ void __launch_bounds__(threads, SEGMENTED ? 1 : 2) warpgroup_kernel(const Int8Product p) {
  unsigned char* shared = shared_memory();
  shared += (pattern_bytes - shared_address(shared) % pattern_bytes) % pattern_bytes;
  const int warp = static_cast<int>(threadIdx.x) / warp_size;
  TileSums<1, tile_columns / 8, SEGMENTED> tile;
  tile.row0 = static_cast<int>(blockIdx.x) * tile_rows;
  tile.column0 = static_cast<int>(blockIdx.y) * tile_columns;
  tile.warp_row = 16 * warp;  // a warpgroup's four warps hold 16 rows each
  tile.warp_column = 0;
  tile.lane = static_cast<int>(threadIdx.x) % warp_size;
  tile.start(p);

  const int steps_of_depth = p.depth / step_depth;
  const auto copy_step = [&](int step) {
    unsigned char* stage = shared + step % stages * stage_bytes;
    copy_rows(stage, p.a, p.lda, tile.row0, p.rows, step * step_depth);
    copy_rows(stage + tile_rows * step_depth, p.b, p.depth, tile.column0, p.columns, step * step_depth);
  };
#pragma unroll
  for (int step = 0; step < stages - 1; ++step) {
    if (step < steps_of_depth) copy_step(step);
    commit_copies();
  }
  find_outliers<tile_rows, threads>(p, tile.row0, shared + stages * stage_bytes);
  for (int step = 0; step < steps_of_depth; ++step) {
    wait_copies<stages - 2>();
    fence_for_matrices();  // what this thread has copied is seen by the matrix unit
    __syncthreads();
    // The stage that the previous step read is free now: every warpgroup has waited for its products.
    if (step + stages - 1 < steps_of_depth) copy_step(step + stages - 1);
    commit_copies();
    const unsigned char* a = shared + step % stages * stage_bytes + warp / 4 * 64 * step_depth;
    const unsigned char* b = shared + step % stages * stage_bytes + tile_rows * step_depth;
    pin_sums(tile.sum[0]);
    fence_warpgroup();
#pragma unroll
    for (int k = 0; k < step_depth; k += 32)
      multiply_warpgroup(tile.sum[0], matrix_at(a + k), matrix_at(b + k));
    commit_warpgroup();
    wait_warpgroup();
    pin_sums(tile.sum[0]);
    tile.end_step(p, (step + 1) * (step_depth / depth_unit));
  }
  wait_copies<0>();
  __syncthreads();
  finish_tile<tile_rows, tile_columns, threads>(p, tile, shared, shared + stages * stage_bytes);
}

}  // namespace

bool warpgroups_can(const Int8Product& product, const DeviceFacts& device) {
#ifdef OUTLIERLAB_WARPGROUPS
  constexpr bool built = true;
#else
  constexpr bool built = false;
#endif
  return built && device.major == 9 && device.minor == 0 && product.depth % step_depth == 0 &&
         product.finish.whole_segments;
}

void multiply_by_warpgroups(const Int8Product& product, Stream stream) {
  const Grid3 grid = {static_cast<unsigned>((product.rows + tile_rows - 1) / tile_rows),
                      static_cast<unsigned>((product.columns + tile_columns - 1) / tile_columns), 1};
  launch("warpgroup_kernel", needs_floats(product) ? warpgroup_kernel<true> : warpgroup_kernel<false>, grid,
         threads, warpgroup_bytes + outlier_bytes(product), stream, product);
}

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
