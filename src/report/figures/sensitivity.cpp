// Which single site matters: everything quantized but one, and one quantized alone. The sites with the
// largest effect, each with its interval.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "report/figures/drawing.h"
#include "report/figures/figures.h"
#include "report/figures/theme.h"

namespace outlierlab {

namespace {

constexpr std::size_t most_sites = 12;
constexpr double row_mm = 3.7;

/// The sites of one study, the largest effect first.
struct Ranking {
  std::vector<AccuracyPoint> shown;
  double median = 0;
  std::size_t sites = 0;
  std::optional<double> fp32, w8a8;  ///< on the same examples
};

Ranking ranking(const ResultSet& set, const std::string& variant, bool highest_first) {
  Ranking r;
  r.shown = accuracy_points(set, "mixed_precision", variant, "site");
  r.sites = r.shown.size();
  if (r.shown.empty()) return r;
  const std::vector<Measurement> all = measurements(set.rows("mixed_precision"));
  if (const Measurement* m = find_measurement(all, "fp32", "site", "none", "accuracy"))
    r.fp32 = m->estimate();
  if (const Measurement* m = find_measurement(all, "w8a8", "site", "all", "accuracy")) r.w8a8 = m->estimate();
  std::stable_sort(r.shown.begin(), r.shown.end(), [&](const AccuracyPoint& a, const AccuracyPoint& b) {
    // On a tie the divergence from float decides.
    const auto effect = [&](const AccuracyPoint& p) {
      return std::pair((highest_first ? -1 : 1) * p.accuracy.value,
                       (highest_first ? 1 : -1) * p.kl.value_or(0));
    };
    return effect(a) < effect(b);
  });
  r.median = r.shown[r.shown.size() / 2].accuracy.value;
  r.shown.resize(std::min(r.shown.size(), most_sites));
  return r;
}

/// What the first of a ranking tells, if the median site lies outside its interval.
std::string finding(const Ranking& r, const std::string& when, const std::string& what,
                    const std::string& else_) {
  const AccuracyPoint& first = r.shown.front();
  if (r.median >= first.accuracy.low && r.median <= first.accuracy.high) {
    return fmt::format(" {}{}.", static_cast<char>(std::toupper(else_.front())), else_.substr(1));
  }
  return fmt::format(" {}{} {} ({} % against {} % for the median site).", when, first.value, what,
                     percent(first.accuracy.value), percent(r.median));
}

struct Half {
  std::string series, title;
  int style;
  const Ranking* ranking;
  Panel panel;
};

std::string draw(const Drawing& d, const Half& half, const Span& axis, double chance) {
  std::string names;
  for (std::size_t i = 0; i < half.ranking->shown.size(); ++i) {
    names += (i ? ", " : "") + tic_name(half.ranking->shown[i].value) + fmt::format(" {}", i + 1);
  }
  std::string commands =
      margins(d, half.panel) + x_title(d, half.panel, "accuracy (%)") +
      text_at(d, (half.panel.left + half.panel.right) / 2, d.height - 2.2, half.title, "center");
  std::vector<Reference> references = {{chance, style::chance, "chance"}};
  if (half.ranking->fp32) references.push_back({*half.ranking->fp32, style::fp32, "FP32"});
  if (half.ranking->w8a8) references.push_back({*half.ranking->w8a8, style::w8a8, "W8A8"});
  // Files from before there were such rows.
  if (references.size() == 1) references.push_back({half.ranking->median, style::fp32, "median site"});
  std::vector<double> places;
  for (const Reference& r : references) places.push_back(r.value);
  const double label_gap =
      (references.size() == 2 ? 13 : 9) * (axis.high - axis.low) / (half.panel.right - half.panel.left);
  places = spread_apart(places, label_gap, axis);
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Reference& r = references[i];
    commands += fmt::format(
        "set arrow from first {0}, graph 0 to first {0}, graph 1 nohead linestyle {1} back\n"
        "set label {2} at first {3}, screen {4:.5f} center textcolor linestyle {1}\n",
        number(r.value), r.style, literal(r.label), number(places[i]), (half.panel.top + 1.8) / d.height);
  }
  commands += fmt::format("set xrange [{}:{}]\nset yrange [{}.5:0.5]\nset ytics ({}) scale 0\n", axis.low,
                          axis.high, most_sites, names);
  return commands +
         plot({fmt::format("data using (at({0}, 'accuracy')):'rank':'ci_low':'ci_high' with xerrorbars "
                           "linestyle {1} linewidth 1.5 dashtype 1",
                           literal(half.series), half.style)});
}

}  // namespace

std::optional<Drawing> draw_sensitivity(const ResultSets& sets) {
  const ResultSet& set = *sets.front();
  const Ranking alone = ranking(set, "only_one", false), spared = ranking(set, "leave_one_out", true);
  if (alone.shown.empty() || alone.sites != spared.sites) return std::nullopt;

  Drawing d;
  d.title = "Sensitivity of single sites";
  d.caption = fmt::format(
      "{}: the {} of {} sites that matter most, with 95 % intervals, on the first {} examples.{}{}",
      display_name(set), alone.shown.size(), alone.sites, count_text(alone.shown[0].n),
      finding(alone, "Quantized alone, ", "costs most", "quantizing a single site costs nothing significant"),
      finding(spared, "Left in float while all others have 8 bits, ", "gives most",
              "leaving a single site in float gives nothing significant"));
  d.tells_examples = true;
  d.width = double_column;
  d.height = row_mm * static_cast<double>(most_sites) + 19;
  d.columns = {"series", "rank", "accuracy", "ci_low", "ci_high", "site"};
  std::vector<double> shown = {set.chance, alone.median, spared.median};
  for (const auto& reference : {alone.fp32, alone.w8a8}) {
    if (reference) shown.push_back(*reference);
  }
  for (const Ranking* r : {&alone, &spared}) {
    for (std::size_t i = 0; i < r->shown.size(); ++i) {
      const Accuracy& a = r->shown[i].accuracy;
      d.add({r == &alone ? "only_one" : "leave_one_out", std::to_string(i + 1), number(a.value),
             number(a.low), number(a.high), r->shown[i].value});
      shown.insert(shown.end(), {a.low, a.high});
    }
  }
  const Span axis = accuracy_span(shown);
  const double top = d.height - 9;
  d.panels = {
      draw(d, {"only_one", "only this site has 8 bits", 2, &alone, {38, 88, 10, top}}, axis, set.chance),
      draw(d, {"leave_one_out", "all sites but this have 8 bits", 1, &spared, {130, 180, 10, top}}, axis,
           set.chance)};
  return d;
}

}  // namespace outlierlab
