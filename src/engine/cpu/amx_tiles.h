// AMX tiles as the kernels use them: eight tiles of sixteen rows of 64 bytes.
#pragma once

#include <immintrin.h>

#include <cstddef>

namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE {

constexpr std::size_t tile_rows = 16, tile_depth = 64, tile_bytes = 1024;

/// Configures the calling thread's tiles, and gives them back: a thread that holds tiles costs more to
/// switch.
class TileScope {
 public:
  TileScope() {
    struct alignas(64) Configuration {
      unsigned char palette = 1, start_row = 0, reserved[14] = {};
      unsigned short row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      unsigned char rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    };
    static const Configuration configuration;
    _tile_loadconfig(&configuration);
  }
  ~TileScope() { _tile_release(); }
  TileScope(const TileScope&) = delete;
  TileScope& operator=(const TileScope&) = delete;
};

}  // namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE
