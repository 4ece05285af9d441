// Matrix tiles: four sums of 16 x 16 int32 or float32, two tiles of 16 rows on either side.
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "engine/cpu/peak.h"

namespace outlierlab::engine::amx {

namespace {

constexpr int tiles = 4;

struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

void configure() {
  TileConfig config;
  for (int t = 0; t < 8; ++t) {
    config.row_bytes[t] = 64;
    config.rows[t] = 16;
  }
  asm volatile("ldtilecfg %0" ::"m"(config));
  asm volatile(
      "tilezero %tmm0\n\ttilezero %tmm1\n\ttilezero %tmm2\n\ttilezero %tmm3\n\t"
      "tilezero %tmm4\n\ttilezero %tmm5\n\ttilezero %tmm6\n\ttilezero %tmm7");
}

void int8_rounds(std::size_t rounds) {
  configure();
  for (std::size_t i = 0; i < rounds; ++i) {
    asm volatile(
        "tdpbusd %tmm6, %tmm4, %tmm0\n\ttdpbusd %tmm7, %tmm4, %tmm1\n\t"
        "tdpbusd %tmm6, %tmm5, %tmm2\n\ttdpbusd %tmm7, %tmm5, %tmm3");
  }
  asm volatile("tilerelease");
}

void bf16_rounds(std::size_t rounds) {
  configure();
  for (std::size_t i = 0; i < rounds; ++i) {
    asm volatile(
        "tdpbf16ps %tmm6, %tmm4, %tmm0\n\ttdpbf16ps %tmm7, %tmm4, %tmm1\n\t"
        "tdpbf16ps %tmm6, %tmm5, %tmm2\n\ttdpbf16ps %tmm7, %tmm5, %tmm3");
  }
  asm volatile("tilerelease");
}

}  // namespace

bool may_use_tiles() {
  // arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA): Linux hands the tiles out on request only.
  constexpr long request_permission = 0x1023, tile_data = 18;
  static const bool granted = ::syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
  return granted;
}

const PeakLoop int8_loop = {PeakKind::int8, "tdpbusd", 2.0 * 16 * 16 * 64 * tiles, int8_rounds};
const PeakLoop bf16_loop = {PeakKind::bfloat16, "tdpbf16ps", 2.0 * 16 * 16 * 32 * tiles, bf16_rounds};

}  // namespace outlierlab::engine::amx
