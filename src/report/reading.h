#pragma once

#include <string>

#include "report/results.h"

namespace outlierlab {

/// What one experiment's rows say, in two sentences composed by rule from the same quantities as the
/// verdicts (loss, recovery, Spearman's order of layers). An experiment without a rule of its own is summed
/// up by its best and worst accuracy; rows that lack what the rule needs give a sentence that says so.
std::string reading(const std::string& experiment, const ResultSet& results);

}  // namespace outlierlab
