// Accuracy against the percentile, against the clipping bound, and of the calibrators without such a
// parameter.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/figures/drawing.h"
#include "report/figures/figures.h"
#include "report/figures/theme.h"

namespace outlierlab {

namespace {

struct Family {
  std::string variant, parameter;
};

bool is_one_of(const Measurement& m, const std::vector<Family>& families) {
  return std::any_of(families.begin(), families.end(),
                     [&](const Family& f) { return f.variant == m.variant && f.parameter == m.parameter; });
}

/// One panel: points at 1, 2, ... with their names below.
struct Column {
  std::string title, series;
  std::vector<AccuracyPoint> points;
  bool joined = true;  ///< the points are values of one parameter
};

std::vector<Column> columns_of(const ResultSet& set) {
  const std::vector<Family> families = {{"percentile", "percentile"}, {"clip", "sigmas"}, {"clip", "bound"}};
  std::vector<Column> columns = {
      {"percentile", "percentile", accuracy_points(set, "calibration", "percentile", "percentile"), true},
      {"clip at mean ± k sd (k)", "sigmas", accuracy_points(set, "calibration", "clip", "sigmas"), true},
      {"clip at |v| = b (b)", "bound", accuracy_points(set, "calibration", "clip", "bound"), true},
      {"others", "others", {}, false}};
  const std::vector<AccuracyPoint> minmax = accuracy_points(set, "calibration", "minmax", "");
  for (const Measurement& m : measurements(set.rows("calibration"))) {
    if (m.metric != "accuracy" || m.variant == "fp32" || is_one_of(m, families)) continue;
    const std::vector<AccuracyPoint> all = accuracy_points(set, "calibration", m.variant, m.parameter);
    for (AccuracyPoint point : all) {
      if (point.value != m.value) continue;
      point.value = m.variant + (m.value.empty() ? "" : " " + m.value);
      columns.back().points.push_back(point);
    }
  }
  // The 100th percentile is min-max itself.
  if (!minmax.empty() && !columns[0].points.empty()) {
    columns[0].points.push_back(minmax.front());
    columns[0].points.back().value = "100";
  }
  columns.erase(
      std::remove_if(columns.begin(), columns.end(), [](const Column& c) { return c.points.empty(); }),
      columns.end());
  return columns;
}

/// The share of the width that a panel needs: names of percentiles are long.
double room(const Column& column) {
  return (column.series == "percentile" ? 1.25 : 1) * static_cast<double>(column.points.size() + 1);
}

std::string name_of(const Column& column, const AccuracyPoint& point) {
  if (column.series == "percentile") return "percentile " + point.value;
  if (column.series == "sigmas") return "clip at " + point.value + " sd";
  return column.series == "bound" ? "clip at |v| = " + point.value : point.value;
}

std::string caption(const ResultSet& set, const Loss& loss, const std::vector<Column>& columns) {
  std::string text = fmt::format(
      "{}: accuracy of W8A8 with other ways to choose one static range per tensor, with "
      "95 % intervals (FP32 {} %, min-max {} %).",
      display_name(set), percent(loss.fp32.value), percent(loss.w8a8.value));
  if (!loss.significant())
    return text + " W8A8 loses nothing significant here, so there is nothing to repair.";
  const AccuracyPoint* best = nullptr;
  std::string name;
  for (const Column& column : columns) {
    for (const AccuracyPoint& p : column.points) {
      if (best && p.accuracy.value <= best->accuracy.value) continue;
      best = &p;
      name = name_of(column, p);
    }
  }
  std::vector<Accuracy> all;
  for (const Column& column : columns) {
    for (const AccuracyPoint& p : column.points) all.push_back(p.accuracy);
  }
  return text + fmt::format(
                    " The best, {}{}, chosen on the same examples, reaches {} % and recovers {:.0f} % of "
                    "the loss.",
                    name, alike(all), percent(best->accuracy.value), 100 * loss.recovery(best->accuracy));
}

}  // namespace

std::optional<Drawing> draw_calibration(const ResultSets& sets) {
  const ResultSet& set = *sets.front();
  const std::vector<Column> columns = columns_of(set);
  const std::optional<Loss> loss = loss_of(measurements(set.rows("calibration")));
  if (!loss || columns.empty()) return std::nullopt;

  Drawing d;
  d.title = "Accuracy against percentile and clipping bound";
  d.caption = caption(set, *loss, columns);
  d.width = double_column;
  d.height = 62;
  d.columns = {"series", "place", "accuracy", "ci_low", "ci_high", "value"};
  std::vector<double> shown = {loss->fp32.value, loss->w8a8.value, set.chance};
  double slots = 0;
  bool in_paper = false;
  for (const Column& column : columns) {
    slots += room(column);
    for (std::size_t i = 0; i < column.points.size(); ++i) {
      const AccuracyPoint& p = column.points[i];
      d.add({column.series, std::to_string(i + 1), number(p.accuracy.value), number(p.accuracy.low),
             number(p.accuracy.high), p.value});
      shown.insert(shown.end(), {p.accuracy.low, p.accuracy.high});
    }
    for (std::size_t i = 0; i < column.points.size(); ++i) {
      const AccuracyPoint& p = column.points[i];
      if (!p.paper) continue;
      in_paper = true;
      shown.push_back(*p.paper);
      d.add({"paper " + column.series, std::to_string(i + 1), number(*p.paper), "NaN", "NaN", p.value});
    }
  }
  const Span axis = accuracy_span(shown);
  constexpr double left_mm = 12, right_mm = 170, gap_mm = 5, bottom_mm = 20;
  const double slot = (right_mm - left_mm - gap_mm * static_cast<double>(columns.size() - 1)) / slots;
  double x = left_mm;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const Column& column = columns[i];
    const double width = slot * room(column);
    const Panel panel{x, x + width, bottom_mm, d.height - 7};
    x += width + gap_mm;
    std::string names;
    for (std::size_t p = 0; p < column.points.size(); ++p) {
      names += (p ? ", " : "") + tic_name(column.points[p].value) + fmt::format(" {}", p + 1);
    }
    std::string commands =
        margins(d, panel) +
        fmt::format("set xrange [0.25:{}.75]\nset xtics ({}){}\nset yrange [{}:{}]\n", column.points.size(),
                    names, column.joined ? "" : " rotate by 35 right", axis.low, axis.high) +
        text_at(d, (panel.left + panel.right) / 2, column.joined ? bottom_mm - 6.8 : panel.top - 1.5,
                column.joined ? column.title : "", "center");
    if (i == 0) {
      std::vector<KeyEntry> entries = {{1, "W8A8 with this range", KeyEntry::point}};
      if (in_paper) entries.push_back(paper_key());
      commands += y_title(d, panel, "accuracy (%)") + key(d, entries, left_mm);
    } else {
      commands += "set format y ''\n";
    }
    std::vector<Reference> references = accuracy_references(set, "calibration");
    if (references.size() > 1) references[1].label = "min-max";
    if (i + 1 < columns.size()) {
      for (Reference& r : references) r.label.clear();
    }
    commands += horizontal_references(references, axis, panel.top - panel.bottom);
    std::vector<std::string> parts = {column.joined ? curve_with_intervals(column.series, "place", 1)
                                                    : points_with_intervals(column.series, "place", 1)};
    if (std::any_of(column.points.begin(), column.points.end(),
                    [](const AccuracyPoint& p) { return p.paper; })) {
      parts.push_back(paper_points("paper " + column.series, "place"));
    }
    d.panels.push_back(commands + plot(parts));
  }
  return d;
}

}  // namespace outlierlab
