#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "report/measurement.h"
#include "report/results.h"

namespace outlierlab {

/// How much of the split the rows of one experiment rest on: the n of FP32's accuracy, else what the run
/// record says. Nothing of experiments that time: theirs are not examples of a split.
struct Coverage {
  std::uint64_t examples = 0;  ///< 0: not told
  std::uint64_t split = 0;     ///< the whole split's; 0: not told
  bool limited = false;        ///< fewer than the whole split, by the run's --limit

  /// "n = 5,463"; "the first 100 of 5,463 examples"; empty where n is not told.
  std::string text() const;
};
Coverage coverage_of(const ResultSet& results, const std::string& experiment);

/// The n that all accuracies share; 0 where they differ or do not tell.
std::uint64_t common_examples(const std::vector<Measurement>& all);

/// "5,463".
std::string count_with_commas(std::uint64_t n);

}  // namespace outlierlab
