#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "core/error.h"
#include "report/deployment.h"
#include "report/latex_text.h"
#include "report/loss.h"
#include "report/paper_values.h"
#include "report/reading.h"
#include "report/report_latex.h"
#include "report/trend.h"
#include "report/verdicts.h"

namespace outlierlab {

namespace {

using Measurements = std::vector<Measurement>;

/// Collects the lines and refuses a name that comes twice.
class Lines {
 public:
  void number(const std::string& key, const std::string& estimate, const std::string& low = "",
              const std::string& high = "", const std::string& n = "") {
    add("\\olnumber", key,
        fmt::format("\\olnumber{{{}}}{{{}}}{{{}}}{{{}}}{{{}}}\n", key, estimate, low, high, n));
  }
  void number(const std::string& key, const Measurement& m) {
    const auto interval = m.interval();
    number(key, latex_number(m.estimate(), m.metric), interval ? latex_number(interval->first, m.metric) : "",
           interval ? latex_number(interval->second, m.metric) : "",
           m.fixed && m.fixed->n ? latex_count(*m.fixed->n) : "");
  }
  void text(const std::string& kind, const std::string& key, const std::string& text) {
    add(kind, key, fmt::format("\\oltext{{{}}}{{{}}}{{{}}}\n", kind, key, text));
  }
  const std::string& all() const { return all_; }

