#include "report/figures/drawing.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "report/figures/theme.h"
#include "report/paper_values.h"

namespace outlierlab {

namespace {
/// Height of a line of text in mm, with a little air.
constexpr double line_height = 2.7;

std::optional<double> as_number(const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}
}  // namespace

bool Drawing::has(const std::string& series) const {
  return std::any_of(data.begin(), data.end(), [&](const auto& line) { return line.front() == series; });
}

std::string literal(const std::string& text) {
  std::string literal = "'";
  for (const char c : text) {
    if (c == '\'') literal += '\'';
    literal += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return literal + "'";
}

std::string number(double value) {
  return std::isfinite(value) ? fmt::format("{:.10g}", value) : "NaN";
}

std::string number(const std::optional<double>& value) {
  return value ? number(*value) : "NaN";
}

std::string percent(double value) {
  return fmt::format("{:.1f}", value);
}

std::string count_text(double value) {
  std::string digits = fmt::format("{:.0f}", value);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string display_name(const ResultSet& set) {
  return set.model + " on " + set.task + (set.planted ? " (planted)" : "");
}

std::string margins(const Drawing& drawing, const Panel& panel) {
  return fmt::format(
      "set lmargin at screen {:.5f}\nset rmargin at screen {:.5f}\n"
      "set bmargin at screen {:.5f}\nset tmargin at screen {:.5f}\n",
      panel.left / drawing.width, panel.right / drawing.width, panel.bottom / drawing.height,
      panel.top / drawing.height);
}

std::string text_at(const Drawing& drawing, double x_mm, double y_mm, const std::string& text,
                    const std::string& where) {
  return fmt::format("set label {} at screen {:.5f}, {:.5f} {}\n", literal(text), x_mm / drawing.width,
                     y_mm / drawing.height, where);
}

std::string x_title(const Drawing& drawing, const Panel& panel, const std::string& text, double mm) {
  return text_at(drawing, (panel.left + panel.right) / 2, panel.bottom - mm, text, "center");
}

std::string y_title(const Drawing& drawing, const Panel& panel, const std::string& text, double mm) {
  return text_at(drawing, panel.left - mm, (panel.bottom + panel.top) / 2, text, "center rotate by 90");
}

std::string tic_name(const std::string& text) {
  std::string doubled;
  for (const char c : text) doubled += c == '%' ? std::string("%%") : std::string(1, c);
  return literal(doubled);
}

double text_width_mm(const std::string& text) {
  // Liberation Sans at 7 points; a UTF-8 character counts once.
  double width = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xc0) == 0x80) continue;
    width += std::string(" .,:;'()|ijlIt").find(c) != std::string::npos ? 0.7 : 1.27;
  }
  return width;
}

std::string key(const Drawing& drawing, const std::vector<KeyEntry>& entries, double left_mm, int* rows) {
  constexpr double sample_mm = 8, gap_mm = 1.2, between_mm = 3;
  std::string commands;
  double x = left_mm, y = drawing.height - 2.2;
  int row = 1;
  for (const KeyEntry& entry : entries) {
    const double sample = entry.sample == KeyEntry::point ? 2.5 : sample_mm;
    const double width = sample + gap_mm + text_width_mm(entry.label);
    if (x > left_mm && x + width > drawing.width) {
      x = left_mm;
      y -= key_row_mm;
      ++row;
    }
    const double height = y / drawing.height;
    const auto across = [&](double mm) { return mm / drawing.width; };
    if (entry.sample != KeyEntry::point) {
      commands +=
          fmt::format("set arrow from screen {:.5f}, {:.5f} to screen {:.5f}, {:.5f} nohead linestyle {}\n",
                      across(x), height, across(x + sample), height, entry.style);
    }
    if (entry.sample != KeyEntry::line) {
      commands += fmt::format("set label '' at screen {:.5f}, {:.5f} point linestyle {}\n",
                              across(x + sample / 2), height, entry.style);
    }
    commands += fmt::format("set label {} at screen {:.5f}, {:.5f} left\n", literal(entry.label),
                            across(x + sample + gap_mm), height);
    x += width + between_mm;
  }
  if (rows) *rows = row;
  return commands;
}

std::vector<Reference> accuracy_references(const ResultSet& set, const std::string& experiment,
                                           bool with_w8a8) {
  std::vector<Reference> references;
  if (const std::optional<Loss> loss = loss_of(measurements(set.rows(experiment)))) {
    references.push_back({loss->fp32.value, style::fp32, "FP32"});
    if (with_w8a8) references.push_back({loss->w8a8.value, style::w8a8, "W8A8"});
  }
  references.push_back({set.chance, style::chance, "chance"});
  return references;
}

