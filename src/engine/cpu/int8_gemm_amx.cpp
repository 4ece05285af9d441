// Products of codes on AMX tiles (sixteen rows by sixteen columns by 64 codes an instruction). A weight's
// panels are those of the VNNI kernels with the depth padded to whole tiles, so that few rows can take the
// vector kernel.
//
// The sums of a block of tiles are finished (scales, bias, GELU, codes) by the vector units while the tile
// unit multiplies the next block: neither waits for the other.
#include <cstddef>
#include <cstdint>

#define OUTLIERLAB_ISA_NAMESPACE amx
#include "engine/cpu/vnni_steps.h"

// After the steps, which it is written in.
#include "engine/cpu/amx_tiles.h"
#include "engine/cpu/int8_gemm_impl.h"

namespace outlierlab::engine::amx {
using namespace outlierlab::amx;

namespace {

constexpr std::size_t block_rows = 2 * tile_rows, block_panels = 2;

std::size_t tile_steps(std::size_t depth) {
  return (depth + tile_depth - 1) / tile_depth;
}
std::size_t panel_size(std::size_t depth) {
  return tile_steps(depth) * tile_bytes;
}
std::size_t weight_bytes(std::size_t depth, std::size_t cols) {
  return (cols + panel_cols - 1) / panel_cols * panel_size(depth);
}

std::size_t weight_panel(const void* /*packed*/, std::size_t depth) {
  return panel_size(depth);
}

std::size_t pack_weight(const std::int8_t* source, std::size_t stride, std::size_t cols, std::size_t depth,
                        int flip, void* packed) {
  const std::size_t dense = int8_packed_bytes<Steps>(depth, panel_cols), whole = panel_size(depth);
  for (std::size_t j = 0; j < cols; j += panel_cols) {
    char* panel = static_cast<char*>(packed) + j / panel_cols * whole;
    __builtin_memset(panel + dense, 0, whole - dense);
    int8_pack_transposed<Steps>(source + j * stride, stride, cols - j < panel_cols ? cols - j : panel_cols,
                                depth, flip, panel);
  }
  return weight_bytes(depth, cols);
}

/// A block of sums that wait to be finished.
template <typename End>
class Waiting {
 public:
  Waiting(const Int8Product& p, const GeluCoefficients* gelu) : p_(p), gelu_(gelu) {}

  /// Where the next block of sums is to be stored: panels of block_rows vectors.
  std::int32_t* next_sums() { return sums_[1 - current_]; }
  /// The next block has been stored: rows [first, first + rows) of it from row `skip` on are wanted.
  void take(std::size_t first_row, std::size_t skip, std::size_t rows, std::size_t first_col,
            std::size_t panels) {
    current_ = 1 - current_;
    first_row_ = first_row;
    skip_ = row_ = skip;
    rows_ = rows;
    first_col_ = first_col;
    panel_ = 0;
    left_ = (rows - skip) * panels;
  }
  std::size_t left() const { return left_; }

  /// Finishes up to `count` vectors.
  inline void finish(std::size_t count) {
    if (count > left_) count = left_;
    left_ -= count;
    while (count > 0) {
      const std::size_t here = count < rows_ - row_ ? count : rows_ - row_;
      const std::size_t j = first_col_ + panel_ * panel_cols;
      const std::int32_t* sums = sums_[current_] + panel_ * block_rows * panel_cols;
      if (p_.cols - j >= panel_cols) {
        for (std::size_t r = row_; r < row_ + here; ++r) one(sums, r, j, static_cast<int>(panel_cols));
      } else {
        for (std::size_t r = row_; r < row_ + here; ++r) one(sums, r, j, static_cast<int>(p_.cols - j));
      }
      count -= here;
      row_ += here;
      if (row_ == rows_) {
        row_ = skip_;
        ++panel_;
      }
    }
  }

 private:
  inline void one(const std::int32_t* sums, std::size_t r, std::size_t j, int kept) const {
    finish_vector<End>(p_, load_sum(sums + r * panel_cols), first_row_ + r, j, kept, gelu_);
  }

