#pragma once

#include "engine/cuda/platform.h"
#include "engine/format_kind.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

/// Storage of real values.
enum class RealType : unsigned char { float32, float16, bfloat16 };

__host__ __device__ inline int bytes_of(RealType type) {
  return type == RealType::float32 ? 4 : 2;
}
inline const char* name_of(RealType type) {
  static const char* const names[] = {"float32", "float16", "bfloat16"};
  return names[static_cast<int>(type)];
}

/// Codes are stored signed: the unsigned code of engine/cpu/row_kernels.h minus this, so that both sides of a
/// product are signed bytes.
constexpr int code_shift = 128;

/// code = rint(clamp(v, low, high) * (inverse + rest)) + offset, with the unsigned code's offset; `rest` is
/// what the inverse's rounding left.
struct Grid {
  float inverse = 0, rest = 0, scale = 0, low = 0, high = 0, offset = 0;
};
constexpr int grid_members = 6;

/// A SiteFormat as kernels read it; arrays over channels (columns) are padded to multiples of 16.
struct Format {
  FormatKind kind = FormatKind::real;
  int bits = 32;
  bool symmetric = false;
  Grid grid;  ///< tensor
  /// columns: the members of Grid in their order, each [column_stride]; a kept (float) channel has scale < 0.
  const float* column_grids = nullptr;
  int column_stride = 0;
  /// rows: values of a larger magnitude stay in float and leave the row's range (LLM.int8()).
  float outlier_threshold = __builtin_huge_valf();

  __host__ __device__ bool keeps_outliers() const { return outlier_threshold < __builtin_huge_valf(); }
  __device__ bool is_outlier(float v) const { return fabsf(v) > outlier_threshold; }
};

/// The values of coded rows that stay in float: of row r, count[r] of them from r * stride on, in ascending
/// order of channel. Their codes are those of 0.
struct Outliers {
  std::int32_t* count = nullptr;  ///< null: the site keeps none
  std::uint16_t* channels = nullptr;
  float* values = nullptr;
  int stride = 0;  ///< more than any channel
};

/// Rows of one site as kernels write and read them: as codes (one plane, two planes, or sorted into
/// segments), as reals, or both, depending on the products that take them.
struct Operand {
  enum class Codes : unsigned char { none, plane, planes, segments };
  Codes codes_as = Codes::none;
  std::int8_t* codes = nullptr;  ///< [rows, stride]
  int stride = 0;                ///< bytes
  int high = 0;                  ///< planes: where in a row the high bytes begin
  const int* place = nullptr;    ///< segments: [cols] place of a channel in the row; ~i for kept channel i
  float* kept = nullptr;         ///< segments: [rows, kept_count]
  int kept_count = 0;
  float* row_scale = nullptr;        ///< [rows] format rows
  std::int32_t* row_zero = nullptr;  ///< [rows] format rows; of the unsigned codes
  Outliers outliers;                 ///< format rows
  void* real = nullptr;              ///< [rows, real_stride]
  RealType type = RealType::float32;
  int real_stride = 0;
  std::uint8_t* eight = nullptr;  ///< [rows, real_stride] e4m3 of the reals, for products in float8
};

// Devices round and convert at a quarter of the rate at which they add, or less. From 2^23 to 2^24 floats are
// whole: one that is added to the middle of these is rounded, to even ties, and its bits there count.
constexpr float whole_floats = 12582912.0f;  // 3 * 2^22
constexpr std::uint32_t whole_bits = 0x4b400000u;

/// The nearest whole number, to even ties; |v| < 2^22, and v no bare product, which would be contracted with
/// the addition.
__device__ inline float nearest(float v) {
  return (v + whole_floats) - whole_floats;
}
/// A whole number as an integer; |v| < 2^22.
__device__ inline std::int32_t integer_of(float v) {
  return static_cast<std::int32_t>(bits_of(v + whole_floats) - whole_bits);
}
/// An integer as a float; |i| < 2^22.
__device__ inline float float_of(std::int32_t i) {
  return float_of_bits(whole_bits + static_cast<std::uint32_t>(i)) - whole_floats;
}

/// What is stored for an unsigned code (of a plane).
__device__ inline std::int8_t signed_code(float unsigned_code) {
  return static_cast<std::int8_t>(integer_of(unsigned_code) - code_shift);
}

/// Codes of two neighbouring columns, as they lie in memory.
__device__ inline std::uint16_t pack_codes(std::int8_t low, std::int8_t high) {
  return static_cast<std::uint16_t>(static_cast<std::uint8_t>(low) | static_cast<std::uint8_t>(high) << 8);
}

/// Steps from the zero point.
__device__ inline float steps(const Grid& g, float v) {
  v = fminf(fmaxf(v, g.low), g.high);
  return nearest(fmaf(v, g.inverse, v * g.rest));
}
/// What is stored for v.
__device__ inline std::int8_t code_of(const Grid& g, float v) {
  return signed_code(steps(g, v) + g.offset);
}

