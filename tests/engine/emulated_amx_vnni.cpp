// The AMX kernels where no CPU has AMX: their source as it is, in a namespace of its own, over loops.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

namespace {

struct TileBytes {
  unsigned char bytes[16][64];
};
thread_local TileBytes tiles[8];
thread_local bool configured = false;

/// Every bit of a tile that was not configured or loaded is garbage.
void forget() {
  std::memset(tiles, 0xa5, sizeof tiles);
}

void tile_loadconfig(const void* configuration) {
  const auto* bytes = static_cast<const unsigned char*>(configuration);
  configured = bytes[0] == 1;
  for (int t = 0; t < 8; ++t) {
    std::uint16_t row_bytes;
    std::memcpy(&row_bytes, bytes + 16 + 2 * t, 2);
    configured = configured && row_bytes == 64 && bytes[48 + t] == 16;
  }
  forget();
}

void tile_release() {
  configured = false;
  forget();
}

void tile_zero(int t) {
  std::memset(&tiles[t], configured ? 0 : 0xa5, sizeof(TileBytes));
}

void tile_loadd(int t, const void* base, std::size_t stride) {
  for (std::size_t r = 0; r < 16; ++r)
    std::memcpy(tiles[t].bytes[r], static_cast<const char*>(base) + r * stride, 64);
}

void tile_stored(int t, void* base, std::size_t stride) {
  for (std::size_t r = 0; r < 16; ++r)
    std::memcpy(static_cast<char*>(base) + r * stride, tiles[t].bytes[r], 64);
}

/// Unsigned by signed bytes, four products to each int32.
void tile_dpbusd(int sums, int left, int right) {
  for (std::size_t r = 0; r < 16; ++r) {
    for (std::size_t c = 0; c < 16; ++c) {
      std::int32_t sum;
      std::memcpy(&sum, tiles[sums].bytes[r] + 4 * c, 4);
      for (std::size_t k = 0; k < 64; ++k)
        sum += tiles[left].bytes[r][k] * static_cast<signed char>(tiles[right].bytes[k / 4][4 * c + k % 4]);
      std::memcpy(tiles[sums].bytes[r] + 4 * c, &sum, 4);
    }
  }
}

}  // namespace

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbusd
#define _tile_loadconfig tile_loadconfig
#define _tile_release tile_release
#define _tile_zero tile_zero
#define _tile_loadd tile_loadd
#define _tile_stored tile_stored
#define _tile_dpbusd tile_dpbusd
#define amx emulated_amx

#include "engine/cpu/int8_gemm_amx.cpp"

#undef amx

#include "engine/emulated_amx.h"

namespace outlierlab::test {

const engine::Int8Kernels& emulated_amx_kernels() {
  return engine::emulated_amx::int8_kernels;
}

}  // namespace outlierlab::test
