#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/figure.h"
#include "report/loss.h"
#include "report/measurement.h"

namespace outlierlab {

/// What a figure is made of: its data and the gnuplot commands that draw them.
struct Drawing {
  std::string title, caption;
  double width = 0, height = 0;                ///< mm
  std::vector<std::string> columns;            ///< of the data; the first is "series"
  std::vector<std::vector<std::string>> data;  ///< lines of a series stand together
  std::vector<std::string> panels;             ///< commands; each starts from the theme as it is
  bool tells_examples = false;                 ///< the caption says how many examples it rests on

  void add(std::vector<std::string> line) { data.push_back(std::move(line)); }
  bool has(const std::string& series) const;  ///< gnuplot warns of series without data
};

/// A registered figure. `make` gets one result set, or all of them if the figure shows them side by side; no
/// drawing means that rows are missing because an experiment was stopped early.
struct FigureEntry {
  FigureKind kind;
  bool side_by_side = false;
  std::optional<Drawing> (*make)(const std::vector<const ResultSet*>& sets);
};

/// The explicit list of figures, in the order of the report.
const std::vector<FigureEntry>& figure_entries();

/// A gnuplot string literal; nothing inside is expanded. Line ends become spaces.
std::string literal(const std::string& text);
/// A number for data and scripts: up to 10 significant digits; NaN for none.
std::string number(double value);
std::string number(const std::optional<double>& value);
/// A number within a label or a caption: at most one decimal, thousands apart ("5,463").
std::string percent(double value);
std::string count_text(double value);

/// "minilm-qnli on qnli", "demo-planted on demo (planted)".
std::string display_name(const ResultSet& set);

/// The margins of one panel of a multiplot, in mm from the left and the bottom of the drawing.
struct Panel {
  double left, right, bottom, top;
};
std::string margins(const Drawing& drawing, const Panel& panel);
/// Titles of its axes, so many mm from the axis: gnuplot's own stand elsewhere in each format.
std::string x_title(const Drawing& drawing, const Panel& panel, const std::string& text, double mm = 6.8);
std::string y_title(const Drawing& drawing, const Panel& panel, const std::string& text, double mm = 8);
/// A text at a place of the drawing, in mm; `where` is left, center or right.
std::string text_at(const Drawing& drawing, double x_mm, double y_mm, const std::string& text,
                    const std::string& where = "left");
/// A tic's name: gnuplot reads it as a format.
std::string tic_name(const std::string& text);

/// An entry of a key: a line style's sample and its name.
struct KeyEntry {
  int style;
  std::string label;
  enum Sample { line, point, both } sample = both;
};
/// A key in one or more rows from the top of the drawing down, laid out in mm, so that it is the same in
/// every format. `rows` receives their number.
std::string key(const Drawing& drawing, const std::vector<KeyEntry>& entries, double left_mm,
                int* rows = nullptr);
constexpr double key_row_mm = 3.4;
/// How wide a label comes out, roughly.
double text_width_mm(const std::string& text);

/// A horizontal or vertical line with a name beside the plot.
struct Reference {
  double value;
  int style;
  std::string label;
};
/// FP32, W8A8 and chance, as far as they are known.
std::vector<Reference> accuracy_references(const ResultSet& set, const std::string& experiment,
                                           bool with_w8a8 = true);

/// An axis from `low` to `high`.
struct Span {
  double low, high;
  double at(double share) const { return low + share * (high - low); }
};
/// What holds all values (and intervals) with a little air: of accuracies never beyond 100.
Span accuracy_span(const std::vector<double>& values);

/// Values pushed apart until neighbours are `gap` away from each other; keeps their order and the span.
std::vector<double> spread_apart(std::vector<double> values, double gap, const Span& span);

/// Horizontal lines over the plot, named to the right of it.
std::string horizontal_references(const std::vector<Reference>& references, const Span& axis,
                                  double height_mm);

/// A plot's part "data using (at('SERIES','X')):'Y':...".
std::string using_series(const std::string& series, const std::string& x,
                         const std::vector<std::string>& columns);

/// Parts of a plot: the points of a series with their intervals (columns accuracy, ci_low, ci_high), as a
/// line or without one. `shift` changes x a little ("1.02 * "), to keep intervals of neighbours apart.
std::string curve_with_intervals(const std::string& series, const std::string& x, int style,
                                 const std::string& shift = "");
std::string points_with_intervals(const std::string& series, const std::string& x, int style,
                                  const std::string& shift = "");
/// The paper's values, and their entry in a key.
std::string paper_points(const std::string& series, const std::string& x);
KeyEntry paper_key();
/// A plot command of these parts.
std::string plot(const std::vector<std::string>& parts);

/// The accuracies of a variant's parameter as data lines {series, x, accuracy, ci_low, ci_high}: one per
/// value, in ascending order of value where values are numbers.
struct AccuracyPoint {
  std::string value;  ///< of the parameter
  double x = 0;       ///< the same as a number
  Accuracy accuracy;
  std::optional<double> paper, kl;
  double n = 0;  ///< examples
};
std::vector<AccuracyPoint> accuracy_points(const ResultSet& set, const std::string& experiment,
                                           const std::string& variant, const std::string& parameter);

}  // namespace outlierlab
