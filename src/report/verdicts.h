#pragma once

#include <string>
#include <vector>

#include "report/results.h"
#include "report/table.h"

namespace outlierlab {

enum class Outcome {
  confirmed,
  partly,
  not_confirmed,
  too_few_examples,   ///< a run of a part of the split found no effect, which the whole split may show
  nothing_to_repair,  ///< W8A8 lost nothing significant: a claim about its repair cannot be tested
  no_data
};
const char* to_string(Outcome outcome);

/// What the rows say about one claim of the paper.
struct Verdict {
  std::string claim;  ///< "C1"
  std::string title;  ///< the claim in words
  Outcome outcome = Outcome::no_data;
  std::string rule;     ///< the rule in words
  std::string figures;  ///< what it rests on; for no_data, what is missing
  std::string paper;    ///< the paper's figures
};

/// One verdict per claim C1 to C7 (docs/design.md, section 1), from the rows alone. The rules use shares of
/// the model's own loss, so that they apply to any model:
/// - loss: FP32's accuracy minus W8A8's. It is significant if McNemar's p < 0.01, or, where there is no p, if
/// the 95 %
///   intervals do not overlap.
/// - recovery of a variant: (its accuracy - W8A8's) / loss.
/// - a loss below twice the width of FP32's interval leaves shares of it uncertain by a quarter or more; a
/// repair is
///   then at most "partly".
/// - where a run evaluated a part of the split only (--limit), not having found an effect says nothing:
/// neither "not confirmed" nor "nothing to repair" is given, but "too few examples".
std::vector<Verdict> verdicts(const ResultSet& results);

/// Claim, verdict, figures, paper, rule.
Table verdict_table(const std::vector<Verdict>& verdicts);

}  // namespace outlierlab
