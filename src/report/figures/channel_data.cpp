#include "report/figures/channel_data.h"

#include <map>
#include <numeric>

#include "core/error.h"
#include "report/measurement.h"

namespace outlierlab {

double LayerChannels::total_energy() const {
  return std::accumulate(energy.begin(), energy.end(), 0.0);
}

std::vector<LayerChannels> channels_of(const ResultSet& set, const std::string& kind) {
  const auto found = set.data.find("activations-channels");
  if (found == set.data.end()) return {};
  const DataTable& table = found->second;
  const std::size_t site = table.column("site"), layer = table.column("layer"),
                    channel = table.column("channel"), absmax = table.column("absmax"),
                    energy = table.column("energy");
  std::map<int, LayerChannels> layers;
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    if (without_layer(table.rows[r][site]) != kind) continue;
    LayerChannels& of_layer = layers[static_cast<int>(table.number(r, layer))];
    if (table.number(r, channel) != static_cast<double>(of_layer.absmax.size())) {
      fail_expected(table.file + ":" + std::to_string(r + 2),
                    "channel " + std::to_string(of_layer.absmax.size()), table.rows[r][channel]);
    }
    of_layer.absmax.push_back(table.number(r, absmax));
    of_layer.energy.push_back(table.number(r, energy));
  }
  std::vector<LayerChannels> ordered;
  for (auto& [index, of_layer] : layers) {
    of_layer.layer = index;
    if (!ordered.empty() && ordered.front().absmax.size() != of_layer.absmax.size()) {
      fail_expected(table.file, std::to_string(ordered.front().absmax.size()) + " channels in each layer",
                    std::to_string(of_layer.absmax.size()) + " in layer " + std::to_string(index));
    }
    ordered.push_back(std::move(of_layer));
  }
  return ordered;
}

}  // namespace outlierlab
