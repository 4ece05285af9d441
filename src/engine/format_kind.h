#pragma once

namespace outlierlab::engine {

/// How the values of a site share grids.
enum class FormatKind : unsigned char {
  real,     ///< float: not quantized
  tensor,   ///< one static grid
  columns,  ///< a static grid per channel: PEG's groups, and mixed precision by channel
  rows      ///< each row's own range, at run time (per token)
};

}  // namespace outlierlab::engine
