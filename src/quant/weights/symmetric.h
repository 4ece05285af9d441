// What weight quantizers with one symmetric grid per tensor, row or block share.
#pragma once

#include <functional>

#include "quant/weight_quantizer.h"

namespace outlierlab {

/// Sum of squared errors over the values of one unit (a tensor, row or block) on a grid.
using UnitError = std::function<double(const Grid&)>;
/// The absmax at which a unit's grid ends; `absmax` is the largest magnitude in the unit.
using ClipChoice = std::function<float(float absmax, const UnitError& error)>;

/// Quantizes each unit on Grid::symmetric(choose(...)). stored_bytes: bits / 8 per value, packed unit by
/// unit, and four bytes per scale. Error naming the weight if it holds a NaN or an Inf.
QuantizedWeight quantize_symmetric(const Matrix& weight, const WeightContext& context,
                                   const ClipChoice& choose);

}  // namespace outlierlab
