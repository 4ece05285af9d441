// Examples per second and accuracy of the usual ways to run the network, ours beside the others.
#include "report/peers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/figures/figures.h"
#include "report/figures/theme.h"

namespace outlierlab {

namespace {

constexpr double label_mm = 46, row_mm = 4.4, foot_mm = 10, gap_mm = 8;

struct Kind {
  const char *series, *label;
  int style;
};
constexpr Kind kinds[] = {{"others float", "other programs, float", 3},
                          {"others integer", "other programs, 8 bits", 2},
                          {"ours float", "outlierlab, float", 7},
                          {"ours integer", "outlierlab, 8 bits", 1}};

const char* series_of(const Peer& p) {
  return kinds[(p.is_ours() ? 2 : 0) + (p.is_integer() ? 1 : 0)].series;
}

std::string caption(const ResultSet& set, const std::vector<Peer>& peers) {
  std::string text = fmt::format(
      "{}: examples per second (median, least and most over the repeats) and accuracy with its 95 % interval "
      "of "
      "programs that run the same network on the same examples, batches and threads.",
      display_name(set));
  const Peer* best = fastest(peers, [&](const Peer& p) { return keeps_accuracy(peers, p); });
  if (!best) return text;
  const std::optional<double> reference = float_accuracy(peers);
  text += fmt::format(" Fastest{}: {}, {} per second",
                      reference ? fmt::format(" within {:g} point of float32's accuracy", kept_points) : "",
                      best->label(), count_text(best->throughput));
  return text + (best->speedup ? fmt::format(", {:.2f} times PyTorch's float32.", *best->speedup) : ".");
}

std::string panel_of(const Drawing& d, const Panel& panel, const std::string& column,
                     const std::optional<double>& reference, const std::string& title) {
  std::string commands = x_title(d, panel, title);
  if (reference)
    commands += fmt::format(
        "set arrow from first {0}, graph 0 to first {0}, graph 1 nohead linestyle {1} back\n"
        "set label 'PyTorch FP32' at first {0}, screen {2:.5f} center textcolor linestyle {1}\n",
        number(*reference), style::fp32, (panel.top + 1.8) / d.height);
  std::vector<std::string> parts;
  for (const Kind& kind : kinds) {
    if (!d.has(kind.series)) continue;
    parts.push_back(
        fmt::format("data using (at({0}, '{1}')):'row':'{1}_low':'{1}_high' with xerrorbars "
                    "linestyle {2} linewidth 1.5 dashtype 1",
                    literal(kind.series), column, kind.style));
  }
  return commands + plot(parts);
}

}  // namespace

std::optional<Drawing> draw_peers(const ResultSets& sets) {
  const ResultSet& set = *sets.front();
  const std::vector<Peer> peers = peers_of(measurements(set.rows("peers")));
  if (peers.size() < 2) return std::nullopt;
  Drawing d;
  d.title = "Speed and accuracy beside other programs";
  d.caption = caption(set, peers);
  d.width = double_column;
  d.height = 2 * key_row_mm + foot_mm + row_mm * static_cast<double>(peers.size()) + 2;
  d.columns = {"series",   "row",          "rate",          "rate_low", "rate_high",
               "accuracy", "accuracy_low", "accuracy_high", "program"};
  std::string names;
  std::vector<double> shown;
  double most = 0;
  const Peer* reference = nullptr;
  for (std::size_t r = 0; r < peers.size(); ++r) {
    const Peer& p = peers[r];
    names += (r ? ", " : "") + tic_name(p.label()) + fmt::format(" {}", r + 1);
    d.add({series_of(p), std::to_string(r + 1), number(p.throughput), number(p.slowest), number(p.fastest),
           number(p.accuracy), number(p.accuracy_low), number(p.accuracy_high), p.label()});
    most = std::max(most, p.fastest);
    if (p.variant == "torch-fp32") reference = &p;
    for (const auto& value : {p.accuracy, p.accuracy_low, p.accuracy_high}) {
      if (value) shown.push_back(*value);
    }
  }
  const double top = d.height - key_row_mm - 5, middle = label_mm + 78;
  const Panel rate{label_mm, middle, foot_mm, top}, accuracy{middle + gap_mm, d.width - 5, foot_mm, top};
  const std::string rows = fmt::format("set yrange [{}.5:0.5]\n", peers.size());
  std::vector<KeyEntry> entries;
  for (const Kind& kind : kinds) {
    if (d.has(kind.series)) entries.push_back({kind.style, kind.label, KeyEntry::point});
  }
  d.panels = {margins(d, rate) + key(d, entries, 3) + rows + "set ytics (" + names + ") scale 0\n" +
              fmt::format("set xrange [0:{}]\n", number(1.05 * most)) +
              panel_of(d, rate, "rate", reference ? std::optional(reference->throughput) : std::nullopt,
                       "examples per second")};
  if (!shown.empty()) {
    const Span axis = accuracy_span(shown);
    d.panels.push_back(
        margins(d, accuracy) + rows + "unset ytics\n" +
        fmt::format("set xrange [{}:{}]\n", number(axis.low), number(axis.high)) +
        panel_of(d, accuracy, "accuracy", reference ? reference->accuracy : std::nullopt, "accuracy (%)"));
  }
  return d;
}

}  // namespace outlierlab