 private:
  void add(const std::string& kind, const std::string& key, const std::string& line) {
    if (!seen_.insert(kind + ' ' + key).second) {
      fail_expected("results", "one row per name in the paper", "two rows with the name " + key);
    }
    all_ += line;
  }
  std::string all_;
  std::set<std::string> seen_;
};

std::optional<std::uint64_t> examples(const Measurement& m) {
  return m.fixed ? m.fixed->n : std::nullopt;
}

const Measurement* fp32_of(const Measurements& all) {
  return find_measurement(all, "fp32", "", "", "accuracy");
}

/// Share of W8A8's loss that a row wins back, in percent; none without a loss or on other examples than FP32.
std::optional<double> recovery(const Measurements& all, const Measurement& m) {
  const auto loss = loss_of(all);
  if (!loss || loss->size() <= 0 || examples(m) != examples(*fp32_of(all))) return std::nullopt;
  return 100 * loss->recovery(accuracy_of(m));
}

/// Accuracies that share variant and parameter, in order of first appearance.
std::vector<std::vector<const Measurement*>> series(const Measurements& all) {
  std::vector<std::vector<const Measurement*>> groups;
  for (const Measurement& m : all) {
    if (m.metric != "accuracy" || m.parameter.empty()) continue;
    const auto same = std::find_if(groups.begin(), groups.end(), [&](const auto& group) {
      return group[0]->variant == m.variant && group[0]->parameter == m.parameter;
    });
    if (same == groups.end()) {
      groups.push_back({&m});
    } else {
      same->push_back(&m);
    }
  }
  return groups;
}

void add_extreme(Lines& lines, const std::string& key, const Measurements& all, const Measurement& m,
                 const std::string& ties) {
  lines.number(key + "/accuracy", m);
  lines.text("setting", key, latex_setting(m.variant, m.parameter, m.value) + ties);
  if (const auto share = recovery(all, m)) {
    lines.number(key + "/recovery", latex_percent(*share));
  }
}

/// The least number of groups that wins back three quarters of the loss.
std::string enough_groups(const Measurements& all, const std::vector<const Measurement*>& group) {
  int least = 0;
  for (const Measurement* m : group) {
    int groups = 0;
    const char* end = m->value.data() + m->value.size();
    if (std::from_chars(m->value.data(), end, groups).ptr != end || groups < 1) {
      fail_expected("peg: " + m->variant, "a number of groups", "'" + m->value + "'");
    }
    const auto share = recovery(all, *m);
    if (share && *share >= 75 && (least == 0 || groups < least)) least = groups;
  }
  return least == 0 ? "none" : std::to_string(least);
}

void add_experiment(Lines& lines, const std::string& set, const std::string& experiment,
                    const std::vector<Row>& rows) {
  const Measurements all = measurements(rows);
  for (const Measurement& m : all) {
    lines.number(latex_key({set, experiment, m.variant, m.parameter, m.value, m.metric}), m);
  }
  if (const auto loss = loss_of(all)) {
    lines.number(latex_key({set, experiment, "loss", "accuracy"}), latex_number(loss->size(), "accuracy"));
  }
  for (const auto& group : series(all)) {
    if (group.size() < 2) continue;
    const auto below = [](const Measurement* a, const Measurement* b) {
      return a->estimate() < b->estimate();
    };
    const Measurement& worst = **std::min_element(group.begin(), group.end(), below);
    const Measurement& best = **std::max_element(group.begin(), group.end(), below);
    std::vector<Accuracy> same_kind;
    for (const Measurement* m : group) same_kind.push_back(accuracy_of(*m));
    const std::string key = latex_key({set, experiment, group[0]->variant, group[0]->parameter});
    add_extreme(lines, key + "/best", all, best, alike(same_kind));
    add_extreme(lines, key + "/worst", all, worst, "");
    if (experiment == "peg" && group[0]->parameter == "groups") {
      lines.text("enough", key, enough_groups(all, group));
    }
  }
}

std::string ratio_text(double value) {
  return latex_number(value, "speedup");
}

/// Medians over the cells by method, with the least and the most; and the fastest of each kind.
void add_deployment(Lines& lines, const std::string& set, const std::string& experiment,
                    const std::vector<Row>& rows) {
  const std::vector<DeploymentMethod> methods = deployment_methods(measurements(rows));
  std::optional<double> fp32_mb;
  std::set<std::string> kinds;
  for (const DeploymentMethod& m : methods) {
    if (m.variant == "fp32") fp32_mb = m.weights_mb;
    const std::vector<DeploymentMethod::Cell> cells = m.compared();
    if (cells.empty() || m.variant == "fp32") continue;
    kinds.insert(m.kind());
    const auto [slowest, fastest] = std::minmax_element(
        cells.begin(), cells.end(), [](const auto& a, const auto& b) { return *a.speedup < *b.speedup; });
    lines.number(latex_key({set, experiment, m.variant, "median", "speedup"}), ratio_text(m.median_speedup()),
                 ratio_text(*slowest->speedup), ratio_text(*fastest->speedup), latex_count(cells.size()));
  }
  for (const std::string& kind : kinds) {
    const DeploymentMethod& m = *fastest_of_kind(methods, kind);
    const std::string key = latex_key({set, experiment, "fastest-" + kind});
    lines.text("method", key, latex_escaped(deployment_label(m.variant)));
    lines.number(key + "/speedup", ratio_text(m.median_speedup()));
    if (!m.weights_mb) continue;
    lines.number(key + "/memory_weights_mb", latex_number(*m.weights_mb, "memory_weights_mb"));
    if (fp32_mb && m.device().empty())
      lines.number(key + "/memory_share", latex_percent(100 * *m.weights_mb / *fp32_mb));
  }
}

/// The largest value over the layers of each kind of site and metric.
void add_largest_over_layers(Lines& lines, const std::string& set, const std::vector<Row>& rows) {
  std::vector<Measurement> largest;
  std::vector<std::string> layers;
  for (const Measurement& m : measurements(rows)) {
    const bool shown = m.metric == "kurtosis" || m.metric == "top1_energy" || m.metric == "absmax";
    if (!shown || m.parameter != "layer" || m.variant == without_layer(m.variant)) continue;
    const std::string site = without_layer(m.variant);
    const auto same = std::find_if(largest.begin(), largest.end(), [&](const Measurement& other) {
      return other.variant == site && other.metric == m.metric;
    });
    if (same == largest.end()) {
      largest.push_back(m);
      largest.back().variant = site;
      layers.push_back(m.value);
    } else if (m.estimate() > same->estimate()) {
      layers[static_cast<std::size_t>(same - largest.begin())] = m.value;
      *same = m;
      same->variant = site;
    }
  }
  for (std::size_t i = 0; i < largest.size(); ++i) {
    const std::string key =
        latex_key({set, "activations", largest[i].variant, "layer", "max", largest[i].metric});
    lines.number(key, largest[i]);
    lines.text("layer", key, latex_escaped(layers[i]));
  }
}

std::string experiment_of(const std::string& claim) {
  for (const PaperValue& value : paper_values()) {
    if (value.claim == claim) return value.experiment;
  }
  return "all";
}

void add_verdicts(Lines& lines, const ResultSet& results) {
  const std::vector<Verdict> all = verdicts(results);
  for (const Verdict& v : all) {
    if (v.outcome == Outcome::no_data) continue;
    lines.text("verdict", latex_key({results.name, v.claim}), to_string(v.outcome));
    lines.text("figures", latex_key({results.name, v.claim}), latex_prose(v.figures));
  }
  for (const Outcome outcome : {Outcome::confirmed, Outcome::partly, Outcome::not_confirmed,
                                Outcome::too_few_examples, Outcome::nothing_to_repair}) {
    std::string claims;
    std::size_t count = 0;
    for (const Verdict& v : all) {
      if (v.outcome != outcome) continue;
      claims += (count++ == 0 ? "" : ", ") + v.claim;
    }
    const std::string key = latex_key({results.name, to_string(outcome)});
    lines.text("claims", key, claims.empty() ? "none" : claims);
    lines.text("count", key, std::to_string(count));
  }
}

/// What the network looks like, as far as the rows tell.
void add_network(Lines& lines, const ResultSet& results) {
  const std::string set = latex_key({results.name});
  std::set<std::string> layers, sites;
  for (const Row& row : results.rows("activations")) {
    if (row.metric != "kurtosis" || row.parameter != "layer") continue;
    sites.insert(row.variant);
    if (row.variant != without_layer(row.variant)) layers.insert(row.value);
  }
  if (!layers.empty()) lines.text("layers", set, std::to_string(layers.size()));
  if (!sites.empty()) lines.text("sites", set, std::to_string(sites.size()));
  if (const auto data = results.data.find("activations-channels"); data != results.data.end()) {
    const std::size_t column = data->second.column("channel");
    std::set<std::string> channels;
    for (const auto& row : data->second.rows) channels.insert(row[column]);
    lines.text("width", set, std::to_string(channels.size()));
  }
  for (const Row& row : results.rows("mixed_precision")) {
    if (row.variant != "only_one" || !row.n) continue;
    lines.text("sensitivity-n", set, latex_count(*row.n));
    break;
  }
}

void add_record(Lines& lines, const std::string& key, const RunRecord& record) {
  std::string machine = latex_escaped(record.cpu);
  const std::string execution = execution_text(record);
  // Where methods ran with units of their own, that of float alone would mislead.
  if (record.executors.empty() && !record.instructions.empty())
    machine += ", " + latex_escaped(record.instructions);
  if (!record.executors.empty() && !execution.empty()) lines.text("executed", key, latex_escaped(execution));
  if (record.threads) machine += fmt::format(", {} thread{}", record.threads, record.threads == 1 ? "" : "s");
  if (!record.cpu.empty()) lines.text("machine", key, machine);
  if (!record.device.empty()) lines.text("device", key, latex_escaped(record.device));
  if (!record.calibration_size.empty())
    lines.text("calibration-size", key, latex_escaped(record.calibration_size));
  if (!record.max_length.empty()) lines.text("max-length", key, latex_escaped(record.max_length));
}

void add_set(Lines& lines, const ResultSet& results) {
  const std::string set = latex_key({results.name});
  lines.text("model", set, latex_escaped(results.model));
  lines.text("task", set, latex_escaped(results.task));
  const Measurements baseline = measurements(results.rows("baseline"));
  const Measurement* fp32 = fp32_of(baseline);
  if (fp32 && examples(*fp32)) lines.text("n", set, latex_count(*examples(*fp32)));
  add_network(lines, results);
  add_verdicts(lines, results);
  for (const auto& [experiment, rows] : results.experiments) {
    add_experiment(lines, results.name, experiment, rows);
    if (is_deployment(experiment)) add_deployment(lines, results.name, experiment, rows);
    lines.text("reading", latex_key({results.name, experiment}), latex_prose(reading(experiment, results)));
  }
  add_largest_over_layers(lines, results.name, results.rows("activations"));
  const auto depth = by_layer(measurements(results.rows("activations")), "kurtosis");
  if (depth.empty()) return;
  const std::string key =
      latex_key({results.name, "activations", "ffn_residual", "layer", "trend", "kurtosis"});
  lines.text("trend", key, trend_word(depth));
  lines.text("rho", key, latex_prose(fmt::format("{:.2f}", spearman(depth))));
}

}  // namespace

std::string latex_numbers(const std::vector<ResultSet>& results) {
  Lines lines;
  for (const PaperValue& value : paper_values()) {
    lines.text("paper",
               latex_key({value.experiment, value.variant, value.parameter, value.value, value.metric}),
               latex_paper(value));
  }
  for (const Verdict& v : verdicts({})) {
    lines.text("claim", v.claim, latex_escaped(v.title));
    lines.text("experiment", v.claim, latex_escaped(experiment_of(v.claim)));
  }
  for (const ResultSet& set : results) add_set(lines, set);
  for (const ResultSet& set : results) {
    for (const auto& [experiment, record] : set.records)
      add_record(lines, latex_key({set.name, experiment}), record);
  }
  return latex_mark + lines.all();
}

}  // namespace outlierlab
