// Rows as an experiment would write them, for tests of what reads them.
#pragma once

#include <string>

#include "report/row.h"

namespace test {

inline outlierlab::Row row(const std::string& variant, const std::string& parameter, const std::string& value,
                           const std::string& metric, double estimate) {
  outlierlab::Row r;
  r.variant = variant;
  r.parameter = parameter;
  r.value = value;
  r.metric = metric;
  r.estimate = estimate;
  return r;
}

inline outlierlab::Row accuracy(const std::string& variant, double estimate,
                                const std::string& parameter = "", const std::string& value = "",
                                double half = 1) {
  outlierlab::Row r = row(variant, parameter, value, "accuracy", estimate);
  r.ci_low = estimate - half;
  r.ci_high = estimate + half;
  return r;
}

}  // namespace test