  const Int8Product& p_;
  const GeluCoefficients* gelu_;
  std::size_t first_row_ = 0, skip_ = 0, row_ = 0, rows_ = 0, first_col_ = 0, panel_ = 0, left_ = 0;
  int current_ = 0;
  alignas(64) std::int32_t sums_[2][block_panels * block_rows * panel_cols];
};

/// ROWS x PANELS tiles: sums of the whole depth, while vectors of the block before are finished.
template <int ROWS, int PANELS, typename Waiting>
inline void multiply_block(const std::uint8_t* a, std::size_t lda, const char* b, std::size_t depth,
                           Waiting& waiting) {
  const std::size_t steps = tile_steps(depth), panel = panel_size(depth);
  const std::size_t share = (waiting.left() + steps - 1) / steps;
  _tile_zero(0);
  if constexpr (PANELS == 2) _tile_zero(1);
  if constexpr (ROWS == 2) _tile_zero(2);
  if constexpr (ROWS == 2 && PANELS == 2) _tile_zero(3);
  for (std::size_t s = 0; s < steps; ++s) {
    _tile_loadd(6, b + s * tile_bytes, 64);
    _tile_loadd(4, a + s * tile_depth, lda);
    _tile_dpbusd(0, 4, 6);
    if constexpr (PANELS == 2) {
      _tile_loadd(7, b + panel + s * tile_bytes, 64);
      _tile_dpbusd(1, 4, 7);
    }
    if constexpr (ROWS == 2) {
      _tile_loadd(5, a + tile_rows * lda + s * tile_depth, lda);
      _tile_dpbusd(2, 5, 6);
      if constexpr (PANELS == 2) _tile_dpbusd(3, 5, 7);
    }
    waiting.finish(share);
  }
  std::int32_t* sums = waiting.next_sums();
  constexpr std::size_t second_rows = tile_rows * panel_cols, second_panel = block_rows * panel_cols;
  _tile_stored(0, sums, 64);
  if constexpr (ROWS == 2) _tile_stored(2, sums + second_rows, 64);
  if constexpr (PANELS == 2) _tile_stored(1, sums + second_panel, 64);
  if constexpr (ROWS == 2 && PANELS == 2) _tile_stored(3, sums + second_panel + second_rows, 64);
}

template <typename End>
void multiply_tiles(const Int8Product& p, const GeluCoefficients* gelu) {
  const std::size_t panel = panel_size(p.depth);
  Waiting<End> waiting(p, gelu);
  for (std::size_t j = 0; j < p.cols; j += block_panels * panel_cols) {
    const char* b = static_cast<const char*>(p.b) + j / panel_cols * panel;
    const std::size_t panels = p.cols - j > panel_cols ? 2 : 1;
    for (std::size_t r = 0; r < p.rows;) {
      // The last tiles begin early enough to be whole; rows that were finished before are skipped.
      const std::size_t left = p.rows - r;
      const std::size_t tiles = left > tile_rows && p.rows >= block_rows ? 2 : 1;
      const std::size_t whole = tiles * tile_rows;
      const std::size_t first = left < whole ? p.rows - whole : r;
      const std::uint8_t* a = p.a + first * p.lda;
      if (tiles == 2 && panels == 2) {
        multiply_block<2, 2>(a, p.lda, b, p.depth, waiting);
      } else if (tiles == 2) {
        multiply_block<2, 1>(a, p.lda, b, p.depth, waiting);
      } else if (panels == 2) {
        multiply_block<1, 2>(a, p.lda, b, p.depth, waiting);
      } else {
        multiply_block<1, 1>(a, p.lda, b, p.depth, waiting);
      }
      waiting.take(first, r - first, whole, j, panels);
      r = first + whole;
    }
  }
  waiting.finish(waiting.left());
}

/// Fewer rows than a tile has: the vector kernel, on the same panels.
void multiply_few(const Int8Product& p) {
  const std::size_t panel = panel_size(p.depth);
  with_ending(p, [&](auto end, const GeluCoefficients* gelu) {
    using End = decltype(end);
    const Words a{reinterpret_cast<const char*>(p.a), p.lda};
    for (std::size_t j = 0; j < p.cols; j += Steps::panels * panel_cols) {
      const char* b = static_cast<const char*>(p.b) + j / panel_cols * panel;
      if (p.cols - j > panel_cols) {
        int8_panels<Steps, End, Steps::panels>(p, a, b, panel, j, gelu);
      } else {
        int8_panels<Steps, End, 1>(p, a, b, panel, j, gelu);
      }
    }
  });
}

void multiply_weight(const Int8Product& p) {
  if (p.rows < tile_rows) return multiply_few(p);
  const TileScope tiles;
  with_ending(p, [&](auto end, const GeluCoefficients* gelu) { multiply_tiles<decltype(end)>(p, gelu); });
}

void multiply(const Int8Product& p) {
  multiply_words<Steps>(p, {reinterpret_cast<const char*>(p.a), p.lda});
}

}  // namespace

const Int8Kernels int8_kernels = {"amx",
                                  int8_packed_bytes<Steps>,
                                  int8_pack_transposed<Steps>,
                                  int8_pack_rows<Steps>,
                                  multiply,
                                  weight_bytes,
                                  pack_weight,
                                  weight_panel,
                                  multiply_weight};

}  // namespace outlierlab::engine::amx
