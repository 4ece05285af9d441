#pragma once

#include <cstddef>

#include "core/matrix.h"
#include "engine/cpu/int8_gemm.h"
#include "engine/cpu/row_kernels.h"
#include "engine/model.h"

namespace outlierlab::engine {

/// Lets a product store codes of a tensor's grid.
inline void set_grid(Int8Product& product, const RowFormat& grid) {
  product.low = grid.low_steps();
  product.high = grid.high_steps();
  product.inverse = grid.inverse;
  product.inverse_rest = grid.rest;
  product.offset = grid.offset;
}

/// Owns the arrays behind a RowFormat.
class SiteRows {
 public:
  SiteRows() = default;
  explicit SiteRows(const SiteFormat& site);
  const RowFormat& format() const { return format_; }
  /// The format with the grid of one column (a head) for all values.
  RowFormat of_head(std::size_t head) const;

 private:
  RowFormat format_;
  AlignedVector<float> inverse_, rest_, scale_, low_, high_, offset_;
};

}  // namespace outlierlab::engine
