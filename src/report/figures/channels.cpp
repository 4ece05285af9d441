// Heat map of the largest magnitude of every channel at the FFN's residual sum (y), layer by layer.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "report/figures/channel_data.h"
#include "report/figures/drawing.h"
#include "report/figures/figures.h"
#include "report/figures/theme.h"

namespace outlierlab {

namespace {

constexpr std::size_t most_labels = 6;
constexpr double loud_factor = 6;
/// Colours span at least this factor: a quiet network must look quiet.
constexpr double least_span = 100;

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

/// The channels that exceed six times their layer's median in some layer, the largest such ratio first.
std::vector<std::pair<double, std::size_t>> loud_channels(const std::vector<LayerChannels>& layers) {
  std::map<std::size_t, double> ratio;
  for (const LayerChannels& layer : layers) {
    const double middle = median(layer.absmax);
    for (std::size_t c = 0; c < layer.absmax.size(); ++c) {
      if (layer.absmax[c] > loud_factor * middle) ratio[c] = std::max(ratio[c], layer.absmax[c] / middle);
    }
  }
  std::vector<std::pair<double, std::size_t>> loud;
  for (const auto& [channel, r] : ratio) loud.emplace_back(r, channel);
  std::sort(loud.begin(), loud.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  return loud;
}

/// Numbers of the outlier channels above the map, each with a line to its column.
std::string channel_labels(const std::vector<std::pair<double, std::size_t>>& loud, double channels,
                           double height_mm) {
  std::vector<double> columns;
  for (const auto& [ratio, channel] : loud) {
    if (columns.size() < most_labels) columns.push_back(static_cast<double>(channel));
  }
  const std::vector<double> places = spread_apart(columns, channels / 22, {0, channels});
  std::string commands;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    commands += fmt::format(
        "set arrow from first {0}, graph 1 to first {1}, graph {2} nohead linecolor rgb black linewidth "
        "0.7\n"
        "set label '{0}' at first {1}, graph {3} center\n",
        columns[i], number(places[i]), number(1 + 1.8 / height_mm), number(1 + 3.2 / height_mm));
  }
  return commands;
}

}  // namespace

std::optional<Drawing> draw_channels(const ResultSets& sets) {
  const ResultSet& set = *sets.front();
  const std::vector<LayerChannels> layers = channels_of(set, "ffn_residual");
  if (layers.empty()) return std::nullopt;
  const auto loud = loud_channels(layers);

  Drawing d;
  d.title = "Largest magnitude of each channel at y, by layer";
  d.caption =
      fmt::format("{}: largest |v| of each channel at the FFN's residual sum (y) over the evaluated split. ",
                  display_name(set));
  if (loud.empty()) {
    d.caption += "No channel exceeds six times the median channel of its layer.";
  } else {
    d.caption += fmt::format(
        "{} of {} channels exceed six times the median channel of their layer somewhere; channel {} reaches "
        "{} "
        "times.",
        loud.size(), layers.front().absmax.size(), loud.front().second, count_text(loud.front().first));
  }
  d.width = double_column;
  d.height = 26 + 3.5 * static_cast<double>(layers.size());
  d.columns = {"series", "layer", "channel", "absmax"};
  double low = HUGE_VAL, high = 0;
  for (const LayerChannels& layer : layers) {
    for (std::size_t c = 0; c < layer.absmax.size(); ++c) {
      d.add({"y", std::to_string(layer.layer), std::to_string(c), number(layer.absmax[c])});
      if (layer.absmax[c] > 0) low = std::min(low, layer.absmax[c]);
      high = std::max(high, layer.absmax[c]);
    }
  }
  if (!(high > low)) return std::nullopt;
  const double channels = static_cast<double>(layers.front().absmax.size());
  const Panel panel{11, 160, 9, d.height - 6};
  d.panels = {
      margins(d, panel) +
      fmt::format("set xrange [-0.5:{}]\nset yrange [-0.5:{}]\nset cbrange [{}:{}]\n", channels - 0.5,
                  static_cast<double>(layers.size()) - 0.5, number(low),
                  number(std::max(high, least_span * low))) +
      "set logscale cb\nset format cb '%g'\nset border 0\nset ytics 0, 1 scale 0\n" +
      x_title(d, panel, "channel", 6.4) + y_title(d, panel, "layer", 6) +
      text_at(d, 181, (panel.bottom + panel.top) / 2, "largest |v| (log scale)", "center rotate by 90") +
      text_at(d, panel.right + 1.5, panel.top + 3.2,
              loud.empty() ? "no outlier channel" : "outlier channels") +
      channel_labels(loud, channels, panel.top - panel.bottom) +
      "plot data using 'channel':'layer':'absmax' with image\n"};
  return d;
}

}  // namespace outlierlab
