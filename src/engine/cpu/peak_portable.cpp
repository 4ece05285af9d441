#define OUTLIERLAB_ISA_NAMESPACE portable
#include "core/simd.h"
#include "engine/cpu/peak.h"

namespace outlierlab::engine::portable {
using namespace outlierlab::portable;

namespace {

constexpr int sums = 2;

void float_rounds(std::size_t rounds) {
  F16 sum[sums];
  for (F16& s : sum) s = splat(0.0f);
  const volatile float seed = 1e-3f;
  const F16 x = splat(seed);
  for (std::size_t i = 0; i < rounds; ++i) {
    for (F16& s : sum) s = fma(x, x, s);
  }
  volatile float sink = sum_lanes(sum[0]) + sum_lanes(sum[1]);
  static_cast<void>(sink);
}

/// The portable product's inner step: sixteen products of a widened byte.
void int8_rounds(std::size_t rounds) {
  volatile short seed = 3;
  short x[16];
  for (short& v : x) v = seed;
  int sum[16] = {};
  for (std::size_t i = 0; i < rounds; ++i) {
    const short y = static_cast<short>(seed);
    for (int j = 0; j < 16; ++j) sum[j] += x[j] * y;
  }
  volatile int sink = 0;
  for (const int s : sum) sink = sink + s;
}

}  // namespace

const PeakLoop float_loop = {PeakKind::float32, "fmaf", 2.0 * lanes* sums, float_rounds};
const PeakLoop int8_loop = {PeakKind::int8, "int16 multiply-add", 2.0 * 16, int8_rounds};

}  // namespace outlierlab::engine::portable
