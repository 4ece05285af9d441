// Exact rewrites of the network: accuracy, and the divergence from float, with and without them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/figures/figures.h"
#include "report/figures/theme.h"

namespace outlierlab {

namespace {

constexpr double row_mm = 3.9, foot_mm = 10, gap_mm = 8;

struct Group {
  const char *variant, *label;
  int style;
};
constexpr Group groups[] = {{"w8a8", "W8A8", 2},
                            {"mp-xhy", "W8A8, x, h, y in float", 1},
                            {"attention-4-bit", "only the attention's sites, 4 bits", 3}};

struct Line {
  const Group* group;
  std::string label;
  Accuracy accuracy;
  std::optional<double> kl;
};

std::vector<Line> lines_of(const std::vector<Measurement>& all) {
  std::vector<Line> lines;
  for (const Group& group : groups) {
    for (const Measurement& m : all) {
      if (m.variant != group.variant || m.metric != "accuracy") continue;
      const Measurement* kl = find_measurement(all, m.variant, m.parameter, m.value, "kl");
      std::string label = m.parameter.empty() || m.value == "none" ? "no transform" : m.value;
      if (m.parameter == "alpha") label = "smoothquant, alpha = " + m.value;
      std::replace(label.begin(), label.end(), '_', ' ');
      lines.push_back({&group, label, accuracy_of(m), kl ? std::optional(kl->estimate()) : std::nullopt});
    }
  }
  return lines;
}

std::string caption(const ResultSet& set, const std::vector<Line>& lines) {
  std::string text = fmt::format(
      "{}: accuracy with its 95 % interval (left) and KL divergence from float (right) after rewrites that "
      "change "
      "no output of the float network.",
      display_name(set));
  for (const Group& group : groups) {
    const Line *plain = nullptr, *best = nullptr;
    for (const Line& line : lines) {
      if (line.group != &group || !line.kl) continue;
      if (line.label == "no transform") plain = &line;
      if (line.label != "no transform" && (!best || *line.kl < *best->kl)) best = &line;
    }
    if (plain && best)
      text += fmt::format(" {}: {} nats without, {} with the best, {}.", group.label,
                          format_number(*plain->kl), format_number(*best->kl), best->label);
  }
  return text;
}

/// A column of each group that has a figure in it: gnuplot warns of series without data.
std::string points(const Drawing& d, const std::string& column, const std::string& further,
                   const std::string& style_of_plot) {
  const auto at =
      static_cast<std::size_t>(std::find(d.columns.begin(), d.columns.end(), column) - d.columns.begin());
  std::vector<std::string> parts;
  for (const Group& group : groups) {
    if (std::none_of(d.data.begin(), d.data.end(), [&](const std::vector<std::string>& line) {
          return line.front() == group.variant && line[at] != number(std::nan(""));
        }))
      continue;
    parts.push_back(
        fmt::format("data using (at({0}, {1})):'row'{2} {3} linestyle {4} linewidth 1.5 dashtype 1",
                    literal(group.variant), literal(column), further, style_of_plot, group.style));
  }
  return parts.empty() ? "" : plot(parts);
}

std::string accuracy_panel(const Drawing& d, const Panel& panel, const ResultSet& set,
                           const std::vector<Line>& lines) {
  std::vector<Reference> references = accuracy_references(set, "transforms");
  std::vector<double> shown, places;
  for (const Reference& r : references) shown.push_back(r.value), places.push_back(r.value);
  for (const Line& line : lines) shown.insert(shown.end(), {line.accuracy.low, line.accuracy.high});
  const Span axis = accuracy_span(shown);
  places = spread_apart(places, 9 * (axis.high - axis.low) / (panel.right - panel.left), axis);
  std::string commands = fmt::format("set xrange [{}:{}]\n", number(axis.low), number(axis.high)) +
                         x_title(d, panel, "accuracy (%)");
  for (std::size_t i = 0; i < references.size(); ++i)
    commands += fmt::format(
        "set arrow from first {0}, graph 0 to first {0}, graph 1 nohead linestyle {1} back\n"
        "set label {2} at first {3}, screen {4:.5f} center textcolor linestyle {1}\n",
        number(references[i].value), references[i].style, literal(references[i].label), number(places[i]),
        (panel.top + 1.8) / d.height);
  return commands + points(d, "accuracy", ":'ci_low':'ci_high'", "with xerrorbars");
}

}  // namespace

std::optional<Drawing> draw_transforms(const ResultSets& sets) {
  const ResultSet& set = *sets.front();
  const std::vector<Line> lines = lines_of(measurements(set.rows("transforms")));
  if (lines.size() < 4) return std::nullopt;
  Drawing d;
  d.title = "Exact rewrites before quantization";
  d.caption = caption(set, lines);
  d.width = double_column;
  d.height = 2 * key_row_mm + foot_mm + row_mm * static_cast<double>(lines.size()) + 3;
  d.columns = {"series", "row", "accuracy", "ci_low", "ci_high", "kl", "transform"};
  std::string names, bands;
  double widest = 0;
  for (std::size_t r = 0; r < lines.size(); ++r) {
    const Line& line = lines[r];
    // A log scale has no place for 0.
    const std::optional<double> kl = line.kl && *line.kl > 0 ? line.kl : std::nullopt;
    d.add({line.group->variant, std::to_string(r + 1), number(line.accuracy.value), number(line.accuracy.low),
           number(line.accuracy.high), number(kl), line.label});
    names += (r ? ", " : "") + tic_name(line.label) + fmt::format(" {}", r + 1);
    widest = std::max(widest, text_width_mm(line.label));
    if (r > 0 && line.group != lines[r - 1].group)
      bands +=
          fmt::format("set arrow from graph 0, first {0} to graph 1, first {0} nohead linestyle {1} back\n",
                      static_cast<double>(r) + 0.5, style::faint);
  }
  std::vector<KeyEntry> entries;
  for (const Group& group : groups) {
    if (d.has(group.variant)) entries.push_back({group.style, group.label, KeyEntry::point});
  }
  const double left = std::min(70.0, 1.08 * widest + 4), top = d.height - key_row_mm - 5.5;
  const double middle = left + (d.width - left - gap_mm - 6) * 0.58;
  const Panel accuracy{left, middle, foot_mm, top}, divergence{middle + gap_mm, d.width - 6, foot_mm, top};
  const std::string rows = bands + fmt::format("set yrange [{}.5:0.5]\n", lines.size());
  const std::string kl_points = points(d, "kl", "", "with points");
  d.panels = {margins(d, accuracy) + key(d, entries, 3) + rows + "set ytics (" + names + ") scale 0\n" +
              accuracy_panel(d, accuracy, set, lines)};
  if (!kl_points.empty())
    d.panels.push_back(margins(d, divergence) + rows + "unset ytics\nset logscale x\nset format x '%g'\n" +
                       x_title(d, divergence, "KL divergence from float (nats, log scale)") + kl_points);
  return d;
}

}  // namespace outlierlab
