#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace outlierlab {

struct Range {
  float lo = 0, hi = 0;
};

/// A uniform quantization grid (docs/design.md, section 5).
///
/// Affine: lo <- min(lo, 0), hi <- max(hi, 0); scale = (hi - lo) / (2^b - 1); zero = round(-lo / scale);
/// q = clamp(round(v / scale) + zero, 0, 2^b - 1). Symmetric: scale = absmax / (2^(b-1) - 1),
/// q in +-(2^(b-1) - 1). Ties to even. Float arithmetic throughout: v / scale is a float division.
/// A range of width 0, or one so narrow that its scale is below the least normal float, gives scale = 0,
/// which quantizes every value to 0 without dividing. Bounds beyond +-2^126 count as +-2^126, so that neither
/// hi - lo nor a dequantized value overflows. Infinite values saturate; NaN quantizes to qmin (the kernels
/// report both). A NaN bound, or bits outside 2-16, is an Error.
struct Grid {
  float scale = 0;
  std::int32_t zero = 0;
  std::int32_t qmin = 0, qmax = 0;

  static Grid affine(Range range, int bits);
  static Grid symmetric(float absmax, int bits);

  std::int32_t quantize(float v) const;
  float dequantize(std::int32_t q) const { return scale * static_cast<float>(q - zero); }
  float round_trip(float v) const { return dequantize(quantize(v)); }
};

/// The code of a dequantized value on a symmetric grid; none if it does not lie on it.
std::optional<std::int32_t> symmetric_code(float value, float scale, int bits);

/// How many values share a grid.
enum class Granularity {
  tensor,   ///< one grid
  channel,  ///< one per channel (weights: per output row)
  group,    ///< PEG: one per group of channels (Bondarenko et al. 2021, arXiv 2109.12948)
  token,    ///< one per row, from the row's own range at run time
  block     ///< one per run of `block` consecutive values of a row, at run time
};

Granularity parse_granularity(const std::string& text, const std::string& place);
const char* to_string(Granularity granularity);

}  // namespace outlierlab
