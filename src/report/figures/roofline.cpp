// Operations per second of each product against its arithmetic intensity, below the roofs that the machine's
// peaks and the bandwidth of its memory set (log-log).
#include "report/roofline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/figures/figures.h"
#include "report/figures/theme.h"

namespace outlierlab {

namespace {

struct Kind {
  const char* name;
  int style;
};
constexpr Kind kinds[] = {{"int8", 1}, {"bf16", 3}, {"fp32", 2}};

/// A roof from `low` to `high` operations per byte, with its ridge where memory ceases to limit.
void add_roof(Drawing& d, const std::string& series, double peak, double bandwidth, double low, double high) {
  const double ridge = std::clamp(peak / bandwidth, low, high);
  for (const double x : {low, ridge, high})
    d.add({series, number(x), number(std::min(peak, x * bandwidth)), "", ""});
}

}  // namespace

std::optional<Drawing> draw_roofline(const ResultSets& sets) {
  const ResultSet& set = *sets.front();
  const Roofline found = roofline_of(measurements(set.rows("roofline")));
  const int threads = found.most_threads();
  const double bandwidth = found.bandwidth(threads);
  if (threads == 0 || bandwidth <= 0) return std::nullopt;

  Drawing d;
  d.title = "Roofline of the products";
  d.caption = fmt::format(
      "{}: every product of the network, of BERT-base and of BERT-large on {} thread{}, below the roof of "
      "its "
      "arithmetic: the peak of the fastest multiply-add instruction, and {:.0f} GB/s from memory. Operands "
      "that "
      "lie in a cache let products stand above the slope.",
      display_name(set), threads, threads == 1 ? "" : "s", bandwidth);
  d.width = single_column + 20;
  d.height = 78;
  d.columns = {"series", "intensity", "gops", "network", "shape"};
  double low = 1e9, high = 0, least = 1e12, most = 0;
  for (const Roofline::Product& p : found.products) {
    if (p.threads != threads) continue;
    low = std::min(low, p.intensity);
    high = std::max(high, p.intensity);
    least = std::min(least, p.gops);
    most = std::max(most, p.gops);
  }
  low /= 1.5;
  high *= 1.5;
  std::vector<KeyEntry> entries;
  std::vector<std::string> parts;
  for (const Kind& kind : kinds) {
    const Roofline::Peak* peak = found.best_peak(kind.name, threads);
    if (!peak) continue;
    add_roof(d, kind.name + std::string(" roof"), peak->gops, bandwidth, low, high);
    least = std::min(least, low * bandwidth);
    most = std::max(most, peak->gops);
    parts.push_back(fmt::format("data using (at('{} roof', 'intensity')):'gops' with lines linestyle {}",
                                kind.name, kind.style));
    entries.push_back({kind.style, arithmetic_label(kind.name) + ", " + peak->instruction, KeyEntry::both});
    for (const Roofline::Product& p : found.products) {
      if (p.kind == kind.name && p.threads == threads)
        d.add({kind.name, number(p.intensity), number(p.gops), p.network, p.shape});
    }
    if (d.has(kind.name))
      parts.push_back(fmt::format("data using (at('{}', 'intensity')):'gops' with points linestyle {}",
                                  kind.name, kind.style));
  }
  if (parts.empty()) return std::nullopt;
  const Panel panel{17, d.width - 5, 11, d.height - 2 * key_row_mm - 3};
  std::string commands = margins(d, panel);
  commands += fmt::format("set logscale xy\nset xrange [{}:{}]\nset yrange [{}:{}]\n", number(low),
                          number(high), number(least / 1.5), number(most * 1.5));
  commands += x_title(d, panel, "operations per byte of operands and result (log scale)");
  commands += y_title(d, panel, "GOP/s (log scale)", 11);
  d.panels = {commands + key(d, entries, 3) + plot(parts)};
  return d;
}

}  // namespace outlierlab
