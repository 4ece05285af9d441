#include "report/verdicts.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "report/coverage.h"
#include "report/deployment.h"
#include "report/loss.h"
#include "report/measurement.h"
#include "report/trend.h"

namespace outlierlab {

namespace {

using Measurements = std::vector<Measurement>;

/// A claim about the repair of W8A8's loss: `judge` is asked only if there is a loss to repair.
template <typename Judge>
void judge_repair(Verdict& verdict, const Measurements& all, const std::string& experiment, Judge judge) {
  const auto loss = loss_of(all);
  if (!loss) {
    verdict.figures = "no accuracy of fp32 and w8a8 in " + experiment;
    return;
  }
  if (!loss->significant()) {
    verdict.outcome = Outcome::nothing_to_repair;
    verdict.figures = loss->text() + ": no significant loss to repair";
    return;
  }
  judge(*loss);
  if (verdict.outcome == Outcome::no_data) return;
  verdict.figures = loss->text() + "; " + verdict.figures;
  if (verdict.outcome == Outcome::confirmed && !loss->resolves_shares()) {
    verdict.outcome = Outcome::partly;
    verdict.figures += "; the loss is too small to resolve shares of it";
  }
}

Verdict judge_collapse(const ResultSet& results) {
  Verdict verdict{"C1", "Global W8A8 collapses", Outcome::no_data, "", "", "FP32 89.66, W8A8 54.33"};
  verdict.rule = fmt::format(
      "confirmed: W8A8's 95 % interval lies below FP32's and at least half of FP32's distance to chance "
      "({:g} %) is "
      "lost; partly: a smaller loss with McNemar p < 0.01",
      results.chance);
  const auto loss = loss_of(measurements(results.rows("baseline")));
  if (!loss) {
    verdict.figures = "no accuracy of fp32 and w8a8 in baseline";
    return verdict;
  }
  const double distance = loss->fp32.value - results.chance;
  const double share = distance > 0 ? loss->size() / distance : 0;
  const bool apart = loss->w8a8.high < loss->fp32.low;
  verdict.outcome = apart && share >= 0.5 ? Outcome::confirmed
                    : loss->significant() ? Outcome::partly
                                          : Outcome::not_confirmed;
  verdict.figures = loss->text() + fmt::format(": {:.0f} % of the distance to chance is lost", 100 * share);
  return verdict;
}

Verdict judge_tails(const ResultSet& results) {
  Verdict verdict{
      "C2",
      "Activations grow heavy-tailed with depth",
      Outcome::no_data,
      "confirmed: kurtosis at y (ffn_residual) rises with the layer (Spearman's rho >= 0.7, three layers or "
      "more) and exceeds 30 in some layer (a normal gives 3); partly: one of the two",
      "",
      "kurtosis up to 271"};
  const auto points = by_layer(measurements(results.rows("activations")), "kurtosis");
  if (points.empty()) {
    verdict.figures = "no kurtosis of ffn_residual in activations";
    return verdict;
  }
  const double rho = spearman(points);
  const auto [layer, kurtosis] = highest(points);
  const bool rising = rises(points), heavy = kurtosis > 30;
  verdict.outcome = rising && heavy   ? Outcome::confirmed
                    : rising || heavy ? Outcome::partly
                                      : Outcome::not_confirmed;
  verdict.figures =
      fmt::format("kurtosis {} with depth (rho = {:.2f} over {} layers); largest kurtosis {} in layer {:g}",
                  trend_word(points), rho, points.size(), format_number(kurtosis), layer);
  return verdict;
}

Verdict judge_energy(const ResultSet& results) {
  Verdict verdict{"C3",
                  "Energy sits in few channels",
                  Outcome::no_data,
                  "confirmed: the top 1 % of channels hold 40 % or more of the energy at y in some layer; "
                  "partly: 20 % or "
                  "more (an even spread gives 1 %)",
                  "",
                  "about 55 %"};
  const auto points = by_layer(measurements(results.rows("activations")), "top1_energy");
  if (points.empty()) {
    verdict.figures = "no top1_energy of ffn_residual in activations";
    return verdict;
  }
  const auto [layer, share] = highest(points);
  verdict.outcome = share >= 40 ? Outcome::confirmed : share >= 20 ? Outcome::partly : Outcome::not_confirmed;
  verdict.figures = fmt::format("{:.1f} % in layer {:g}", share, layer);
  return verdict;
}

Verdict judge_calibration(const ResultSet& results) {
  Verdict verdict{
      "C4",
      "Clipping and percentiles do not repair it",
      Outcome::no_data,
      "confirmed: the best percentile and the best clip, chosen on the evaluated examples themselves, each "
      "recover less than a quarter of W8A8's loss; partly: less than half (with percentiles 99, 99.9, 99.99 "
      "and three clip settings or more)",
      "",
      "percentiles 99.0 to 99.99: 50.54"};
  const Measurements all = measurements(results.rows("calibration"));
  judge_repair(verdict, all, "calibration", [&](const Loss& loss) {
    const auto percentiles = accuracies(all, "percentile"), clips = accuracies(all, "clip");
    if (percentiles.empty() || clips.empty()) {
      verdict.figures =
          std::string("no accuracy of ") + (percentiles.empty() ? "percentile" : "clip") + " in calibration";
      return;
    }
    // The claim is about a maximum, so what is missing must not speak for it.
    for (const char* value : {"99", "99.9", "99.99"}) {
      if (!find_measurement(all, "percentile", "percentile", value, "accuracy")) {
        verdict.figures = std::string("no accuracy of percentile ") + value + " in calibration";
        return;
      }
    }
    if (clips.size() < 3) {
      verdict.figures = fmt::format("{} of at least 3 clip settings in calibration", clips.size());
      return;
    }
    const Accuracy &percentile = best(percentiles), &clip = best(clips);
    const double recovery = std::max(loss.recovery(percentile), loss.recovery(clip));
    verdict.outcome = recovery < 0.25  ? Outcome::confirmed
                      : recovery < 0.5 ? Outcome::partly
                                       : Outcome::not_confirmed;
    verdict.figures = "best " + loss.recovered(percentile) + alike(percentiles) + ", best " +
                      loss.recovered(clip) + alike(clips) + "; chosen on the evaluated examples";
  });
  return verdict;
}

Verdict judge_mixed_precision(const ResultSet& results) {
  Verdict verdict{
      "C5",
      "Mixed precision repairs it",
      Outcome::no_data,
      "confirmed: with x, h and y in float the accuracy is within 1 point of FP32's (or the intervals "
      "overlap) "
      "and its interval lies above W8A8's; partly: it recovers half of the loss or more, or another mixed "
      "variant meets the rule",
      "",
      "89.42"};
  const Measurements all = measurements(results.rows("mixed_precision"));
  judge_repair(verdict, all, "mixed_precision", [&](const Loss& loss) {
    const Measurement* main = find_measurement(all, "sites", "float", "x+h+y", "accuracy");
    if (!main) {
      verdict.figures = "no accuracy of sites float=x+h+y in mixed_precision";
      return;
    }
    const auto repairs = [&](const Accuracy& a) {
      return (a.value >= loss.fp32.value - 1 || overlap(a, loss.fp32)) && a.low > loss.w8a8.high;
    };
    const Accuracy xhy = accuracy_of(*main);
    std::vector<Accuracy> others = accuracies(all, "channels");
    for (const Accuracy& a : accuracies(all, "sites")) others.push_back(a);
    const Accuracy& top = best(others);
    verdict.outcome = repairs(xhy)                                ? Outcome::confirmed
                      : loss.recovery(xhy) >= 0.5 || repairs(top) ? Outcome::partly
                                                                  : Outcome::not_confirmed;
    verdict.figures = loss.recovered(xhy);
    if (top.name != xhy.name) verdict.figures += ", best " + loss.recovered(top);
  });
  return verdict;
}

/// Accuracy by the number of groups.
std::vector<std::pair<int, Accuracy>> by_groups(const Measurements& all, const std::string& variant) {
  std::vector<std::pair<int, Accuracy>> points;
  for (const Measurement& m : all) {
    if (m.variant != variant || m.parameter != "groups" || m.metric != "accuracy") continue;
    int groups = 0;
    const char* end = m.value.data() + m.value.size();
    if (std::from_chars(m.value.data(), end, groups).ptr != end || groups < 1) {
      fail_expected("peg: " + variant, "a number of groups", "'" + m.value + "'");
    }
    points.emplace_back(groups, accuracy_of(m));
  }
  std::sort(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return points;
}

/// No accuracy lies below that of fewer groups, beyond the intervals.
bool never_falls(const std::vector<std::pair<int, Accuracy>>& points) {
  double highest_low = 0;
  for (const auto& [groups, accuracy] : points) {
    if (accuracy.high < highest_low) return false;
    highest_low = std::max(highest_low, accuracy.low);
  }
  return true;
}

Verdict judge_groups(const ResultSet& results) {
  Verdict verdict{"C6",
                  "PEG repairs it once the groups are fine enough",
                  Outcome::no_data,
                  "confirmed: some K <= 16 recovers three quarters of W8A8's loss, K = 1 (else W8A8) less "
                  "than a quarter, "
                  "and accuracy does not fall as K grows (beyond the intervals), with or without "
                  "permutation; partly: some "
                  "K <= 16 recovers half",
                  "",
                  "K=3 66.12, K=4 86.18"};
  const Measurements all = measurements(results.rows("peg"));
  judge_repair(verdict, all, "peg", [&](const Loss& loss) {
    for (const char* variant : {"peg", "peg-permuted"}) {
      auto points = by_groups(all, variant);
      const double coarse = !points.empty() && points[0].first == 1 ? loss.recovery(points[0].second) : 0;
      std::vector<Accuracy> fine;
      for (const auto& [groups, accuracy] : points) {
        if (groups > 1 && groups <= 16) fine.push_back(accuracy);
      }
      if (fine.empty()) continue;
      const Accuracy& top = best(fine);
      const bool rises = never_falls(points);
      const Outcome outcome = rises && coarse < 0.25 && loss.recovery(top) >= 0.75 ? Outcome::confirmed
                              : loss.recovery(top) >= 0.5                          ? Outcome::partly
                                                                                   : Outcome::not_confirmed;
      verdict.outcome = std::min(verdict.outcome, outcome);
      if (!verdict.figures.empty()) verdict.figures += ", ";
      verdict.figures += "best " + loss.recovered(top) + (rises ? "" : ", not rising with K") +
                         fmt::format(", K=1 recovers {:.0f} %", 100 * coarse);
    }
    if (verdict.outcome == Outcome::no_data)
      verdict.figures = "no accuracy of peg with 2 to 16 groups in peg";
  });
  return verdict;
}

/// Says on how many examples a verdict rests; fewer than the whole split cannot show that there is no effect.
void count_examples(Verdict& verdict, const Coverage& coverage) {
  if (verdict.outcome == Outcome::no_data) return;
  const bool no_effect =
      verdict.outcome == Outcome::not_confirmed || verdict.outcome == Outcome::nothing_to_repair;
  if (coverage.limited && no_effect) verdict.outcome = Outcome::too_few_examples;
  const std::string text = coverage.text();
  if (text.empty()) return;
  verdict.figures = !coverage.limited ? verdict.figures + "; " + text
                    : verdict.outcome == Outcome::too_few_examples
                        ? "too few to tell on " + text + ": " + verdict.figures
                        : "on " + text + ": " + verdict.figures;
}

}  // namespace

const char* to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::confirmed:
      return "confirmed";
    case Outcome::partly:
      return "partly";
    case Outcome::not_confirmed:
      return "not confirmed";
    case Outcome::too_few_examples:
      return "too few examples";
    case Outcome::nothing_to_repair:
      return "nothing to repair";
    case Outcome::no_data:
      break;
  }
  return "no data";
}

