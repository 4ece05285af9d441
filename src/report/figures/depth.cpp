// Kurtosis and the energy of the top 1 % of channels by depth, a line per kind of site of the residual
// stream.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "report/figures/drawing.h"
#include "report/figures/figures.h"
#include "report/figures/theme.h"
#include "report/paper_values.h"

namespace outlierlab {

namespace {

struct Kind {
  const char* site;
  const char* label;
};
constexpr Kind kinds[] = {
    {"attention_output", "attention output"}, {"attention_residual", "attention residual"},
    {"ffn_input", "FFN input (x)"},           {"ffn_output", "FFN output (h)"},
    {"ffn_residual", "FFN residual (y)"},     {"output", "layer output"}};

struct Point {
  int layer;
  std::optional<double> kurtosis, energy;
};

/// By kind of site, in order of layer.
std::map<std::string, std::vector<Point>> points_of(const ResultSet& set) {
  std::map<std::string, std::map<int, Point>> by_layer;
  for (const Row& row : set.rows("activations")) {
    int layer = 0;
    const char* end = row.value.data() + row.value.size();
    if (row.parameter != "layer" || std::from_chars(row.value.data(), end, layer).ptr != end) continue;
    Point& point = by_layer[without_layer(row.variant)][layer];
    point.layer = layer;
    if (row.metric == "kurtosis") point.kurtosis = row.estimate;
    if (row.metric == "top1_energy") point.energy = row.estimate;
  }
  std::map<std::string, std::vector<Point>> points;
  for (const auto& [site, layers] : by_layer) {
    for (const auto& [layer, point] : layers) points[site].push_back(point);
  }
  return points;
}

/// "ffn_output of layer 4": where a quantity is largest.
template <typename Get>
std::string largest(const std::map<std::string, std::vector<Point>>& points, Get get, double& value) {
  std::string where;
  value = -1;
  for (const Kind& kind : kinds) {
    const auto found = points.find(kind.site);
    if (found == points.end()) continue;
    for (const Point& p : found->second) {
      if (get(p).value_or(-1) <= value) continue;
      value = *get(p);
      where = fmt::format("{} of layer {}", kind.label, p.layer);
    }
  }
  return where;
}

std::string curves(const std::string& column) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < std::size(kinds); ++i) {
    parts.push_back(using_series(kinds[i].site, "layer", {column}) +
                    fmt::format(" with linespoints linestyle {}", i + 1));
  }
  return plot(parts);
}

std::string reference(double value, const std::string& label) {
  return fmt::format(
      "set arrow from graph 0, first {0} to graph 1, first {0} nohead linestyle 11 back\n"
      "set label {1} at graph 1, first {0} left offset character 0.4, 0\n",
      number(value), literal(label));
}

std::string paper_reference(const std::string& metric, const std::string& unit) {
  const PaperValue* paper = find_paper_value("activations", "ffn_residual", "layer", "max", metric);
  return paper ? reference(paper->low, "paper: " + paper->text() + unit) : "";
}

}  // namespace

std::optional<Drawing> draw_depth(const ResultSets& sets) {
  const ResultSet& set = *sets.front();
  const auto points = points_of(set);
  double kurtosis = 0, energy = 0;
  const std::string tails = largest(
      points, [](const Point& p) { return p.kurtosis; }, kurtosis);
  const std::string few = largest(
      points, [](const Point& p) { return p.energy; }, energy);
  if (tails.empty() || few.empty()) return std::nullopt;

  Drawing d;
  d.title = "Tails and energy by depth";
  d.caption = fmt::format(
      "{}: kurtosis (a normal distribution has 3) and the share of energy in the top 1 % of channels along "
      "the "
      "residual stream. The heaviest tails are those of the {} (kurtosis {}); the most concentrated energy "
      "is "
      "that of the {} ({} %).",
      display_name(set), tails, count_text(kurtosis), few, percent(energy));
  d.width = double_column;
  d.height = 62;
  d.columns = {"series", "layer", "kurtosis", "top1_energy"};
  std::size_t last = 0;
  const PaperValue* paper = find_paper_value("activations", "ffn_residual", "layer", "max", "kurtosis");
  const double highest = std::max(kurtosis, paper ? paper->low : 0);
  for (const Kind& kind : kinds) {
    const auto found = points.find(kind.site);
    if (found == points.end()) continue;
    for (const Point& p : found->second) {
      d.add({kind.site, std::to_string(p.layer), number(p.kurtosis), number(p.energy)});
      last = std::max(last, static_cast<std::size_t>(p.layer));
    }
  }
  const std::string x = fmt::format("set xrange [-0.3:{}.3]\nset xtics 0, 1\n", last);
  std::vector<KeyEntry> entries;
  for (std::size_t i = 0; i < std::size(kinds); ++i) {
    entries.push_back({static_cast<int>(i + 1), kinds[i].label});
  }
  const Panel left{15, 70, 9, 56}, right{104, 162, 9, 56};
  d.panels = {margins(d, left) + x + x_title(d, left, "layer") +
                  y_title(d, left, "kurtosis (log scale)", 11.5) + "set logscale y\nset format y '%g'\n" +
                  fmt::format("set yrange [1:{}]\n", number(2 * highest)) + key(d, entries, 3) +
                  reference(3, "normal: 3") + paper_reference("kurtosis", "") + curves("kurtosis"),
              margins(d, right) + x + x_title(d, right, "layer") +
                  y_title(d, right, "energy in the top 1 % of channels (%)") + "set yrange [0:100]\n" +
                  paper_reference("top1_energy", " %") + curves("top1_energy")};
  return d;
}

}  // namespace outlierlab
