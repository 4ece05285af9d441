// Products of bfloat16 on AMX tiles: sixteen rows by sixteen columns by 32 values an instruction.
#include <cstddef>
#include <cstdint>

#define OUTLIERLAB_ISA_NAMESPACE amx
#include "engine/cpu/amx_tiles.h"
#include "engine/cpu/bf16_gemm.h"
#include "engine/cpu/bf16_gemm_impl.h"

namespace outlierlab::engine::amx {
using namespace outlierlab::amx;

namespace {

constexpr std::size_t unit = tile_depth / 2, block_rows = 2 * tile_rows, block_panels = 2;

std::size_t rows_of_tiles(std::size_t rows) {
  return rows < tile_rows ? tile_rows : rows;
}

/// The sums of ROWS x PANELS tiles, stored as panels of block_rows rows.
template <int ROWS, int PANELS>
inline void multiply_block(const std::uint16_t* a, std::size_t width, const char* b, std::size_t panel,
                           float* sums) {
  const std::size_t lda = 2 * width;  // bytes
  _tile_zero(0);
  if constexpr (PANELS == 2) _tile_zero(1);
  if constexpr (ROWS == 2) _tile_zero(2);
  if constexpr (ROWS == 2 && PANELS == 2) _tile_zero(3);
  for (std::size_t at = 0; at < panel; at += tile_bytes) {
    const std::uint16_t* from = a + at / tile_bytes * unit;
    _tile_loadd(6, b + at, 64);
    _tile_loadd(4, from, lda);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (PANELS == 2) {
      _tile_loadd(7, b + panel + at, 64);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (ROWS == 2) {
      _tile_loadd(5, from + tile_rows * width, lda);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (PANELS == 2) _tile_dpbf16ps(3, 5, 7);
    }
  }
  constexpr std::size_t second_rows = tile_rows * panel_cols, second_panel = block_rows * panel_cols;
  _tile_stored(0, sums, 64);
  if constexpr (ROWS == 2) _tile_stored(2, sums + second_rows, 64);
  if constexpr (PANELS == 2) _tile_stored(1, sums + second_panel, 64);
  if constexpr (ROWS == 2 && PANELS == 2) _tile_stored(3, sums + second_panel + second_rows, 64);
}

/// The first `stored` of `rows` rows, at least a tile's, go to c.
void multiply_tiles(const std::uint16_t* a, std::size_t rows, std::size_t stored, std::size_t steps,
                    const char* b, std::size_t cols, const float* bias, float* c, std::size_t ldc) {
  const TileScope tiles;
  const std::size_t width = 2 * steps, panel = steps * step_bytes;
  alignas(64) float sums[block_panels * block_rows * panel_cols];
  for (std::size_t j = 0; j < cols; j += block_panels * panel_cols) {
    const char* panels = b + j / panel_cols * panel;
    const bool two_panels = cols - j > panel_cols;
    for (std::size_t r = 0; r < rows;) {
      // The last tiles begin early enough to be whole: some rows are computed twice, to the same values.
      const bool two_rows = rows - r > tile_rows && rows >= block_rows;
      const std::size_t whole = two_rows ? block_rows : tile_rows;
      const std::size_t first = rows - r < whole ? rows - whole : r;
      const std::uint16_t* from = a + first * width;
      if (two_rows && two_panels) {
        multiply_block<2, 2>(from, width, panels, panel, sums);
      } else if (two_rows) {
        multiply_block<2, 1>(from, width, panels, panel, sums);
      } else if (two_panels) {
        multiply_block<1, 2>(from, width, panels, panel, sums);
      } else {
        multiply_block<1, 1>(from, width, panels, panel, sums);
      }
      for (std::size_t q = 0; q < (two_panels ? 2 : 1); ++q) {
        const std::size_t column = j + q * panel_cols;
        const int kept = cols - column < panel_cols ? static_cast<int>(cols - column) : lanes;
        const F16 offset = bias ? load_first(bias + column, kept) : splat(0.0f);
        for (std::size_t i = 0; i < whole && first + i < stored; ++i)
          store_first(c + (first + i) * ldc + column, load(sums + (q * block_rows + i) * panel_cols) + offset,
                      kept);
      }
      r = first + whole;
    }
  }
}

void multiply(const float* a, std::size_t lda, std::size_t rows, std::size_t depth, const void* packed,
              std::size_t cols, const float* bias, float* c, std::size_t ldc, std::uint16_t* scratch) {
  const std::size_t steps = bf16_steps<unit>(depth), padded = rows_of_tiles(rows);
  round_rows(a, lda, rows, depth, steps, scratch);
  // Few rows take the tiles, too, so that a row's sums do not depend on its companions.
  __builtin_memset(scratch + rows * 2 * steps, 0, (padded - rows) * 2 * steps * sizeof(std::uint16_t));
  // GCC's tile loads do not say that they read memory.
  asm volatile("" ::: "memory");
  multiply_tiles(scratch, padded, rows, steps, static_cast<const char*>(packed), cols, bias, c, ldc);
}

std::size_t scratch_size(std::size_t rows, std::size_t depth) {
  return bf16_scratch_size<unit>(rows_of_tiles(rows), depth);
}

}  // namespace

const Bf16Kernels bf16_kernels = {"amx-bf16", bf16_packed_bytes<unit>, bf16_pack<unit>, scratch_size,
                                  multiply};

}  // namespace outlierlab::engine::amx