Span accuracy_span(const std::vector<double>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double air = std::max(1.0, 0.05 * (*high - *low));
  return {std::max(0.0, std::floor(*low - air)), std::min(100.5, std::ceil(*high + air))};
}

std::vector<double> spread_apart(std::vector<double> values, double gap, const Span& span) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  // Up from the bottom, then back from the top: a cluster ends up around its middle.
  for (int pass = 0; pass < 100; ++pass) {
    for (std::size_t i = 1; i < order.size(); ++i) {
      double& below = values[order[i - 1]];
      double& above = values[order[i]];
      const double lack = gap - (above - below);
      if (lack <= 0) continue;
      below -= lack / 2;
      above += lack / 2;
    }
    if (!order.empty()) {
      values[order.front()] = std::max(values[order.front()], span.low);
      values[order.back()] = std::min(values[order.back()], span.high);
    }
  }
  return values;
}

std::string horizontal_references(const std::vector<Reference>& references, const Span& axis,
                                  double height_mm) {
  std::vector<double> places;
  for (const Reference& r : references) places.push_back(r.value);
  places = spread_apart(places, line_height / height_mm * (axis.high - axis.low), axis);
  std::string commands;
  for (std::size_t i = 0; i < references.size(); ++i) {
    const Reference& r = references[i];
    commands += fmt::format(
        "set arrow from graph 0, first {0} to graph 1, first {0} nohead linestyle {1} back\n"
        "set label {2} at graph 1, first {3} left offset character 0.4, 0 textcolor linestyle {1}\n",
        number(r.value), r.style, literal(r.label), number(places[i]));
  }
  return commands;
}

std::string using_series(const std::string& series, const std::string& x,
                         const std::vector<std::string>& columns) {
  std::string text = "data using (at(" + literal(series) + ", " + literal(x) + "))";
  for (const std::string& column : columns) text += ":" + literal(column);
  return text;
}

std::string points_with_intervals(const std::string& series, const std::string& x, int style,
                                  const std::string& shift) {
  // gnuplot's error bars blank out a box around their points; vectors do not.
  const std::string place = fmt::format("({}at({}, {}))", shift, literal(series), literal(x));
  return fmt::format(
      "data using {0}:'ci_low':(0):(column('ci_high') - column('ci_low')) with vectors nohead linestyle {1} "
      "linewidth 1 dashtype 1, \\\n     data using {0}:'accuracy' with points linestyle {1}",
      place, style);
}

std::string curve_with_intervals(const std::string& series, const std::string& x, int style,
                                 const std::string& shift) {
  return fmt::format("data using ({}at({}, {})):'accuracy' with lines linestyle {}, \\\n     ", shift,
                     literal(series), literal(x), style) +
         points_with_intervals(series, x, style, shift);
}

std::string paper_points(const std::string& series, const std::string& x) {
  return using_series(series, x, {"accuracy"}) + fmt::format(" with points linestyle {}", style::paper);
}

KeyEntry paper_key() {
  return {style::paper, "paper (BERT-base, QNLI)", KeyEntry::point};
}

std::string plot(const std::vector<std::string>& parts) {
  std::string command;
  for (const std::string& part : parts) command += (command.empty() ? "plot " : ", \\\n     ") + part;
  return command + "\n";
}

std::vector<AccuracyPoint> accuracy_points(const ResultSet& set, const std::string& experiment,
                                           const std::string& variant, const std::string& parameter) {
  std::vector<AccuracyPoint> points;
  const std::vector<Measurement> all = measurements(set.rows(experiment));
  for (const Measurement& m : all) {
    if (m.variant != variant || m.parameter != parameter || m.metric != "accuracy") continue;
    AccuracyPoint point{m.value, as_number(m.value).value_or(std::nan("")), accuracy_of(m), {}, {}, 0};
    if (m.fixed) point.n = static_cast<double>(m.fixed->n.value_or(0));
    if (const Measurement* kl = find_measurement(all, variant, parameter, m.value, "kl"))
      point.kl = kl->estimate();
    const PaperValue* paper = find_paper_value(experiment, variant, parameter, m.value, "accuracy");
    if (paper) point.paper = paper->low;
    points.push_back(point);
  }
  std::stable_sort(points.begin(), points.end(),
                   [](const AccuracyPoint& a, const AccuracyPoint& b) { return a.x < b.x; });
  return points;
}

}  // namespace outlierlab
