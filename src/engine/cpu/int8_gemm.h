#pragma once

#include <cstddef>
#include <cstdint>

namespace outlierlab::engine {

/// What becomes of a product's int32 sums.
enum class Finish {
  sums,       ///< stored as they are (profiles, tests)
  real,       ///< stored as floats
  codes,      ///< quantized on one grid
  gelu_codes  ///< GELU, then quantized on one grid
};

/// One product of unsigned 8-bit codes with signed 8-bit codes, and what is done with each sum while it is in
/// a register:
///
///   sum[r, j]  = sum_k a[r, k] * b[k, j], exact in int32 to a depth of 65,536
///
///   real[r, j] = (sum - row_zero[r] * col_sum[j] - row_sum[r] * col_zero[j])
///                * row_scale[r] * col_scale[j] + bias[j]
///
///   code[r, j] = clamp(round(real * (inverse + inverse_rest)), low, high) + offset
///
/// Where all rows share a static grid, row_scale and row_zero are null, and what does not depend on the row
/// was put together before:
///
///   real[r, j] = (sum + col_shift[j] - row_sum[r] * col_zero[j]) * (col_scale[j] + col_rest[j]) + bias[j]
///
/// and for Finish::codes, in double precision up to the rounding,
///
///   code[r, j] = clamp(round((sum + ...) * col_factor[j] + col_addend[j]), low, high) + offset
///
/// A product that is one of several terms adds `partial`, what the terms before it gave as floats, in place
/// of the bias; codes are then rounded from float.
///
/// Arrays over columns are readable up to the next multiple of 16, a row of `a` for 64 bytes past its depth
/// (what stands there does not matter). Columns from a multiple of 16 on can be multiplied alone: their
/// packed b begins packed_bytes(depth, column) after its start, a packed weight's column / 16 * weight_panel.
struct Int8Product {
  /// [rows, lda]; behind `depth` the packed b has zeros up to the next multiple of 4
  const std::uint8_t* a = nullptr;
  std::size_t lda = 0, rows = 0, depth = 0, cols = 0;
  const void* b = nullptr;                  ///< packed by the same kernels
  const float* row_scale = nullptr;         ///< [rows]; null: rows on one static grid
  const std::int32_t* row_zero = nullptr;   ///< [rows], with row_scale
  const float* col_scale = nullptr;         ///< [cols]
  const std::int32_t* col_sum = nullptr;    ///< [cols] sums of b over k, with row_scale
  const float* col_rest = nullptr;          ///< [cols] what col_scale lacks (TwoFloats), without row_scale
  const std::int32_t* col_shift = nullptr;  ///< [cols] - zero * sum of b over k, without row_scale
  const double* col_factor = nullptr;       ///< [cols] col_scale / the next grid's scale, so
  const double* col_addend = nullptr;       ///< [cols] and bias; unused with `partial`
  const std::int32_t* row_sum = nullptr;    ///< [rows] of a - row_zero; null: col_zero is 0
  const std::int32_t* col_zero = nullptr;   ///< [cols], with row_sum
  const float* bias = nullptr;              ///< [cols]; null: none
  const float* partial = nullptr;           ///< [rows, partial_stride], may be `c`; null: none
  std::size_t partial_stride = 0;
  Finish finish = Finish::real;
  void* c = nullptr;    ///< [rows, ldc] of int32, float or bytes
  std::size_t ldc = 0;  ///< in elements
  float low = 0, high = 0, inverse = 0, inverse_rest = 0, offset = 0;
};

/// One implementation for one instruction set. All give the same bits.
struct Int8Kernels {
  const char* name;
  /// Bytes of a packed b; `depth` is rounded up to a multiple of 4, `cols` to one of 16.
  std::size_t (*packed_bytes)(std::size_t depth, std::size_t cols);
  /// Packs b given as its transpose, row-major [cols, depth] with `stride`: a weight, or the keys.
  /// `flip` = 128 takes the source for unsigned codes and packs code - 128.
  void (*pack_transposed)(const std::int8_t* source, std::size_t stride, std::size_t cols, std::size_t depth,
                          int flip, void* packed);
  /// Packs b as it stands, row-major [depth, cols] with `stride`: the values of an attention head.
  void (*pack_rows)(const std::int8_t* source, std::size_t stride, std::size_t cols, std::size_t depth,
                    int flip, void* packed);
  void (*multiply)(const Int8Product& product);

  /// The same for a b that is packed once and used often: what takes longer to pack and is faster to
  /// multiply. Codes lie in +-127, and `packed` on a boundary of 64 bytes. weight_bytes is the room that
  /// packing may need, whatever the codes; pack_weight returns how much of it, from the start, is used.
  std::size_t (*weight_bytes)(std::size_t depth, std::size_t cols);
  std::size_t (*pack_weight)(const std::int8_t* source, std::size_t stride, std::size_t cols,
                             std::size_t depth, int flip, void* packed);
  /// Bytes from one panel of 16 columns of a packed weight to the next.
  std::size_t (*weight_panel)(const void* packed, std::size_t depth);
  void (*multiply_weight)(const Int8Product& product);
};

/// The best set for this CPU: AMX, VNNI, AVX-512, AVX2 or portable.
const Int8Kernels& int8_kernels();

namespace portable {
extern const Int8Kernels int8_kernels;
}
namespace avx2 {
extern const Int8Kernels int8_kernels;
}
namespace avx512 {
extern const Int8Kernels int8_kernels;
}
namespace vnni {
extern const Int8Kernels int8_kernels;
}
namespace amx {
extern const Int8Kernels int8_kernels;
}

}  // namespace outlierlab::engine
