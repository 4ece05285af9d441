// Accuracy against the share of activations that stays in high precision: by site and by channel.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "report/figures/drawing.h"
#include "report/figures/figures.h"
#include "report/figures/theme.h"

namespace outlierlab {

namespace {

/// How many values each site has, by the rows of `activations`, and how many channels.
class Volumes {
 public:
  explicit Volumes(const ResultSet& set) {
    for (const Row& row : set.rows("activations")) {
      if (row.metric == "kurtosis" && row.n) values_[row.variant] = static_cast<double>(*row.n);
      if (row.variant == "shared_loud_channels" && row.n) hidden_ = static_cast<double>(*row.n);
    }
    for (const auto& [site, count] : values_) total_ += count;
  }

  bool known() const { return total_ > 0 && hidden_ > 0 && of_kind("ffn_input") > 0; }

  /// Percent of all values at sites of these letters: "x+h".
  double share_of_sites(const std::string& letters) const {
    double sum = 0;
    for (const char letter : letters) {
      if (letter == 'x') sum += of_kind("ffn_input");
      if (letter == 'h') sum += of_kind("ffn_output");
      if (letter == 'y') sum += of_kind("ffn_residual");
    }
    return 100 * sum / total_;
  }

  /// Percent of all values if each site but scores and probs keeps a share of its channels (at least one).
  double share_of_channels(double share) const {
    const double tokens = of_kind("ffn_input") / hidden_;
    double sum = 0;
    for (const auto& [site, count] : values_) {
      const std::string kind = without_layer(site);
      if (kind == "scores" || kind == "probs") continue;
      const bool wide = kind == "ffn_hidden";
      // The hidden layer of the FFN has other channels than the rest.
      const double channels = wide ? hidden_ * of_kind("ffn_hidden") / of_kind("ffn_input") : hidden_;
      sum += count * std::min(1.0, std::max(1.0, std::round(share * channels)) / channels);
    }
    return tokens > 0 ? 100 * sum / total_ : 0;
  }

 private:
  double of_kind(const std::string& kind) const {
    double sum = 0;
    for (const auto& [site, count] : values_) sum += without_layer(site) == kind ? count : 0;
    return sum;
  }

  std::map<std::string, double> values_;
  double hidden_ = 0, total_ = 0;
};

struct Choice {
  std::string series, label;
  double share;
  AccuracyPoint point;
};

std::vector<Choice> choices_of(const ResultSet& set, const Volumes& volumes) {
  std::vector<Choice> all;
  for (const AccuracyPoint& p : accuracy_points(set, "mixed_precision", "sites", "float")) {
    all.push_back({"sites", p.value, volumes.share_of_sites(p.value), p});
  }
  for (const AccuracyPoint& p : accuracy_points(set, "mixed_precision", "sites", "16-bit")) {
    all.push_back({"16-bit", p.value + ", 16 bits", volumes.share_of_sites(p.value), p});
  }
  for (const AccuracyPoint& p : accuracy_points(set, "mixed_precision", "channels", "share")) {
    all.push_back({"channels", p.value + " %", volumes.share_of_channels(p.x / 100), p});
  }
  return all;
}

/// Those that no other choice beats with as small a share, by share.
std::vector<const Choice*> pareto_front(const std::vector<Choice>& choices) {
  std::vector<const Choice*> sorted;
  for (const Choice& c : choices) sorted.push_back(&c);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Choice* a, const Choice* b) {
    return a->share != b->share ? a->share < b->share : a->point.accuracy.value > b->point.accuracy.value;
  });
  std::vector<const Choice*> front;
  for (const Choice* c : sorted) {
    if (front.empty() || c->point.accuracy.value > front.back()->point.accuracy.value) front.push_back(c);
  }
  return front;
}

std::string caption(const ResultSet& set, const Loss& loss, const std::vector<const Choice*>& front) {
  std::string text = fmt::format(
      "{}: accuracy against the share of all activations kept in high precision, by site (x, h, y) and by "
      "channel "
      "(of every site the share with the most energy), with 95 % intervals (FP32 {} %, W8A8 {} %).",
      display_name(set), percent(loss.fp32.value), percent(loss.w8a8.value));
  if (!loss.significant())
    return text + " W8A8 loses nothing significant here, so there is nothing to repair.";
  for (const Choice* c : front) {
    if (loss.recovery(c->point.accuracy) < 0.9) continue;
    return text +
           fmt::format(" The cheapest that recovers 90 % of the loss is {} ({} % of the activations, {} %).",
                       c->series == "channels" ? c->label + " of the channels" : c->label, percent(c->share),
                       percent(c->point.accuracy.value));
  }
  return text + " None recovers 90 % of the loss.";
}

