// Speed of each way of running the network relative to FP32: a point per batch size and length.
#include "report/deployment.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/figures/figures.h"
#include "report/figures/theme.h"

namespace outlierlab {

namespace {

constexpr double label_mm = 44, row_mm = 5.2, foot_mm = 10;

const char* kind_of(const DeploymentMethod& m) {
  return m.is_simulated() ? "simulated" : m.is_integer() ? "integer" : "float";
}

std::string caption(const ResultSet& set, const std::vector<DeploymentMethod>& methods) {
  std::string text = fmt::format(
      "{}: speed relative to FP32; small points are batch sizes and lengths, large ones their median.",
      display_name(set));
  for (const char* variant : {"simulated:w8a8", "integer:w8a8"}) {
    for (const DeploymentMethod& m : methods) {
      if (m.variant == variant && !m.cells.empty())
        text += fmt::format(" {}: {:.2f}.", deployment_label(m.variant), m.median_speedup());
    }
  }
  return text;
}

}  // namespace

std::optional<Drawing> draw_deployment(const ResultSets& sets) {
  const ResultSet& set = *sets.front();
  std::vector<DeploymentMethod> methods;
  for (DeploymentMethod& m : deployment_methods(measurements(set.rows("deployment")))) {
    if (!m.cells.empty() && m.variant != "fp32") methods.push_back(std::move(m));
  }
  if (methods.size() < 3) return std::nullopt;
  Drawing d;
  d.title = "Speed, simulated and executed";
  d.caption = caption(set, methods);
  d.width = single_column + 20;
  d.height = 2 * key_row_mm + foot_mm + row_mm * static_cast<double>(methods.size()) + 2;
  d.columns = {"series", "row", "speedup", "batch_x_length", "method"};
  double least = 1, most = 1;
  std::string names;
  for (const char* kind : {"float", "simulated", "integer"}) {
    for (const std::string& series : {std::string(kind), std::string(kind) + " median"}) {
      for (std::size_t r = 0; r < methods.size(); ++r) {
        const DeploymentMethod& m = methods[r];
        if (kind_of(m) != std::string(kind)) continue;
        const std::string row = std::to_string(r + 1), label = deployment_label(m.variant);
        if (series != kind) {
          d.add({series, row, number(m.median_speedup()), "median", label});
          continue;
        }
        for (const auto& cell : m.cells) {
          d.add({series, row, number(cell.speedup), cell.value, label});
          least = std::min(least, cell.speedup);
          most = std::max(most, cell.speedup);
        }
      }
    }
  }
  for (std::size_t r = 0; r < methods.size(); ++r)
    names += (r ? ", " : "") + tic_name(deployment_label(methods[r].variant)) + fmt::format(" {}", r + 1);
  const Panel panel{label_mm, d.width - 6, foot_mm, d.height - key_row_mm - 5};
  std::string commands = margins(d, panel);
  commands += fmt::format(
      "set logscale x 2\nset xrange [{}:{}]\nset xtics (0.25, 0.5, 0.7, 1, 1.4, 2, 2.8, 4, 5.6, 8)\nset "
      "yrange [{}.5:0.5]\nset "
      "ytics ({}) scale 0\n",
      number(least / 1.1), number(most * 1.1), methods.size(), names);
  commands += fmt::format(
      "set arrow from first 1, graph 0 to first 1, graph 1 nohead linestyle {0} back\n"
      "set label 'FP32' at first 1, screen {1:.5f} center textcolor linestyle {0}\n",
      style::fp32, (panel.top + 1.8) / d.height);
  commands += x_title(d, panel, "speed relative to FP32 (log scale)");
  std::vector<KeyEntry> entries;
  std::vector<std::string> parts;
  for (const auto& [kind, line] :
       {std::pair{"float", 3}, std::pair{"simulated", 2}, std::pair{"integer", 1}}) {
    if (!d.has(kind)) continue;
    entries.push_back({line,
                       kind == std::string("integer") ? "integer execution"
                       : kind == std::string("float") ? "half-width float"
                                                      : kind,
                       KeyEntry::point});
    parts.push_back(fmt::format(
        "data using (at('{0}', 'speedup')):'row' with points linestyle {1} pointsize 0.25", kind, line));
    parts.push_back(
        fmt::format("data using (at('{0} median', 'speedup')):'row' with points linestyle {1} pointsize 0.9",
                    kind, line));
  }
  d.panels = {commands + key(d, entries, 3) + plot(parts)};
  return d;
}

}  // namespace outlierlab
