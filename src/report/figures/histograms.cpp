// The values of a site with outliers: the whole site, its channel of most energy and a quiet one, over an
// axis that is linear around 0 and logarithmic beyond; below it the ranges that calibrators choose, and what
// each costs.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/clipping.h"
#include "report/figures/drawing.h"
#include "report/figures/figures.h"
#include "report/figures/theme.h"

namespace outlierlab {

namespace {

constexpr double row_mm = 3.6;

struct ChosenRange {
  std::string label;
  double lo, hi;
  double step() const { return (hi - lo) / 255; }
};

/// minmax, percentiles, mse and so on; of the clips those at mean +- 6 and 12 sd, to stay readable.
std::vector<ChosenRange> ranges_of(const ResultSet& set, const std::string& site) {
  const DataTable& table = set.data.at("activations-ranges");
  const std::size_t name = table.column("calibrator"), parameter = table.column("parameter"),
                    value = table.column("value"), lo = table.column("lo"), hi = table.column("hi"),
                    place = table.column("site");
  std::vector<ChosenRange> ranges;
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    const std::vector<std::string>& row = table.rows[r];
    if (row[place] != site) continue;
    if (row[name] == "clip" && !(row[parameter] == "sigmas" && (row[value] == "6" || row[value] == "12"))) {
      continue;
    }
    std::string label = row[name];
    if (row[parameter] == "sigmas") {
      label = "clip " + row[value] + " sd";
    } else if (!row[value].empty()) {
      label += " " + row[value];
    }
    // Every affine grid takes 0 in.
    ranges.push_back({label, std::min(0.0, table.number(r, lo)), std::max(0.0, table.number(r, hi))});
  }
  return ranges;
}

double median_magnitude(const ClippingExample::Part& part) {
  std::vector<std::pair<double, std::uint64_t>> magnitudes;
  for (const auto& bin : part.bins) magnitudes.emplace_back(std::fabs(bin.lower + bin.upper) / 2, bin.count);
  std::sort(magnitudes.begin(), magnitudes.end());
  std::uint64_t seen = 0;
  for (const auto& [magnitude, count] : magnitudes) {
    seen += count;
    if (2 * seen >= part.total() && magnitude > 0) return magnitude;
  }
  return 1;
}

/// Levels of a grid that lie within the quiet channel's range.
int levels_left(const ClippingExample::Part& quiet, const ChosenRange& range) {
  const double lo = std::max(quiet.low(), range.lo), hi = std::min(quiet.high(), range.hi);
  if (!(hi > lo) || !(range.step() > 0)) return 1;
  return static_cast<int>(std::floor(hi / range.step()) - std::ceil(lo / range.step())) + 1;
}

/// Tics at 0 and at powers of ten that stand apart, both signs.
std::string tics(double low, double high, double scale, double mm, bool named) {
  const auto place = [&](double v) { return std::asinh(v / scale); };
  const double gap = 7 * (place(high) - place(low)) / mm;
  std::string list = named ? "'0' 0" : "'' 0";
  double last = 0;
  for (int decade = -6; decade <= 9; ++decade) {
    const double v = std::pow(10.0, decade);
    if (place(v) - last < gap) continue;
    last = place(v);
    if (v <= high) list += fmt::format(", '{}' {}", named ? fmt::format("{:g}", v) : "", number(place(v)));
    if (-v >= low) list += fmt::format(", '{}' {}", named ? fmt::format("-{:g}", v) : "", number(place(-v)));
  }
  return list;
}

/// A part's histogram as a line that goes down to the axis where bins are empty.
void add_outline(Drawing& d, const std::string& series, const ClippingExample::Part& part, double scale) {
  const auto point = [&](double v, const std::string& count) {
    d.add({series, number(std::asinh(v / scale)), count, number(v), "NaN", "NaN"});
  };
  const std::string floor = "0.5";
  for (std::size_t b = 0; b < part.bins.size(); ++b) {
    const auto& bin = part.bins[b];
    const std::string count = std::to_string(bin.count);
    if (b == 0 || part.bins[b - 1].upper != bin.lower) point(bin.lower, floor);
    point(bin.lower, count);
    point(bin.upper, count);
    if (b + 1 == part.bins.size() || part.bins[b + 1].lower != bin.upper) point(bin.upper, floor);
  }
}

}  // namespace

