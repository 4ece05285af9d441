// The overview: accuracy by method, the models side by side.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/figures/drawing.h"
#include "report/figures/figures.h"
#include "report/figures/theme.h"
#include "report/paper_values.h"

namespace outlierlab {

namespace {

enum Group { reference, one_range, finer };

struct Method {
  const char* label;
  Group group;
  const char *experiment, *variant, *parameter, *value;
  bool in_caption = false;
};
constexpr Method methods[] = {
    {"FP32", reference, "baseline", "fp32", "", "", true},
    {"W8: 8-bit weights only", reference, "baseline", "w8", "", ""},
    {"W8A8, min-max", one_range, "baseline", "w8a8", "", "", true},
    {"W8A8, percentile 99.9", one_range, "calibration", "percentile", "percentile", "99.9"},
    {"W8A8, percentile 99.99", one_range, "calibration", "percentile", "percentile", "99.99"},
    {"W8A8, clip at mean ± 6 sd", one_range, "calibration", "clip", "sigmas", "6"},
    {"W8A8, least squared error", one_range, "calibration", "mse", "", ""},
    {"W8A8, entropy (KL)", one_range, "calibration", "kl", "", ""},
    {"PEG, K = 3", finer, "peg", "peg", "groups", "3"},
    {"PEG, K = 4", finer, "peg", "peg", "groups", "4"},
    {"PEG, K = 6", finer, "peg", "peg", "groups", "6"},
    {"PEG, K = 6, sorted", finer, "peg", "peg-permuted", "groups", "6"},
    {"1 % of channels in float", finer, "mixed_precision", "channels", "share", "1"},
    {"x, h, y in float", finer, "mixed_precision", "sites", "float", "x+h+y", true},
    {"a range per token", finer, "baseline", "w8a8-token", "", ""},
};
constexpr const char* group_names[] = {"float activations", "8 bits, one static range per tensor",
                                       "8 bits, finer or mixed"};
constexpr int group_styles[] = {7, 2, 1};
constexpr double label_mm = 38, row_mm = 3.7, gap_mm = 3, axis_mm = 9, title_mm = 8;
constexpr std::size_t panels_across = 3;

struct Place {
  Panel panel;
  bool leftmost, lowest;
};

/// Panels in rows of three, the method's names left of each row.
std::vector<Place> places(std::size_t count, std::size_t rows, Drawing& d) {
  const std::size_t across = std::min(count, panels_across), down = (count + across - 1) / across;
  const double body = row_mm * static_cast<double>(rows);
  d.width = across == 1 ? single_column : double_column;
  d.height = (body + title_mm) * static_cast<double>(down) + axis_mm + 2 * key_row_mm;
  const double width = (d.width - label_mm - 3) / static_cast<double>(across) - gap_mm;
  std::vector<Place> all;
  for (std::size_t i = 0; i < count; ++i) {
    const double left = label_mm + static_cast<double>(i % across) * (width + gap_mm);
    const double top =
        d.height - 2 * key_row_mm - title_mm + 2 - static_cast<double>(i / across) * (body + title_mm);
    all.push_back({{left, left + width, top - body, top}, i % across == 0, i + across >= count});
  }
  return all;
}

const Measurement* find(const ResultSet& set, const Method& method, std::vector<Measurement>& kept) {
  kept = measurements(set.rows(method.experiment));
  return find_measurement(kept, method.variant, method.parameter, method.value, "accuracy");
}

const PaperValue* paper_of(const Method& m) {
  return find_paper_value(m.experiment, m.variant, m.parameter, m.value, "accuracy");
}

/// "demo-planted: FP32 83.5 %, W8A8 52.0 %, x, h, y in float 83.5 %."
std::string summary(const ResultSet& set) {
  std::string text;
  std::vector<Measurement> kept;
  for (const Method& method : methods) {
    if (!method.in_caption) continue;
    if (const Measurement* m = find(set, method, kept)) {
      text += fmt::format("{} {} {} %", text.empty() ? ":" : ";", method.label, percent(m->estimate()));
    }
  }
  return " " + set.model + text + ".";
}

}  // namespace

std::optional<Drawing> draw_accuracy(const ResultSets& given) {
  ResultSets sets = given;
  std::stable_sort(sets.begin(), sets.end(),
                   [](const ResultSet* a, const ResultSet* b) { return a->planted && !b->planted; });
  Drawing d;
  d.title = "Accuracy by method";
  d.caption = "Accuracy of each method with its 95 % interval.";
  d.columns = {"series", "row", "accuracy", "ci_low", "ci_high", "method", "group"};
  std::vector<const Method*> rows;
  std::vector<Measurement> kept;
  for (const Method& method : methods) {
    if (std::any_of(sets.begin(), sets.end(), [&](const ResultSet* s) { return find(*s, method, kept); })) {
      rows.push_back(&method);
    }
  }
  std::vector<double> shown;
  for (const ResultSet* set : sets) {
    shown.push_back(set->chance);
    for (const Group group : {reference, one_range, finer}) {
      for (std::size_t r = 0; r < rows.size(); ++r) {
        const Measurement* m = rows[r]->group == group ? find(*set, *rows[r], kept) : nullptr;
        if (!m) continue;
        const Accuracy a = accuracy_of(*m);
        d.add({fmt::format("{} {}", set->name, static_cast<int>(group)), std::to_string(r + 1),
               number(a.value), number(a.low), number(a.high), rows[r]->label, group_names[group]});
        shown.insert(shown.end(), {a.low, a.high});
      }
    }
    d.caption += summary(*set);
  }
  bool in_paper = false;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    if (const PaperValue* paper = paper_of(*rows[r])) {
      d.add({"paper", std::to_string(r + 1), number(paper->low), "NaN", "NaN", rows[r]->label, "paper"});
      shown.push_back(paper->low);
      in_paper = true;
    }
  }
  if (rows.size() < 3) return std::nullopt;