/// Names to the right of their points, pushed apart where several stand above each other.
std::string labels(const std::vector<Choice>& choices, const Span& axis, double height_mm) {
  // Sites in 16 bits stand close to the right of the same sites in float.
  const auto has_twin = [&](const Choice& c) {
    return std::any_of(choices.begin(), choices.end(), [&](const Choice& other) {
      return other.series == "16-bit" && other.share == c.share;
    });
  };
  std::map<long, std::vector<const Choice*>> columns;
  for (const Choice& c : choices) {
    if (c.series != "16-bit") columns[std::lround(10 * std::log(c.share))].push_back(&c);
  }
  std::string commands;
  for (const auto& [position, column] : columns) {
    std::vector<double> places;
    for (const Choice* c : column) places.push_back(c->point.accuracy.value);
    places = spread_apart(places, 2.5 / height_mm * (axis.high - axis.low), axis);
    for (std::size_t i = 0; i < column.size(); ++i) {
      commands +=
          fmt::format("set label {} at first {}, first {} left offset character {}, 0.7 boxed front\n",
                      literal(column[i]->label), number(column[i]->share), number(places[i]),
                      has_twin(*column[i]) ? 1.4 : 0.6);
    }
  }
  return commands;
}

}  // namespace

std::optional<Drawing> draw_mixed_precision(const ResultSets& sets) {
  const ResultSet& set = *sets.front();
  const Volumes volumes(set);
  const std::optional<Loss> loss = loss_of(measurements(set.rows("mixed_precision")));
  if (!volumes.known() || !loss) return std::nullopt;
  const std::vector<Choice> choices = choices_of(set, volumes);
  if (choices.empty()) return std::nullopt;
  const std::vector<const Choice*> front = pareto_front(choices);

  Drawing d;
  d.title = "Accuracy against the share of activations in high precision";
  d.caption = caption(set, *loss, front);
  d.width = single_column;
  d.height = 70;
  d.columns = {"series", "share", "accuracy", "ci_low", "ci_high", "kept"};
  std::vector<double> shown = {loss->fp32.value, loss->w8a8.value, set.chance};
  double least = 100, most = 0;
  bool in_paper = false;
  const auto add = [&](const std::string& series, const Choice& c) {
    const Accuracy& a = c.point.accuracy;
    d.add({series, number(c.share), number(a.value), number(a.low), number(a.high), c.label});
  };
  for (const Choice& c : choices) {
    add(c.series, c);
    shown.insert(shown.end(), {c.point.accuracy.low, c.point.accuracy.high});
    least = std::min(least, c.share);
    most = std::max(most, c.share);
  }
  for (const Choice* c : front) add("front", *c);
  // The front goes on to the right: more float must not cost accuracy.
  d.add({"front", number(most * 1.9), number(front.back()->point.accuracy.value), "NaN", "NaN", ""});
  for (const Choice& c : choices) {
    if (!c.point.paper) continue;
    in_paper = true;
    d.add({"paper", number(c.share), number(*c.point.paper), "NaN", "NaN", c.label});
    shown.push_back(*c.point.paper);
  }
  const Span axis = accuracy_span(shown);
  const Panel panel{12, 79, 9, d.height - 10};
  std::vector<std::string> parts = {using_series("front", "share", {"accuracy"}) +
                                    fmt::format(" with steps linestyle {}", style::background)};
  std::vector<KeyEntry> entries;
  const std::tuple<const char*, int, const char*> kinds[] = {{"sites", 1, "sites in float"},
                                                             {"16-bit", 3, "sites in 16 bits"},
                                                             {"channels", 2, "channels in float"}};
  for (const auto& [series, line, label] : kinds) {
    if (!d.has(series)) continue;
    parts.push_back(
        points_with_intervals(series, "share", line, series == std::string("16-bit") ? "1.05 * " : ""));
    entries.push_back({line, label, KeyEntry::point});
  }
  entries.push_back({style::background, "Pareto front", KeyEntry::line});
  if (in_paper) {
    parts.push_back(paper_points("paper", "share"));
    entries.push_back(paper_key());
  }
  d.panels = {
      margins(d, panel) + key(d, entries, 3) +
      x_title(d, panel, "activations in high precision (%, log scale)") + y_title(d, panel, "accuracy (%)") +
      fmt::format("set logscale x\nset xrange [{}:{}]\nset xtics (0.5, 1, 2, 5, 10, 20, 50, 100)\n"
                  "set yrange [{}:{}]\n",
                  number(least / 1.3), number(most * 1.9), axis.low, axis.high) +
      "set style textbox opaque noborder fillcolor rgb 'white' margins 0.1, 0.1\n" +
      labels(choices, axis, panel.top - panel.bottom) +
      horizontal_references(accuracy_references(set, "mixed_precision"), axis, panel.top - panel.bottom) +
      plot(parts)};
  return d;
}

}  // namespace outlierlab
