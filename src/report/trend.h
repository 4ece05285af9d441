#pragma once

#include <string>
#include <utility>
#include <vector>

#include "report/measurement.h"

namespace outlierlab {

/// (layer, estimate) of a metric at the site y (ffn_residual), by layer. A layer that is no number throws
/// Error.
std::vector<std::pair<double, double>> by_layer(const std::vector<Measurement>& all,
                                                const std::string& metric);

/// The first of those with the largest estimate; there must be one.
std::pair<double, double> highest(const std::vector<std::pair<double, double>>& points);

/// Spearman's rank correlation, ties at their mean rank; 0 where one side does not vary.
double spearman(const std::vector<std::pair<double, double>>& points);

/// From this on, and over three points or more, a rank correlation counts as a trend.
constexpr double trend_rho = 0.7;
bool rises(const std::vector<std::pair<double, double>>& points);
/// "rises", "falls", "neither rises nor falls steadily".
std::string trend_word(const std::vector<std::pair<double, double>>& points);

}  // namespace outlierlab