/// The ends of a grid in steps.
__device__ inline float low_steps(const Grid& g) {
  return rintf(g.low * g.inverse);
}
__device__ inline float high_steps(const Grid& g) {
  return rintf(g.high * g.inverse);
}

/// A factor in two floats: see TwoFloats.
struct Factor {
  float value, rest;

  static __device__ Factor product(float a, float b) {
    const float rounded = a * b;
    return {rounded, fmaf(a, b, -rounded)};
  }
  /// v times it, plus the addend.
  __device__ float times(float v, float addend = 0.0f) const { return fmaf(v, value, fmaf(v, rest, addend)); }
};

__device__ inline Grid column_grid(const Format& f, int c) {
  const float* at = f.column_grids + c;
  const int stride = f.column_stride;
  return {at[0], at[stride], at[2 * stride], at[3 * stride], at[4 * stride], at[5 * stride]};
}

/// The grid of a row from its own range (lo <= 0 <= hi), as engine/cpu/row_kernels_impl.h has it.
__device__ inline Grid grid_of_range(const Format& f, float lo, float hi) {
  constexpr float bound = 8.507059173023462e+37f;  // 2^126
  lo = fmaxf(lo, -bound);
  hi = fminf(hi, bound);
  const int qmax = f.symmetric ? (1 << (f.bits - 1)) - 1 : (1 << f.bits) - 1;
  const int qmin = f.symmetric ? -qmax : 0;
  const float absmax = fmaxf(-lo, hi);
  const float scale = (f.symmetric ? absmax : hi - lo) / static_cast<float>(qmax);
  float zero = 0.0f;
  if (!f.symmetric && scale > 0.0f) zero = fminf(fmaxf(rintf(-lo / scale), 0.0f), static_cast<float>(qmax));
  Grid g;
  // Of a row whose scale is subnormal, the quotient may be infinite: all its values become 0.
  g.inverse = scale >= 1.17549435e-38f ? 1.0f / scale : 0.0f;
  g.rest = fmaf(-g.inverse, scale, 1.0f) * g.inverse;
  g.scale = scale;
  g.low = scale * (static_cast<float>(qmin) - zero);
  g.high = scale * (static_cast<float>(qmax) - zero);
  g.offset = zero + (f.symmetric ? static_cast<float>(1 << (f.bits - 1)) : 0.0f);
  return g;
}

/// v times the normal distribution's integral up to v, to 1e-7 and the rounding of the result, without the
/// cancellation of 1/2 - 1/2: the tail beyond |v| is t poly(t) e^(-v^2 / 2) with t = 1 / (1 + 0.28 |v|) in
/// Hastings' form (Abramowitz and Stegun, 7.1.26), whose polynomial of six coefficients, fitted here for the
/// least error of |v| times the tail, is within 1e-8.
__device__ inline float gelu(float v) {
  const float x = fabsf(v) > 16.0f ? 16.0f : fabsf(v);  // the tail is 0 from there on; of infinity, no number
  const float t = fast_reciprocal(fmaf(0.28f, x, 1.0f));
  float tail = fmaf(t, -0.10755516f, 0.39699117f);
  tail = fmaf(t, tail, -0.24851995f);
  tail = fmaf(t, tail, 0.27818402f);
  tail = fmaf(t, tail, 0.06379078f);
  tail = fmaf(t, tail, 0.11710911f);
  tail = tail * t * fast_exp(-0.5f * x * x);
  return fmaf(-x, tail, fmaxf(v, 0.0f));
}

__device__ inline float real_at(const void* values, RealType type, std::size_t at) {
  if (type == RealType::float32) return static_cast<const float*>(values)[at];
  const std::uint16_t bits = static_cast<const std::uint16_t*>(values)[at];
  return type == RealType::float16 ? half_to_float(bits) : bfloat_to_float(bits);
}

__host__ __device__ inline std::uint16_t to_bits(float v, RealType type) {
  return type == RealType::float16 ? float_to_half(v) : float_to_bfloat(v);
}

__device__ inline void set_real(void* values, RealType type, std::size_t at, float v) {
  if (type == RealType::float32) {
    static_cast<float*>(values)[at] = v;
  } else {
    static_cast<std::uint16_t*>(values)[at] = to_bits(v, type);
  }
}

/// Two neighbours; `at` is even.
__device__ inline void set_pair(void* values, RealType type, std::size_t at, float a, float b) {
  if (type == RealType::float32) {
    *reinterpret_cast<float2*>(static_cast<float*>(values) + at) = make_float2(a, b);
  } else {
    *reinterpret_cast<std::uint32_t*>(static_cast<std::uint16_t*>(values) + at) =
        to_bits(a, type) | static_cast<std::uint32_t>(to_bits(b, type)) << 16;
  }
}

