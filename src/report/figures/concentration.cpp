// Cumulative energy over the channels, that of most energy first, at the FFN's residual sum (y) of each
// layer.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/figures/channel_data.h"
#include "report/figures/drawing.h"
#include "report/figures/figures.h"
#include "report/figures/theme.h"
#include "report/paper_values.h"

namespace outlierlab {

namespace {

/// Percent of the energy in the first 1, 2, ... channels.
std::vector<double> cumulative(const LayerChannels& layer) {
  std::vector<double> sorted = layer.energy;
  std::sort(sorted.rbegin(), sorted.rend());
  const double total = layer.total_energy();
  std::vector<double> shares;
  double sum = 0;
  for (const double energy : sorted) shares.push_back(total > 0 ? 100 * (sum += energy) / total : 0);
  return shares;
}

/// 1, 2, 5, 10 and so on, then the number of channels.
std::string tics(std::size_t channels) {
  std::string list;
  for (std::size_t decade = 1; decade < channels; decade *= 10) {
    for (const std::size_t tic : {decade, 2 * decade, 5 * decade}) {
      if (3 * tic <= 2 * channels) list += fmt::format("{}, ", tic);
    }
  }
  return list + std::to_string(channels);
}

}  // namespace

std::optional<Drawing> draw_concentration(const ResultSets& sets) {
  const ResultSet& set = *sets.front();
  const std::vector<LayerChannels> layers = channels_of(set, "ffn_residual");
  if (layers.empty()) return std::nullopt;
  const std::size_t channels = layers.front().energy.size();
  const auto top = static_cast<std::size_t>(std::max(1.0, std::round(0.01 * static_cast<double>(channels))));

  std::vector<std::vector<double>> curves;
  for (const LayerChannels& layer : layers) curves.push_back(cumulative(layer));
  std::size_t most = 0, least = 0;
  for (std::size_t i = 0; i < curves.size(); ++i) {
    if (curves[i][top - 1] > curves[most][top - 1]) most = i;
    if (curves[i][top - 1] < curves[least][top - 1]) least = i;
  }

  Drawing d;
  d.title = "Energy over the channels at y, most energy first";
  d.caption = fmt::format(
      "{}: cumulative energy over the channels at the FFN's residual sum (y), sorted by energy; a line per "
      "layer. "
      "The top 1 % ({} of {} channels) hold {} % in layer {} and {} % in layer {}; evenly spread they would "
      "hold "
      "{} %.",
      display_name(set), top, channels, percent(curves[most][top - 1]), layers[most].layer,
      percent(curves[least][top - 1]), layers[least].layer,
      percent(100 * static_cast<double>(top) / static_cast<double>(channels)));
  d.width = single_column;
  d.height = 62;
  d.columns = {"series", "channels", "share"};
  for (std::size_t i = 0; i < curves.size(); ++i) {
    for (std::size_t c = 0; c < channels; ++c) {
      d.add({fmt::format("layer {}", layers[i].layer), std::to_string(c + 1), number(curves[i][c])});
    }
  }
  const auto curve = [&](std::size_t i, const std::string& line) {
    return using_series(fmt::format("layer {}", layers[i].layer), "channels", {"share"}) + " with lines " +
           line;
  };
  std::vector<std::string> parts;
  std::vector<KeyEntry> entries;
  for (std::size_t i = 0; i < curves.size(); ++i) {
    if (i != most && i != least) parts.push_back(curve(i, fmt::format("linestyle {}", style::background)));
  }
  parts.push_back(curve(most, "linestyle 2"));
  entries.push_back({2, fmt::format("layer {}", layers[most].layer), KeyEntry::line});
  if (least != most) {
    parts.push_back(curve(least, "linestyle 1"));
    entries.push_back({1, fmt::format("layer {}", layers[least].layer), KeyEntry::line});
  }
  if (layers.size() > 2) entries.push_back({style::background, "the layers between", KeyEntry::line});
  parts.push_back(fmt::format("[1:{0}] 100 * x / {0} with lines linestyle {1}", channels, style::chance));
  entries.push_back({style::chance, "evenly spread", KeyEntry::line});
  if (const PaperValue* p = find_paper_value("activations", "ffn_residual", "layer", "max", "top1_energy")) {
    d.add({"paper", std::to_string(top), number(p->low)});
    parts.push_back(using_series("paper", "channels", {"share"}) +
                    fmt::format(" with points linestyle {}", style::paper));
    entries.push_back(paper_key());
  }
  const Panel panel{12, 86, 9, 52};
  d.panels = {margins(d, panel) + key(d, entries, panel.left) +
              fmt::format("set logscale x\nset xrange [0.85:{0}]\nset yrange [0:102]\nset xtics ({1})\n"
                          "set arrow from {2}, graph 0 to {2}, graph 1 nohead linestyle {3} back\n"
                          "set label 'top 1 %' at {2}, graph 0.14 left offset character 0.4, 0\n",
                          channels, tics(channels), top, style::fp32) +
              x_title(d, panel, "channels, most energy first (log scale)") +
              y_title(d, panel, "cumulative energy (%)") + plot(parts)};
  return d;
}

}  // namespace outlierlab