std::optional<Drawing> draw_histograms(const ResultSets& sets) {
  const ResultSet& set = *sets.front();
  const std::optional<ClippingExample> example = clipping_example(set);
  if (!example) return std::nullopt;
  const std::vector<ChosenRange> ranges = ranges_of(set, example->site);
  if (ranges.empty()) return std::nullopt;
  const double scale = median_magnitude(example->whole);

  Drawing d;
  d.title = "Values of a site with outliers, and the ranges chosen for it";
  const ChosenRange& first = ranges.front();
  d.caption = fmt::format(
      "{}: values at {} over the evaluated split (each bin equally wide on the axis, which is linear around "
      "0 and "
      "logarithmic beyond), the channel of most energy ({}) and one of median energy ({}), with the 8-bit "
      "ranges "
      "that "
      "calibrators choose. With {} the step is {}, which leaves {} of 256 levels to the quiet channel.",
      display_name(set), example->site, example->loud.channel, example->quiet.channel, first.label,
      format_number(first.step()), levels_left(example->quiet, first));
  d.width = double_column;
  const double below = row_mm * static_cast<double>(ranges.size());
  d.height = 60 + below;
  d.columns = {"series", "x", "count", "value", "lo", "hi"};
  const auto place = [&](double v) { return std::asinh(v / scale); };
  double most = 1;
  const std::pair<const char*, const ClippingExample::Part*> parts[] = {
      {"site", &example->whole}, {"loud", &example->loud}, {"quiet", &example->quiet}};
  for (const auto& [name, part] : parts) {
    add_outline(d, name, *part, scale);
    for (const auto& bin : part->bins) most = std::max(most, static_cast<double>(bin.count));
  }
  double low = example->whole.low(), high = example->whole.high();
  for (std::size_t r = 0; r < ranges.size(); ++r) {
    low = std::min(low, ranges[r].lo);
    high = std::max(high, ranges[r].hi);
    d.add({"range", number(place(ranges[r].lo)), std::to_string(r + 1), "NaN", number(ranges[r].lo),
           number(ranges[r].hi)});
    d.add({"range", number(place(ranges[r].hi)), std::to_string(r + 1), "NaN", number(ranges[r].lo),
           number(ranges[r].hi)});
  }
  const double air = 0.02 * (place(high) - place(low));
  const Panel top{30, 139, below + 13, d.height - 7}, bottom{30, 139, 10, 10 + below};
  const std::string x =
      fmt::format("set xrange [{}:{}]\n", number(place(low) - air), number(place(high) + air));
  std::string names, readings;
  for (std::size_t r = 0; r < ranges.size(); ++r) {
    names += (r ? ", " : "") + tic_name(ranges[r].label) + fmt::format(" {}", r + 1);
    const double y = bottom.top - row_mm * (static_cast<double>(r) + 0.5);
    const double outside = example->whole.share_outside(ranges[r].lo, ranges[r].hi);
    readings += text_at(d, 152, y, fmt::format("{:.3g}", ranges[r].step()), "right") +
                text_at(d, 165, y, std::to_string(levels_left(example->quiet, ranges[r])), "right") +
                text_at(d, 180, y, outside == 0 ? "0" : fmt::format("{:.2g} %", 100 * outside), "right");
  }
  readings += text_at(d, 152, bottom.top + 2, "step", "right") +
              text_at(d, 165, bottom.top + 5, "levels left", "right") +
              text_at(d, 165, bottom.top + 2, "to quiet", "right") +
              text_at(d, 180, bottom.top + 5, "values", "right") +
              text_at(d, 180, bottom.top + 2, "clipped", "right");
  d.panels = {
      margins(d, top) + x + y_title(d, top, "values per bin (log scale)", 14.5) +
          fmt::format("set logscale y\nset format y '%.0f'\nset yrange [0.5:{}]\nset xtics ({})\n",
                      number(2 * most), tics(low, high, scale, top.right - top.left, false)) +
          key(d,
              {{style::background, "whole site, " + example->site, KeyEntry::line},
               {9, "channel of most energy, " + example->loud.channel, KeyEntry::line},
               {10, "quiet channel, " + example->quiet.channel, KeyEntry::line}},
              top.left) +
          plot({using_series("site", "x", {"count"}) + " with filledcurves y1=0.5 linecolor rgb pale",
                using_series("loud", "x", {"count"}) + " with lines linestyle 9",
                using_series("quiet", "x", {"count"}) + " with lines linestyle 10"}),
      margins(d, bottom) + x + x_title(d, bottom, "activation (linear around 0, logarithmic beyond)") +
          readings +
          fmt::format(
              "set yrange [{}.5:0.5]\nset ytics ({}) scale 0\nset xtics ({})\nset grid xtics linestyle {}\n",
              ranges.size(), names, tics(low, high, scale, top.right - top.left, true), style::faint) +
          "range(v) = asinh(v / " + number(scale) + ")\n" +
          plot({"data using (range(column('lo'))):(at('range', 'count')):(range(column('hi')) - "
                "range(column('lo'))):(0) with vectors nohead linecolor rgb black linewidth 4",
                "data using (at('range', 'x')):'count' with points linecolor rgb black pointtype 5 pointsize "
                "0.35*round"})};
  return d;
}

}  // namespace outlierlab
