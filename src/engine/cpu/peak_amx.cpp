// Matrix tiles: four sums of 16 x 16 int32 or float32, two tiles of 16 rows on either side.
#define OUTLIERLAB_ISA_NAMESPACE amx
#include "engine/cpu/amx_tiles.h"
#include "engine/cpu/peak.h"

namespace outlierlab::engine::amx {

namespace {

constexpr int tiles = 4;

void int8_rounds(std::size_t rounds) {
  const outlierlab::amx::TileScope scope;  // which also makes all tiles zero
  for (std::size_t i = 0; i < rounds; ++i) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
}

void bf16_rounds(std::size_t rounds) {
  const outlierlab::amx::TileScope scope;
  for (std::size_t i = 0; i < rounds; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}

}  // namespace

const PeakLoop int8_loop = {PeakKind::int8, "tdpbusd", 2.0 * 16 * 16 * 64 * tiles, int8_rounds};
const PeakLoop bf16_loop = {PeakKind::bfloat16, "tdpbf16ps", 2.0 * 16 * 16 * 32 * tiles, bf16_rounds};

}  // namespace outlierlab::engine::amx
