#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/matrix.h"
#include "engine/cpu/int8_gemm.h"
#include "engine/cpu/site_rows.h"
#include "engine/executor.h"
#include "engine/model.h"

namespace outlierlab::engine {

/// How a product reads its left side.
enum class Form {
  codes,     ///< one plane of bytes: grids of at most 8 bits per tensor or per row
  wide,      ///< two planes, low and high bytes: 9 to 16 bits
  segments,  ///< channels sorted by grid, each run of equal grid a product of its own; kept channels in float
             ///< beside
  real       ///< floats
};

/// The form in which a product with `weight` takes values of `site`.
Form form_of(const SiteFormat& site, const Weight& weight);
/// Whether that product's result can be quantized in registers: its last term is one of integers.
bool can_fuse(const SiteFormat& site, const Weight& weight);

/// Rows on the left of a product, in the forms that the products of one site need.
struct LeftRows {
  const std::uint8_t* low = nullptr;  ///< codes (sorted by segment for Form::segments)
  const std::uint8_t* high = nullptr;
  std::size_t stride = 0;  ///< of the codes, bytes
  const float* row_scale = nullptr;
  const std::int32_t* row_zero = nullptr;
  const float* values = nullptr;  ///< dequantized
  std::size_t value_stride = 0;
  const std::uint16_t* outliers = nullptr;  ///< CodeRows::outliers; null: none
  std::size_t outlier_stride = 0;           ///< words

  /// The rows from `row` on.
  LeftRows from(std::size_t row) const {
    LeftRows part = *this;
    part.low += part.low ? row * stride : 0;
    part.high += part.high ? row * stride : 0;
    part.row_scale += part.row_scale ? row : 0;
    part.row_zero += part.row_zero ? row : 0;
    part.values += part.values ? row * value_stride : 0;
    part.outliers += part.outliers ? row * outlier_stride : 0;
    return part;
  }
};

/// What becomes of a product.
struct Result {
  Finish finish = Finish::real;     ///< real, or where can_fuse() codes or gelu_codes
  const RowFormat* grid = nullptr;  ///< of the codes: a tensor's; must outlive the product
};

/// Where a product's result goes.
struct Target {
  void* data = nullptr;    ///< floats, or bytes of codes
  std::size_t stride = 0;  ///< from row to row, in elements
};

/// The order in which codes of a columns site lie, so that channels of equal grid follow each other, each run
/// padded to a multiple of 4.
struct SegmentOrder {
  struct Segment {
    std::size_t offset = 0, depth = 0;  ///< in the sorted row; depth a multiple of 4
    float scale = 0;
    std::int32_t zero = 0;  ///< of the stored (shifted) codes
  };
  std::vector<Segment> segments;
  std::vector<std::int32_t> source;   ///< [width] channel at each place, -1 for padding
  std::vector<std::uint32_t> gather;  ///< the same with 0 for padding, which meets weights of 0
  std::vector<std::size_t> kept;      ///< float channels
  std::size_t width = 0;              ///< bytes of a sorted row
  explicit SegmentOrder(const SiteFormat& site);
  SegmentOrder() = default;
};

/// A weight [out, in] packed for one form of its left side, with its bias.
class PackedLinear {
 public:
  PackedLinear() = default;
  PackedLinear(const Linear& linear, const SiteFormat& left_site, RealPrecision precision,
               const Result& result = {});

  Form form() const { return form_; }
  std::size_t out() const { return out_; }
  std::size_t bytes() const;
  bool gives_codes() const { return result_.finish != Finish::real; }

  /// Columns [begin, end) of left * W^T + bias for `rows` rows; begin a multiple of 16, end one too or out().
  /// The target points at column 0 of its first row.
  void apply(const LeftRows& left, std::size_t rows, std::size_t begin, std::size_t end,
             const Target& target) const;
  /// The products of apply() with nothing made of them, for a profile; not for Form::real.
  void apply_bare(const LeftRows& left, std::size_t rows, std::size_t begin, std::size_t end) const;

 private:
  struct Term {
    std::size_t offset = 0, depth = 0;  ///< in the left row
    bool high = false;                  ///< takes the high bytes
    bool fixed = false;                 ///< the left rows share a static grid ...
    float scale = 0;                    ///< ... of this scale
    std::size_t panels = 0;             ///< begin of its panels in panels_
    std::size_t panel = 0;              ///< bytes from one of them to the next
    std::size_t columns = 0;            ///< begin of what it knows of the columns
  };
  void add_term(const Weight& weight, const std::vector<std::int32_t>& channels, Term term);
  /// Puts the static grid of a term's left rows into its columns.
  void fix(Term& term, float scale, std::int32_t zero);
  /// Adds what outliers of the left rows contribute to columns [begin, end), channel by channel; `c` points
  /// at column `begin`.
  void add_outliers(const LeftRows& left, std::size_t rows, std::size_t begin, std::size_t end, float* c,
                    std::size_t stride) const;
  void apply_real(const LeftRows& left, std::size_t rows, std::size_t begin, std::size_t end, float* c,
                  std::size_t stride) const;
  void apply_integers(const LeftRows& left, std::size_t rows, std::size_t begin, std::size_t end,
                      const Target& target, Finish finish) const;
  /// All terms of columns [begin, end); `kept` holds the kept channels' values [rows, kept_.size()].
  void apply_terms(const LeftRows& left, const float* kept, std::size_t rows, std::size_t begin,
                   std::size_t end, const Target& target, Finish finish) const;

  Form form_ = Form::real;
  RealPrecision precision_ = RealPrecision::float32;
  Result result_;
  std::size_t in_ = 0, out_ = 0;
  std::vector<Term> terms_;
  AlignedVector<char> panels_;
  /// [terms, out] sums of the weight's codes and its scales; of a fixed term Int8Product's col_shift,
  /// col_scale and col_rest.
  AlignedVector<std::int32_t> col_sums_;
  AlignedVector<float> col_scale_, col_rest_;
  AlignedVector<float> bias_;
  AlignedVector<double> col_factor_, col_addend_;  ///< as Int8Product has them; else empty
  AlignedVector<float> real_panels_;               ///< Form::real, or the kept channels of Form::segments
  AlignedVector<std::uint16_t> bf16_panels_;
  std::vector<std::size_t> kept_;
  /// Where left rows keep outliers: the weight's codes + 128, [in, out], so that a channel lies in one run.
  AlignedVector<std::uint8_t> outlier_codes_;
};

}  // namespace outlierlab::engine
