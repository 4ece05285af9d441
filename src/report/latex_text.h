#pragma once

#include <cstdint>
#include <string>

#include "report/measurement.h"
#include "report/paper_values.h"

namespace outlierlab {

/// First line of every file that LaTeX gets from us; what bears it may be replaced or removed.
extern const char* const latex_mark;

/// A sentence as LaTeX: escaped, with 1.2e-05 as a power of ten, <= and >= as signs.
std::string latex_prose(const std::string& text);

/// A figure of a metric as LaTeX: percentages with two decimals, counts without, p below 0.001 as "<0.001".
std::string latex_number(double value, const std::string& metric);

/// A share in whole percent: "38", "$-$4".
std::string latex_percent(double percent);

/// "5\,463"
std::string latex_count(std::uint64_t n);

/// "82.70 [81.68, 83.68]", or the bare estimate where there is no interval.
std::string latex_with_interval(const Measurement& m);

/// "89.66", "58--59", "up to 271"
std::string latex_paper(const PaperValue& value);

/// A metric as a column's title, with its unit.
std::string latex_metric(const std::string& metric);

}  // namespace outlierlab
