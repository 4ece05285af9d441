#pragma once

#include <vector>

namespace outlierlab {

/// Between the two values that are nearest in order, in proportion (Hyndman and Fan 1996, type 7); q from 0
/// to 1. 0 without values.
double quantile(std::vector<double> values, double q);

/// The middle value, or the mean of the two in the middle; 0 without values.
double median(std::vector<double> values);

}  // namespace outlierlab
