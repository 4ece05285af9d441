#include "quant/grid.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "core/error.h"

namespace outlierlab {

namespace {
constexpr float largest_bound = 0x1p126f;

float checked_bound(float bound) {
  if (std::isnan(bound)) throw Error("quantization range: expected a number, found NaN");
  return std::clamp(bound, -largest_bound, largest_bound);
}

/// 0 where its inverse might overflow.
float normal_or_zero(float scale) {
  return scale < FLT_MIN ? 0.0f : scale;
}

void require_bits(int bits) {
  if (bits < 2 || bits > 16) fail_expected("quantization grid", "2 to 16 bits", std::to_string(bits));
}
}  // namespace

Grid Grid::affine(Range range, int bits) {
  require_bits(bits);
  const float lo = std::min(checked_bound(range.lo), 0.0f);
  const float hi = std::max(checked_bound(range.hi), 0.0f);
  Grid grid;
  grid.qmax = (1 << bits) - 1;
  grid.scale = normal_or_zero((hi - lo) / static_cast<float>(grid.qmax));
  if (grid.scale > 0) {
    const float zero = std::nearbyint(-lo / grid.scale);
    grid.zero = static_cast<std::int32_t>(std::clamp(zero, 0.0f, static_cast<float>(grid.qmax)));
  }
  return grid;
}

Grid Grid::symmetric(float absmax, int bits) {
  require_bits(bits);
  Grid grid;
  grid.qmax = (1 << (bits - 1)) - 1;
  grid.qmin = -grid.qmax;
  grid.scale = normal_or_zero(std::abs(checked_bound(absmax)) / static_cast<float>(grid.qmax));
  return grid;
}

std::int32_t Grid::quantize(float v) const {
  if (!(scale > 0)) return zero;
  const float steps = std::nearbyint(v / scale);
  const float lowest = static_cast<float>(qmin - zero), highest = static_cast<float>(qmax - zero);
  if (!(steps > lowest)) return qmin;
  return static_cast<std::int32_t>(std::min(steps, highest)) + zero;
}

std::optional<std::int32_t> symmetric_code(float value, float scale, int bits) {
  const float steps = scale > 0 ? std::round(value / scale) : 0;
  const auto largest = static_cast<float>((1 << (bits - 1)) - 1);
  if (!(std::abs(steps) <= largest) || std::abs(scale * steps - value) > 1e-6f * std::abs(value)) return {};
  return static_cast<std::int32_t>(steps);
}

Granularity parse_granularity(const std::string& text, const std::string& place) {
  for (const Granularity g : {Granularity::tensor, Granularity::channel, Granularity::group,
                              Granularity::token, Granularity::block}) {
    if (text == to_string(g)) return g;
  }
  try {
    fail_unknown("granularity", text, {"tensor", "channel", "group", "token", "block"});
  } catch (const UsageError& error) {
    throw UsageError(place + ": " + error.what());
  }
}

const char* to_string(Granularity granularity) {
  switch (granularity) {
    case Granularity::tensor:
      return "tensor";
    case Granularity::channel:
      return "channel";
    case Granularity::group:
      return "group";
    case Granularity::token:
      return "token";
    case Granularity::block:
      return "block";
  }
  return "tensor";
}

}  // namespace outlierlab
