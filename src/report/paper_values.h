#pragma once

#include <string>
#include <vector>

namespace outlierlab {

/// A figure of the paper (arXiv 2603.04308: BERT-base on QNLI), keyed like our rows so that it can stand
/// beside them.
struct PaperValue {
  std::string claim;  ///< "C1"
  std::string experiment, variant, parameter, value, metric;
  double low, high;      ///< equal unless the paper gives a span
  bool at_most = false;  ///< the paper says "up to"

  /// "54.33", "58-59", "up to 271"
  std::string text() const;
};

const std::vector<PaperValue>& paper_values();

/// The paper's figure for a row's key, or null. Values that are numbers compare as numbers ("99" is "99.0").
const PaperValue* find_paper_value(const std::string& experiment, const std::string& variant,
                                   const std::string& parameter, const std::string& value,
                                   const std::string& metric);

}  // namespace outlierlab
