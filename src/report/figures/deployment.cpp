// Speed of each way of running the network relative to FP32 (FP16 on a GPU), a point per batch size and
// length, and the memory that it holds.
#include "report/deployment.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/figures/figures.h"
#include "report/figures/theme.h"
#include "report/paper_values.h"

namespace outlierlab {

namespace {

constexpr double label_mm = 46, row_mm = 5.2, foot_mm = 10, memory_mm = 45;

/// A way of execution: the float and simulated ones, then whatever stands before the colon in the variants.
struct Kind {
  std::string name, label;
  int style;
};

std::vector<Kind> kinds_of(const std::vector<DeploymentMethod>& methods) {
  const std::vector<Kind> known = {{"float", "16-bit float", 3},
                                   {"simulated", "simulated", 2},
                                   {"integer", "integer execution", 1},
                                   {"cuda float", "float", 3},
                                   {"cuda integer", "integer execution", 1}};
  std::vector<Kind> all;
  int next_style = 4;
  for (const DeploymentMethod& m : methods) {
    const std::string name = m.kind();
    if (std::any_of(all.begin(), all.end(), [&](const Kind& k) { return k.name == name; })) continue;
    const auto found =
        std::find_if(known.begin(), known.end(), [&](const Kind& k) { return k.name == name; });
    all.push_back(found != known.end() ? *found : Kind{name, name, next_style});
    if (found == known.end()) next_style = next_style == 6 ? 4 : next_style + 1;
  }
  return all;
}

std::string caption(const ResultSet& set, const std::string& experiment,
                    const std::vector<DeploymentMethod>& methods, bool memory,
                    const DeploymentDevice& device) {
  std::string text = fmt::format(
      "{}: speed relative to {}; each small point is a batch size and length with its 95 % interval, from "
      "the "
      "fewest tokens (above) to the most, the large one their median.{}",
      display_name(set), device.reference_label,
      !memory               ? ""
      : device.name.empty() ? " Right: weights and scratch memory."
                            : " Right: weights and workspace.");
  for (const char* kind : {"simulated", "integer", "cuda integer"}) {
    if (const DeploymentMethod* m = fastest_of_kind(methods, kind))
      text += fmt::format(" Fastest {}: {:.2f}.", deployment_label(m->variant), m->median_speedup());
  }
  const auto record = set.records.find(experiment);
  if (device.name.empty() && record != set.records.end()) {
    if (const std::string execution = execution_text(record->second); !execution.empty())
      text += " Executed: " + execution + ".";
  }
  return text;
}

/// The cells by the number of their tokens.
std::vector<DeploymentMethod::Cell> by_tokens(std::vector<DeploymentMethod::Cell> cells) {
  std::stable_sort(cells.begin(), cells.end(), [](const auto& a, const auto& b) {
    return a.examples * a.length < b.examples * b.length;
  });
  return cells;
}

/// Where the i-th of n cells stands in its row: above the middle to below it.
double place_in_row(std::size_t row, std::size_t i, std::size_t n) {
  const double share = n > 1 ? static_cast<double>(i) / static_cast<double>(n - 1) - 0.5 : 0;
  return static_cast<double>(row + 1) + 0.66 * share;
}

/// The paper's latencies are the same for every method: a speed of 1, within their span.
bool paper_says_equal() {
  const PaperValue* paper = find_paper_value("deployment", "w8a8", "", "", "latency_ms");
  return paper && paper->low / paper->high > 0.95;
}

void add_data(Drawing& d, const std::vector<DeploymentMethod>& methods, const std::vector<Kind>& kinds) {
  const auto add = [&](const std::string& series, double row, double speedup, double low, double high,
                       double memory, const std::string& cell, const DeploymentMethod& m) {
    d.add({series, number(row), number(speedup), number(low), number(high), number(memory), cell,
           deployment_label(m.variant)});
  };
  const double none = std::nan("");
  for (const Kind& kind : kinds) {
    for (const bool median : {false, true}) {
      for (std::size_t r = 0; r < methods.size(); ++r) {
        const DeploymentMethod& m = methods[r];
        if (m.kind() != kind.name) continue;
        if (median) {
          add(kind.name + " median", static_cast<double>(r + 1), m.median_speedup(), none, none,
              m.weights_mb.value_or(none), "median", m);
          continue;
        }
        const std::vector<DeploymentMethod::Cell> cells = by_tokens(m.cells);
        for (std::size_t i = 0; i < cells.size(); ++i)
          add(kind.name, place_in_row(r, i, cells.size()), *cells[i].speedup, cells[i].low, cells[i].high,
              none, cells[i].value, m);
      }
    }
  }
  for (std::size_t r = 0; r < methods.size() && paper_says_equal(); ++r) {
    if (methods[r].variant == "simulated:w8a8")
      add("paper", static_cast<double>(r + 1), 1, none, none, none, "", methods[r]);
  }
}

std::string speed_panel(const Drawing& d, const Panel& panel, const std::vector<DeploymentMethod>& methods,
                        const std::vector<Kind>& kinds, const std::string& names,
                        const std::string& reference) {
  double least = 1, most = 1;
  for (const DeploymentMethod& m : methods) {
    for (const auto& cell : m.cells) {
      least = std::min(least, cell.low);
      most = std::max(most, cell.high);
    }
  }
  std::string commands = margins(d, panel) +
                         fmt::format(
                             "set logscale x 2\nset xrange [{}:{}]\n"
                             "set xtics (0.125, 0.25, 0.5, 0.7, 1, 1.4, 2, 2.8, 4, 5.6, 8, 16, 32)\n"
                             "set yrange [{}.5:0.5]\nset ytics ({}) scale 0\n",
                             number(least / 1.1), number(most * 1.1), methods.size(), names) +
                         fmt::format(
                             "set arrow from first 1, graph 0 to first 1, graph 1 nohead linestyle {0} back\n"
                             "set label '{2}' at first 1, screen {1:.5f} center textcolor linestyle {0}\n",
                             style::fp32, (panel.top + 1.8) / d.height, reference) +
                         x_title(d, panel, "speed relative to " + reference + " (log scale)");
  std::vector<KeyEntry> entries;
  std::vector<std::string> parts;
  for (const Kind& kind : kinds) {
    entries.push_back({kind.style, kind.label, KeyEntry::point});
    const std::string cells = literal(kind.name), median = literal(kind.name + " median");
    parts.push_back(
        fmt::format("data using (at({0}, 'ci_low')):'row':(column('ci_high') - column('ci_low')):(0) "
                    "with vectors nohead linestyle {1} linewidth 0.7 dashtype 1",
                    cells, kind.style));
    parts.push_back(fmt::format(
        "data using (at({0}, 'speedup')):'row' with points linestyle {1} pointsize 0.2", cells, kind.style));
    parts.push_back(fmt::format(
        "data using (at({0}, 'speedup')):'row' with points linestyle {1} pointsize 0.9", median, kind.style));
  }
  if (d.has("paper")) {
    entries.push_back({style::paper, "paper (BERT-base, RTX 3050): no difference", KeyEntry::point});
    parts.push_back(
        fmt::format("data using (at('paper', 'speedup')):'row' with points linestyle {}", style::paper));
  }
  return commands + key(d, entries, 3) + plot(parts);
}

/// The memory that each method is known to take; `most` MB fit.
std::string memory_panel(const Drawing& d, const Panel& panel, const std::vector<DeploymentMethod>& methods,
                         double reference_mb, double most, const std::vector<Kind>& kinds,
                         const DeploymentDevice& device) {
  std::string commands =
      margins(d, panel) +
      fmt::format("set xrange [0:{}]\nset xtics autofreq\nset yrange [{}.5:0.5]\nunset ytics\n",
                  number(1.15 * std::max(reference_mb, most)), methods.size()) +
      fmt::format(
          "set arrow from first {0}, graph 0 to first {0}, graph 1 nohead linestyle {1} back\n"
          "set label '{3}' at first {0}, screen {2:.5f} center textcolor linestyle {1}\n",
          number(reference_mb), style::fp32, (panel.top + 1.8) / d.height, device.reference_label) +
      x_title(d, panel, device.name.empty() ? "weights and scratch (MB)" : "weights and workspace (MB)");
  std::vector<std::string> parts;
  for (const Kind& kind : kinds) {
    // gnuplot warns of series without data.
    if (std::none_of(methods.begin(), methods.end(),
                     [&](const DeploymentMethod& m) { return m.kind() == kind.name && m.weights_mb; }))
      continue;
    parts.push_back(
        fmt::format("data using (at({}, 'memory_mb')):'row' with points linestyle {} pointsize 0.9",
                    literal(kind.name + " median"), kind.style));
  }
  return commands + plot(parts);
}

std::optional<Drawing> draw_speeds(const ResultSet& set, const std::string& experiment,
                                   const std::string& title,
                                   const DeploymentDevice& device = deployment_device("")) {
  std::vector<DeploymentMethod> methods;
  std::optional<double> reference_mb;
  double most_mb = 0;
  for (DeploymentMethod& m :
       methods_of(deployment_methods(measurements(set.rows(experiment))), device.name)) {
    if (m.variant == device.reference) reference_mb = m.weights_mb;
    m.cells = m.compared();
    if (m.cells.empty() || m.variant == device.reference) continue;
    most_mb = std::max(most_mb, m.weights_mb.value_or(0));
    methods.push_back(std::move(m));
  }
  if (methods.size() < 3) return std::nullopt;
  const std::vector<Kind> kinds = kinds_of(methods);
  const bool memory = reference_mb && most_mb > 0;
  Drawing d;
  d.title = title;
  d.caption = caption(set, experiment, methods, memory, device);
  d.width = double_column;
  d.height = 2 * key_row_mm + foot_mm + row_mm * static_cast<double>(methods.size()) + 2;
  d.columns = {"series", "row", "speedup", "ci_low", "ci_high", "memory_mb", "batch_x_length", "method"};
  add_data(d, methods, kinds);
  std::string names;
  for (std::size_t r = 0; r < methods.size(); ++r)
    names += (r ? ", " : "") + tic_name(deployment_label(methods[r].variant)) + fmt::format(" {}", r + 1);
  const double top = d.height - key_row_mm - 5, right = d.width - 6;
  const Panel speed{label_mm, memory ? right - memory_mm : right, foot_mm, top};
  d.panels = {speed_panel(d, speed, methods, kinds, names, device.reference_label)};
  if (memory)
    d.panels.push_back(memory_panel(d, {right - memory_mm + 8, right, foot_mm, top}, methods, *reference_mb,
                                    most_mb, kinds, device));
  return d;
}

}  // namespace

std::optional<Drawing> draw_deployment(const ResultSets& sets) {
  return draw_speeds(*sets.front(), "deployment", "Speed and memory, simulated and executed");
}

std::optional<Drawing> draw_deployment_cuda(const ResultSets& sets) {
  return draw_speeds(*sets.front(), "deployment", "Speed and memory on CUDA", deployment_device("cuda"));
}

std::optional<Drawing> draw_deployment_shapes(const ResultSets& sets) {
  return draw_speeds(*sets.front(), "deployment_shapes", "Speed at the sizes of BERT-base and BERT-large");
}

}  // namespace outlierlab
