// The kernels of row_kernels.h, written once for all instruction sets (see core/simd.h).
#pragma once

#include "core/simd.h"
#include "engine/cpu/gelu_impl.h"
#include "engine/cpu/row_kernels.h"
#include "kernels/kernels_impl.h"

namespace outlierlab::engine::OUTLIERLAB_ISA_NAMESPACE {
using namespace outlierlab::OUTLIERLAB_ISA_NAMESPACE;

using Kind = FormatKind;

/// A grid in registers: of the whole tensor, of a row, or of sixteen columns.
struct LaneGrid {
  F16 inverse, rest, scale, low, high, offset;
};

inline F16 steps(const LaneGrid& g, F16 v) {
  v = min(max(v, g.low), g.high);
  return round_even(fma(v, g.inverse, v * g.rest));
}

inline LaneGrid grid_of(const RowFormat& f) {
  return {splat(f.inverse), splat(f.rest), splat(f.scale), splat(f.low), splat(f.high), splat(f.offset)};
}

inline LaneGrid grid_of_columns(const RowFormat& f, std::size_t j) {
  return {load(f.col_inverse + j), load(f.col_rest + j), load(f.col_scale + j),
          load(f.col_low + j),     load(f.col_high + j), load(f.col_offset + j)};
}

/// Calls f(column, kept) for each vector of a row.
template <typename Function>
inline void over_columns(std::size_t cols, Function f) {
  std::size_t j = 0;
  for (; j + lanes <= cols; j += lanes) f(j, lanes);
  if (j < cols) f(j, static_cast<int>(cols - j));
}

inline F16 get(const float* p, int kept) {
  return kept == lanes ? load(p) : load_first(p, kept);
}
inline void put(float* p, F16 v, int kept) {
  if (kept == lanes) {
    store(p, v);
  } else {
    store_first(p, v, kept);
  }
}

/// The grid of a row from its own range, as Grid::affine and Grid::symmetric have it; 0 stands for outliers.
template <bool OUTLIERS = false>
inline LaneGrid grid_of_row(const RowFormat& f, const float* row, std::size_t cols, float* row_scale,
                            std::int32_t* row_zero) {
  F16 least = splat(0.0f), most = splat(0.0f);
  over_columns(cols, [&](std::size_t j, int kept) {
    F16 v = get(row + j, kept);
    if constexpr (OUTLIERS) v = select(less(splat(f.outlier_threshold), abs(v)), splat(0.0f), v);
    least = min(v, least);
    most = max(v, most);
  });
  const float bound = 0x1p126f;
  float lo = min_lanes(least), hi = max_lanes(most);
  lo = lo < -bound ? -bound : lo;
  hi = hi > bound ? bound : hi;
  const int qmax = f.symmetric ? (1 << (f.bits - 1)) - 1 : (1 << f.bits) - 1;
  const int qmin = f.symmetric ? -qmax : 0;
  const float absmax = -lo > hi ? -lo : hi;
  const float scale = (f.symmetric ? absmax : hi - lo) / static_cast<float>(qmax);
  float zero = 0.0f;
  if (!f.symmetric && scale > 0.0f) {
    zero = __builtin_nearbyintf(-lo / scale);
    zero = zero < 0.0f ? 0.0f : zero > static_cast<float>(qmax) ? static_cast<float>(qmax) : zero;
  }
  const float offset = zero + (f.symmetric ? static_cast<float>(1 << (f.bits - 1)) : 0.0f);
  if (row_scale) *row_scale = scale;
  if (row_zero) *row_zero = static_cast<std::int32_t>(offset);
  // Of a row whose scale is subnormal, the quotient may be infinite: all its values become 0.
  const float inverse = scale >= 0x1p-126f ? 1.0f / scale : 0.0f;
  const float rest = __builtin_fmaf(-inverse, scale, 1.0f) * inverse;  // what its rounding left
  return {splat(inverse),
          splat(rest),
          splat(scale),
          splat(scale * (static_cast<float>(qmin) - zero)),
          splat(scale * (static_cast<float>(qmax) - zero)),
          splat(offset)};
}

/// Bytes of codes, up to `kept` of them.
inline void put_codes(const CodeRows& out, std::size_t at, F16 code, int kept, bool wide) {
  F16 low = code;
  if (wide) {
    const F16 high = truncate(code * splat(1.0f / 256.0f));
    low = code - high * splat(256.0f);
    if (kept == lanes) {
      store_bytes(out.high + at, high);
    } else {
      store_bytes_first(out.high + at, high, kept);
    }
  }
  if (kept == lanes) {
    store_bytes(out.low + at, low);
  } else {
    store_bytes_first(out.low + at, low, kept);
  }
}

template <bool CODES>
inline void quantize_row(const LaneGrid& g, float* row, std::size_t cols, const CodeRows& out, std::size_t at,
                         bool wide) {
  over_columns(cols, [&](std::size_t j, int kept) {
    const F16 t = steps(g, get(row + j, kept));
    put(row + j, t * g.scale, kept);
    if constexpr (CODES) put_codes(out, at + j, t + g.offset, kept, wide);
  });
}

/// As quantize_row; outliers stay, have the code of 0 and are marked.
template <bool CODES>
inline void quantize_row_but_outliers(const RowFormat& f, const LaneGrid& g, float* row, std::size_t cols,
                                      const CodeRows& out, std::size_t r, bool wide) {
  const F16 threshold = splat(f.outlier_threshold);
  over_columns(cols, [&](std::size_t j, int kept) {
    const F16 v = get(row + j, kept), t = steps(g, v);
    const Mask16 outlier = less(threshold, abs(v));
    put(row + j, select(outlier, v, t * g.scale), kept);
    if constexpr (CODES) {
      put_codes(out, r * out.stride + j, select(outlier, splat(0.0f), t) + g.offset, kept, wide);
      if (out.outliers)
        out.outliers[r * outlier_words(cols) + j / lanes] = static_cast<std::uint16_t>(bits(outlier));
    }
  });
}

template <bool CODES>
inline void quantize_columns(const RowFormat& f, float* row, std::size_t cols, const CodeRows& out,
                             std::size_t at, bool wide) {
  over_columns(cols, [&](std::size_t j, int kept) {
    const LaneGrid g = grid_of_columns(f, j);
    const F16 v = get(row + j, kept), t = steps(g, v);
    const Mask16 real = less(g.scale, splat(0.0f));
    put(row + j, select(real, v, t * g.scale), kept);
    if constexpr (CODES) put_codes(out, at + j, select(real, splat(0.0f), t + g.offset), kept, wide);
  });
}

template <bool CODES>
inline void quantize_rows(const RowFormat& f, float* values, std::size_t rows, std::size_t cols,
                          std::size_t stride, const CodeRows& out) {
  const bool wide = f.bits > 8;
  const LaneGrid whole = grid_of(f);
  const bool keeps_outliers = f.kind == Kind::rows && f.outlier_threshold < __builtin_huge_valf();
  for (std::size_t r = 0; r < rows; ++r) {
    float* row = values + r * stride;
    const std::size_t at = r * out.stride;
    float* const row_scale = CODES && out.scale ? out.scale + r : nullptr;
    std::int32_t* const row_zero = CODES && out.zero ? out.zero + r : nullptr;
    switch (f.kind) {
      case Kind::real:
        return;
      case Kind::tensor:
        quantize_row<CODES>(whole, row, cols, out, at, wide);
        break;
      case Kind::rows:
        if (keeps_outliers) {
          quantize_row_but_outliers<CODES>(f, grid_of_row<true>(f, row, cols, row_scale, row_zero), row, cols,
                                           out, r, wide);
        } else {
          quantize_row<CODES>(grid_of_row(f, row, cols, row_scale, row_zero), row, cols, out, at, wide);
        }
        break;
      case Kind::columns:
        quantize_columns<CODES>(f, row, cols, out, at, wide);
        break;
    }
  }
}

inline void round_trip(const RowFormat& f, float* values, std::size_t rows, std::size_t cols,
                       std::size_t stride) {
  quantize_rows<false>(f, values, rows, cols, stride, CodeRows());
}

inline void encode(const RowFormat& f, float* values, std::size_t rows, std::size_t cols, std::size_t stride,
                   const CodeRows& out) {
  quantize_rows<true>(f, values, rows, cols, stride, out);
}

inline void residual_norm(const RowFormat& site1, const RowFormat& site2, float* values,
                          const float* residual, float* out, std::size_t rows, std::size_t cols,
                          const float* gain, const float* bias, float epsilon) {
  const bool plain = (site1.kind == Kind::tensor || site1.kind == Kind::real) &&
                     (site2.kind == Kind::tensor || site2.kind == Kind::real) && cols % lanes == 0;
  if (!plain) {
    for (std::size_t r = 0; r < rows; ++r) {
      float* row = values + r * cols;
      round_trip(site1, row, 1, cols, cols);
      if (residual) outlierlab::OUTLIERLAB_ISA_NAMESPACE::add(row, residual + r * cols, row, cols);
      round_trip(site2, row, 1, cols, cols);
    }
  } else {
    const LaneGrid first = grid_of(site1), second = grid_of(site2);
    const bool quantize1 = site1.kind == Kind::tensor, quantize2 = site2.kind == Kind::tensor;
    for (std::size_t i = 0; i < rows * cols; i += lanes) {
      F16 v = load(values + i);
      if (quantize1) v = steps(first, v) * first.scale;
      if (residual) v = v + load(residual + i);
      if (quantize2) v = steps(second, v) * second.scale;
      store(values + i, v);
    }
  }
  outlierlab::OUTLIERLAB_ISA_NAMESPACE::layer_norm(values, out, rows, cols, gain, bias, epsilon);
}

inline double sum_doubles(F16 lane) {
  alignas(64) float value[lanes];
  store(value, lane);
  double sum = 0;
  for (const float v : value) sum += static_cast<double>(v);
  return sum;
}

inline void static_norm(const StaticNorm& n, std::size_t rows, std::size_t cols) {
  const LaneGrid first = grid_of(*n.product_site), second = grid_of(*n.sum_site),
                 third = grid_of(*n.norm_site);
  const bool quantize = n.product_site->kind == Kind::tensor;
  const F16 low = splat(n.norm_site->low_steps()), high = splat(n.norm_site->high_steps());
  const D16 inverse = splat_double(n.norm_site->steps_per_unit());
  const double count = static_cast<double>(cols), unit = n.sum_site->steps_per_unit();
  for (std::size_t r = 0; r < rows; ++r) {
    float* const steps_row = n.values + r * cols;
    F16 sum = splat(0.0f), squares = splat(0.0f);
    for (std::size_t j = 0; j < cols; j += lanes) {
      F16 v;
      if (n.product) {
        v = (load_bytes(n.product + r * cols + j) - first.offset) * first.scale;
      } else {
        v = load(steps_row + j);
        if (quantize) v = steps(first, v) * first.scale;
      }
      if (n.residual) v = v + load(n.residual + r * cols + j);
      v = steps(second, v);
      sum = sum + v;
      squares = fma(v, v, squares);
      store(steps_row + j, v);
    }
    // Of whole numbers, these two are exact; the values' variance is the square of the unit smaller.
    const double total = sum_doubles(sum), spread = count * sum_doubles(squares) - total * total;
    const double variance = spread / (count * count) + static_cast<double>(n.epsilon) * unit * unit;
    const double factor = spread > 0 ? 1 / __builtin_sqrt(variance) : 0;
    const D16 scale = splat_double(factor), shift = splat_double(-total / count * factor);
    for (std::size_t j = 0; j < cols; j += lanes) {
      const D16 normal = fma(widen(load(steps_row + j)), scale, shift);
      const D16 v = fma(normal, widen(load(n.gain + j)), widen(load(n.bias + j)));
      const F16 t = min(max(narrow(round_even(v * inverse)), low), high);
      store(n.out + r * cols + j, t * third.scale);
      store_codes(n.codes + r * n.stride + j, t, third.offset);
    }
  }
}

inline void softmax_codes(const RowFormat& scores_site, const RowFormat& probs_site, float* scores,
                          std::size_t rows, std::size_t cols, std::size_t stride, std::uint8_t* codes,
                          std::size_t code_stride) {
  const LaneGrid before = grid_of(scores_site), after = grid_of(probs_site);
  const bool fused = scores_site.kind == Kind::tensor || scores_site.kind == Kind::real;
  const bool quantize = scores_site.kind == Kind::tensor;
  if (!fused) round_trip(scores_site, scores, rows, cols, stride);
  const float lowest = -__builtin_huge_valf();
  const F16 lowest_step = splat(probs_site.low_steps()), highest_step = splat(probs_site.high_steps());
  for (std::size_t r = 0; r < rows; ++r) {
    float* row = scores + r * stride;
    F16 largest = splat(lowest);
    over_columns(cols, [&](std::size_t j, int kept) {
      F16 v = kept == lanes ? load(row + j) : load_first(row + j, kept, lowest);
      if (quantize) {
        v = steps(before, v) * before.scale;
        put(row + j, v, kept);
        if (kept < lanes) v = load_first(row + j, kept, lowest);
      }
      largest = max(v, largest);
    });
    const F16 top = splat(max_lanes(largest));
    F16 sum = splat(0.0f);
    over_columns(cols, [&](std::size_t j, int kept) {
      const F16 e = outlierlab::OUTLIERLAB_ISA_NAMESPACE::exp(get(row + j, kept) - top);
      put(row + j, e, kept);
      sum = sum + (kept == lanes ? e : load_first(row + j, kept));
    });
    // The quotient of two floats, in two floats.
    const float total = sum_lanes(sum), quotient = probs_site.inverse / total;
    const float left = __builtin_fmaf(-quotient, total, probs_site.inverse) + probs_site.rest;
    const F16 factor = splat(quotient), rest = splat(left / total);
    std::uint8_t* target = codes + r * code_stride;
    over_columns(cols, [&](std::size_t j, int kept) {
      const F16 e = get(row + j, kept), v = min(max(fma(e, factor, e * rest), lowest_step), highest_step);
      if (kept == lanes) {
        store_codes(target + j, v, after.offset);
      } else {
        store_bytes_first(target + j, round_even(v) + after.offset, kept);
      }
    });
  }
}

inline void add_column(float* out, const std::uint8_t* codes, const float* scale, float value,
                       std::size_t count) {
  const F16 factor = splat(value), middle = splat(128.0f);
  std::size_t j = 0;
  for (; j + lanes <= count; j += lanes)
    store(out + j, fma(factor * load(scale + j), load_bytes(codes + j) - middle, load(out + j)));
  for (; j < count; ++j)
    out[j] = __builtin_fmaf(value * scale[j], static_cast<float>(codes[j]) - 128.0f, out[j]);
}

inline void gelu_rows(float* values, std::size_t count) {
  const GeluCoefficients& table = gelu_coefficients();
  map(values, count, [&table](F16 v) { return gelu_of(v, table); });
}

}  // namespace outlierlab::engine::OUTLIERLAB_ISA_NAMESPACE
