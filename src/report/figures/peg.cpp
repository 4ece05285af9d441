// Accuracy against the number of groups of per-embedding-group quantization.
#include <fmt/format.h>

#include <cmath>

#include "report/figures/drawing.h"
#include "report/figures/figures.h"
#include "report/figures/theme.h"

namespace outlierlab {

namespace {

/// "K = 4 (85.9 %)": the first point that makes good 90 % of the loss.
std::string first_repair(const std::vector<AccuracyPoint>& points, const Loss& loss) {
  for (const AccuracyPoint& p : points) {
    if (loss.recovery(p.accuracy) >= 0.9)
      return fmt::format("K = {} ({} %)", p.value, percent(p.accuracy.value));
  }
  return "none of the tried K";
}

std::string caption(const ResultSet& set, const Loss& loss, const std::vector<AccuracyPoint>& plain,
                    const std::vector<AccuracyPoint>& sorted) {
  std::string text = fmt::format(
      "{}: accuracy with K groups of channels at x, h and y, with 95 % intervals (FP32 {} %, W8A8 {} %).",
      display_name(set), percent(loss.fp32.value), percent(loss.w8a8.value));
  if (!loss.significant())
    return text + " W8A8 loses nothing significant here, so there is nothing to repair.";
  return text +
         fmt::format(
             " 90 % of the loss is first made good at {} with neighbouring channels, and at {} with channels "
             "sorted by range.",
             first_repair(plain, loss), first_repair(sorted, loss));
}

}  // namespace

std::optional<Drawing> draw_peg(const std::vector<const ResultSet*>& sets) {
  const ResultSet& set = *sets.front();
  const std::vector<AccuracyPoint> plain = accuracy_points(set, "peg", "peg", "groups"),
                                   sorted = accuracy_points(set, "peg", "peg-permuted", "groups");
  const std::optional<Loss> loss = loss_of(measurements(set.rows("peg")));
  if (!loss || plain.empty() || sorted.empty()) return std::nullopt;

  Drawing d{"Accuracy against the number of groups",
            caption(set, *loss, plain, sorted),
            single_column,
            62,
            {"series", "groups", "accuracy", "ci_low", "ci_high"},
            {},
            {}};
  std::vector<double> shown = {loss->fp32.value, loss->w8a8.value, set.chance};
  std::string tics;
  const Panel panel{12, 79, 9, 52};
  for (const auto* points : {&plain, &sorted}) {
    for (const AccuracyPoint& p : *points) {
      d.add({points == &plain ? "neighbours" : "sorted", p.value, number(p.accuracy.value),
             number(p.accuracy.low), number(p.accuracy.high)});
      shown.insert(shown.end(), {p.accuracy.low, p.accuracy.high});
    }
  }
  bool in_paper = false;
  // Names of neighbouring tics must not touch.
  const double mm_per_octave =
      (panel.right - panel.left) / std::log2(1.25 * 1.25 * plain.back().x / plain.front().x);
  const auto has_room = [&](const AccuracyPoint& left, const AccuracyPoint& right) {
    const double needed = (text_width_mm(left.value) + text_width_mm(right.value)) / 2 + 0.8;
    return mm_per_octave * std::log2(right.x / left.x) >= needed;
  };
  const AccuracyPoint* named = nullptr;
  for (const AccuracyPoint& p : plain) {
    const bool is_last = &p == &plain.back();
    const bool fits = (!named || has_room(*named, p)) && (is_last || has_room(p, plain.back()));
    tics += (tics.empty() ? "" : ", ") + literal(fits ? p.value : "") + " " + p.value;
    if (fits) named = &p;
    if (!p.paper) continue;
    in_paper = true;
    d.add({"paper", p.value, number(*p.paper), "NaN", "NaN"});
    shown.push_back(*p.paper);
  }
  const Span axis = accuracy_span(shown);
  std::string commands =
      margins(d, panel) +
      fmt::format("set logscale x 2\nset xrange [{}:{}]\nset xtics ({})\nset yrange [{}:{}]\n",
                  plain.front().x / 1.25, plain.back().x * 1.25, tics, axis.low, axis.high) +
      x_title(d, panel, "groups K per site (log scale)") + y_title(d, panel, "accuracy (%)") +
      horizontal_references(accuracy_references(set, "peg"), axis, panel.top - panel.bottom);
  std::vector<std::string> curves = {curve_with_intervals("neighbours", "groups", 1, "0.98 * "),
                                     curve_with_intervals("sorted", "groups", 2, "1.02 * ")};
  std::vector<KeyEntry> entries = {{1, "neighbouring channels"}, {2, "channels sorted by range"}};
  if (in_paper) {
    curves.push_back(paper_points("paper", "groups"));
    entries.push_back(paper_key());
  }
  d.panels = {commands + key(d, entries, panel.left) + plot(curves)};
  return d;
}

}  // namespace outlierlab
