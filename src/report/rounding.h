#pragma once

#include <string>
#include <vector>

#include "report/measurement.h"
#include "report/table.h"

namespace outlierlab {

/// What the experiment `rounding` found, in a few sentences.
std::string read_rounding(const std::vector<Measurement>& all);

/// Predictions by scheme; then, as a detail, the values that were moved along the residual stream, a column
/// per scheme.
std::vector<Table> rounding_tables(const std::vector<Measurement>& all);

}  // namespace outlierlab