  const std::vector<Place> panels = places(sets.size(), rows.size(), d);
  const Span axis = accuracy_span(shown);
  std::string names, bands;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    names += (r ? ", " : "") + tic_name(rows[r]->label) + fmt::format(" {}", r + 1);
    if (r == 0 || rows[r]->group == rows[r - 1]->group) continue;
    bands +=
        fmt::format("set arrow from graph 0, first {0} to graph 1, first {0} nohead linestyle {1} back\n",
                    static_cast<double>(r) + 0.5, style::faint);
  }
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const ResultSet& set = *sets[i];
    std::string commands = margins(d, panels[i].panel) + bands;
    if (i == 0) {
      std::vector<KeyEntry> entries;
      for (int g = 0; g < 3; ++g) entries.push_back({group_styles[g], group_names[g], KeyEntry::point});
      if (in_paper) entries.push_back(paper_key());
      commands += key(d, entries, d.width == single_column ? 3 : label_mm);
    }
    commands += text_at(d, (panels[i].panel.left + panels[i].panel.right) / 2, panels[i].panel.top + 5,
                        display_name(set), "center");
    for (const Reference& r : accuracy_references(set, "baseline", false)) {
      commands += fmt::format(
          "set arrow from first {0}, graph 0 to first {0}, graph 1 nohead linestyle {1} back\n"
          "set label {2} at first {0}, screen {3:.5f} center textcolor linestyle {1}\n",
          number(r.value), r.style, literal(r.label), (panels[i].panel.top + 1.8) / d.height);
    }
    commands += fmt::format("set xrange [{}:{}]\nset yrange [{}.5:0.5]\nset xtics 10\n", axis.low, axis.high,
                            rows.size());
    commands += "set ytics (" + names + ") scale 0\n";
    if (!panels[i].leftmost) commands += "unset ytics\n";
    if (panels[i].lowest) commands += x_title(d, panels[i].panel, "accuracy (%)");
    std::vector<std::string> parts;
    for (int g = 0; g < 3; ++g) {
      if (!d.has(fmt::format("{} {}", set.name, g))) continue;
      parts.push_back(
          fmt::format("data using (at({0}, 'accuracy')):'row':'ci_low':'ci_high' with xerrorbars linestyle "
                      "{1} linewidth 1.5 "
                      "dashtype 1",
                      literal(fmt::format("{} {}", set.name, g)), group_styles[g]));
    }
    if (in_paper) {
      parts.push_back(
          fmt::format("data using (at('paper', 'accuracy')):'row' with points linestyle {}", style::paper));
    }
    d.panels.push_back(commands + plot(parts));
  }
  return d;
}

}  // namespace outlierlab