std::vector<Verdict> verdicts(const ResultSet& results) {
  const auto on = [&](const char* experiment, Verdict verdict) {
    count_examples(verdict, coverage_of(results, experiment));
    const auto record = results.records.find(experiment);
    if (verdict.outcome == Outcome::no_data || record == results.records.end()) return verdict;
    for (const std::string& key : record->second.overrides) verdict.figures += "; with " + key;
    if (const std::string& part = record->second.unfinished; !part.empty())
      verdict.figures += "; the run is unfinished, " + part;
    return verdict;
  };
  // C7 is about times, which do not depend on how many examples were evaluated.
  return {on("baseline", judge_collapse(results)),
          on("activations", judge_tails(results)),
          on("activations", judge_energy(results)),
          on("calibration", judge_calibration(results)),
          on("mixed_precision", judge_mixed_precision(results)),
          on("peg", judge_groups(results)),
          on("deployment", judge_deployment(results))};
}

Table verdict_table(const std::vector<Verdict>& verdicts) {
  Table table{"", {"Claim", "Verdict", "Ours", "Paper", "Rule"}, {}};
  for (const Verdict& v : verdicts) {
    table.rows.push_back({v.claim + " " + v.title, to_string(v.outcome), v.figures, v.paper, v.rule});
  }
  return table;
}

}  // namespace outlierlab