/// What a product's operand keeps of v.
__device__ inline float rounded_to(RealType type, float v) {
  if (type == RealType::float32) return v;
  return type == RealType::float16 ? half_to_float(float_to_half(v)) : bfloat_to_float(float_to_bfloat(v));
}

/// Four consecutive values; `at` is a multiple of 4.
struct Four {
  float v[4];
};

__device__ inline Four reals_at(const void* values, RealType type, std::size_t at) {
  Four out;
  if (type == RealType::float32) {
    const float4 x = *reinterpret_cast<const float4*>(static_cast<const float*>(values) + at);
    out = {{x.x, x.y, x.z, x.w}};
  } else {
    const ushort4 x = *reinterpret_cast<const ushort4*>(static_cast<const std::uint16_t*>(values) + at);
    if (type == RealType::float16) {
      out = {{half_to_float(x.x), half_to_float(x.y), half_to_float(x.z), half_to_float(x.w)}};
    } else {
      out = {{bfloat_to_float(x.x), bfloat_to_float(x.y), bfloat_to_float(x.z), bfloat_to_float(x.w)}};
    }
  }
  return out;
}

__device__ inline void set_reals(void* values, RealType type, std::size_t at, const Four& f) {
  if (type == RealType::float32) {
    *reinterpret_cast<float4*>(static_cast<float*>(values) + at) =
        make_float4(f.v[0], f.v[1], f.v[2], f.v[3]);
  } else {
    *reinterpret_cast<ushort4*>(static_cast<std::uint16_t*>(values) + at) = make_ushort4(
        to_bits(f.v[0], type), to_bits(f.v[1], type), to_bits(f.v[2], type), to_bits(f.v[3], type));
  }
}

__device__ inline std::uint32_t pack_codes(const float (&unsigned_code)[4]) {
  std::uint32_t word = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i)
    word |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(signed_code(unsigned_code[i]))) << (8 * i);
  return word;
}

/// The grids of four consecutive columns, and their places in a row of codes.
struct FourGrids {
  Four inverse, rest, scale, low, high, offset;

  __device__ FourGrids(const Format& f, int c) {
    Four* const members[] = {&inverse, &rest, &scale, &low, &high, &offset};
#pragma unroll
    for (int m = 0; m < grid_members; ++m)
      *members[m] =
          reals_at(f.column_grids, RealType::float32, static_cast<std::size_t>(m) * f.column_stride + c);
  }
  __device__ Grid at(int k) const {
    return {inverse.v[k], rest.v[k], scale.v[k], low.v[k], high.v[k], offset.v[k]};
  }
};

struct FourPlaces {
  int v[4];

  explicit __device__ FourPlaces(const int* place) {
    const uint4 x = *reinterpret_cast<const uint4*>(place);
    v[0] = static_cast<int>(x.x);
    v[1] = static_cast<int>(x.y);
    v[2] = static_cast<int>(x.z);
    v[3] = static_cast<int>(x.w);
  }
};

/// The values that an operand's rows stand for, columns c to c + 3; 0 for outliers.
__device__ inline Four decode(const Operand& from, const Format& format, int row, int c, int cols) {
  if (from.codes_as == Operand::Codes::none)
    return reals_at(from.real, from.type, static_cast<std::size_t>(row) * from.real_stride + c);
  const std::int8_t* codes = from.codes + static_cast<std::size_t>(row) * from.stride;
  Four out;
  if (from.codes_as == Operand::Codes::segments) {
    const FourPlaces places(from.place + c);
    const FourGrids grids(format, c);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      out.v[i] = 0.0f;
      if (c + i >= cols) continue;
      const int place = places.v[i];
      const Grid g = grids.at(i);
      out.v[i] = place < 0 ? from.kept[static_cast<std::size_t>(row) * from.kept_count + ~place]
                           : (float_of(codes[place] + code_shift) - g.offset) * g.scale;
    }
    return out;
  }
  const bool rows = format.kind == FormatKind::rows;
  const float scale = rows ? from.row_scale[row] : format.grid.scale;
  const float offset = rows ? static_cast<float>(from.row_zero[row]) : format.grid.offset;
  const char4 low = *reinterpret_cast<const char4*>(codes + c);
  int code[4] = {low.x + code_shift, low.y + code_shift, low.z + code_shift, low.w + code_shift};
  if (from.codes_as == Operand::Codes::planes) {
    const char4 high = *reinterpret_cast<const char4*>(codes + from.high + c);
    const int upper[4] = {high.x, high.y, high.z, high.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) code[i] += 256 * (upper[i] + code_shift);
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) out.v[i] = (float_of(code[i]) - offset) * scale;
  return out;
}

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
