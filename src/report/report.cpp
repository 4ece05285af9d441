#include "report/report.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "report/coverage.h"
#include "report/deployment.h"
#include "report/measurement.h"
#include "report/paper_values.h"
#include "report/peers.h"
#include "report/reading.h"
#include "report/roofline.h"
#include "report/rounding.h"

namespace outlierlab {

namespace {

std::string column_title(const std::string& metric) {
  static const std::map<std::string, std::string> titles = {{"accuracy", "accuracy, %"},
                                                            {"agreement", "agreement, %"},
                                                            {"kl", "KL, nats"},
                                                            {"mcnemar_p", "McNemar p"},
                                                            {"top1_energy", "top-1 % energy, %"}};
  const auto found = titles.find(metric);
  return found == titles.end() ? metric : found->second;
}

/// Distinct values in order of first appearance.
template <typename Get>
std::vector<std::string> distinct(const std::vector<Measurement>& all, Get get) {
  std::vector<std::string> values;
  std::set<std::string> seen;
  for (const Measurement& m : all) {
    if (seen.insert(get(m)).second) values.push_back(get(m));
  }
  return values;
}

/// One line per (variant, parameter, value).
class Pivot {
 public:
  Pivot(const std::string& experiment, const std::vector<Measurement>& all) : experiment_(experiment) {
    metrics_ = distinct(all, [](const Measurement& m) { return m.metric; });
    for (const Measurement& m : all) {
      const auto [found, is_new] =
          index_.emplace(m.variant + '\x1f' + m.parameter + '\x1f' + m.value, lines_.size());
      if (is_new) lines_.push_back({m.variant, m.parameter, m.value, {}, {}, 0});
      Line& line = lines_[found->second];
      line.cells[m.metric] = m.text();
      if (m.metric == "accuracy" && m.fixed && m.fixed->n) line.n = *m.fixed->n;
      if (const PaperValue* p = find_paper_value(experiment, m.variant, m.parameter, m.value, m.metric)) {
        line.paper[m.metric] = p->text();
        papered_.insert(m.metric);
      }
      varied_ = varied_ || !m.parameter.empty();
    }
    counted_ = common_examples(all) == 0 &&
               std::any_of(lines_.begin(), lines_.end(), [](const Line& line) { return line.n > 0; });
  }

  Table table(const std::string& title) const {
    Table table{title, {"variant"}, {}};
    if (varied_) table.columns.insert(table.columns.end(), {"parameter", "value"});
    if (counted_) table.columns.push_back("n");
    for (const std::string& metric : metrics_) {
      table.columns.push_back(column_title(metric));
      if (papered_.count(metric)) table.columns.push_back("paper's " + column_title(metric));
    }
    for (const Line& line : lines_) table.rows.push_back(cells_of(line));
    return table;
  }

 private:
  struct Line {
    std::string variant, parameter, value;
    std::map<std::string, std::string> cells, paper;  ///< by metric
    std::uint64_t n = 0;                              ///< examples of the accuracy
  };

  std::vector<std::string> cells_of(const Line& line) const {
    const auto at = [](const std::map<std::string, std::string>& cells, const std::string& metric) {
      const auto found = cells.find(metric);
      return found == cells.end() ? std::string("-") : found->second;
    };
    std::vector<std::string> cells = {line.variant};
    if (varied_) {
      cells.push_back(line.parameter.empty() ? "-" : line.parameter);
      cells.push_back(line.value.empty() ? "-" : line.value);
    }
    if (counted_) cells.push_back(line.n > 0 ? count_with_commas(line.n) : "-");
    for (const std::string& metric : metrics_) {
      cells.push_back(at(line.cells, metric));
      if (papered_.count(metric)) cells.push_back(at(line.paper, metric));
    }
    return cells;
  }

  std::string experiment_;
  std::vector<std::string> metrics_;
  std::vector<Line> lines_;
  std::map<std::string, std::size_t> index_;
  std::set<std::string> papered_;
  bool varied_ = false;
  bool counted_ = false;  ///< accuracies rest on different numbers of examples
};

/// Per site the largest value of each metric over the layers, as measurements with the value "max".
std::vector<Measurement> largest_over_layers(const std::vector<Measurement>& all) {
  std::vector<Measurement> largest;
  std::map<std::string, std::size_t> index;
  for (const Measurement& m : all) {
    if (m.parameter != "layer" ||
        (m.metric != "kurtosis" && m.metric != "top1_energy" && m.metric != "absmax")) {
      continue;
    }
    const std::string site = without_layer(m.variant);
    const auto [found, is_new] = index.emplace(site + '\x1f' + m.metric, largest.size());
    if (is_new) {
      largest.push_back(m);
    } else if (m.estimate() > largest[found->second].estimate()) {
      largest[found->second] = m;
    }
    largest[found->second].variant = site;
  }
  for (Measurement& m : largest) m.value = "max";
  return largest;
}

/// Rows by site, layer or rank are many: each of these parameters gets a table of its own.
std::string table_of(const Measurement& m) {
  for (const char* parameter : {"site", "layer", "rank"}) {
    if (m.parameter == parameter) return m.parameter;
  }
  return "";
}

}  // namespace

std::vector<Table> experiment_tables(const std::string& experiment, const std::vector<Row>& rows) {
  const std::vector<Measurement> all = measurements(rows);
  if (is_deployment(experiment)) return deployment_tables(experiment, all);
  if (experiment == "peers") return peers_tables(all);
  if (experiment == "roofline") return roofline_tables(all);
  if (experiment == "rounding") return rounding_tables(all);
  std::vector<Table> tables;
  if (const std::vector<Measurement> largest = largest_over_layers(all); !largest.empty()) {
    tables.push_back(Pivot(experiment, largest).table(experiment + ": largest over the layers"));
  }
  for (const std::string& name : distinct(all, table_of)) {
    std::vector<Measurement> part;
    std::copy_if(all.begin(), all.end(), std::back_inserter(part),
                 [&](const Measurement& m) { return table_of(m) == name; });
    const std::uint64_t n = common_examples(part);
    tables.push_back(Pivot(experiment, part)
                         .table((name.empty() ? experiment : experiment + " by " + name) +
                                (n > 0 ? " (n = " + count_with_commas(n) + ")" : "")));
  }
  if (tables.empty()) tables.push_back({experiment, {"variant"}, {}});
  return tables;
}

const ExperimentReport* ModelReport::find(const std::string& experiment) const {
  for (const ExperimentReport& report : experiments) {
    if (report.name == experiment) return &report;
  }
  return nullptr;
}

ModelReport make_report(const ResultSet& results) {
  ModelReport report;
  report.name = results.model + " on " + results.task + (results.planted ? " (planted)" : "");
  report.folder = results.name;
  report.model = results.model;
  report.task = results.task;
  report.planted = results.planted;
  report.verdicts = verdicts(results);
  for (const auto& [experiment, rows] : results.experiments) {
    ExperimentReport one;
    one.name = experiment;
    one.reading = reading(experiment, results);
    one.tables = experiment_tables(experiment, rows);
    one.command = run_command({experiment}, results);
    if (const auto record = results.records.find(experiment); record != results.records.end()) {
      one.record = record->second;
      if (!one.record->command.empty()) one.command = one.record->command;
    }
    report.experiments.push_back(std::move(one));
  }
  report.clipping = clipping_example(results);
  return report;
}

std::vector<ExperimentInfo> experiments_of(const std::vector<ModelReport>& models,
                                           const std::vector<ExperimentInfo>& known) {
  const auto measured = [&](const ExperimentInfo& info) {
    return std::any_of(models.begin(), models.end(),
                       [&](const ModelReport& model) { return model.find(info.name) != nullptr; });
  };
  std::vector<ExperimentInfo> all;
  std::copy_if(known.begin(), known.end(), std::back_inserter(all),
               [&](const ExperimentInfo& info) { return info.expected || measured(info); });
  for (const ModelReport& model : models) {
    for (const ExperimentReport& experiment : model.experiments) {
      const bool listed = std::any_of(
          all.begin(), all.end(), [&](const ExperimentInfo& info) { return info.name == experiment.name; });
      if (!listed) all.push_back({experiment.name, "", "", "", false});
    }
  }
  return all;
}

std::size_t leading_model(const std::vector<ModelReport>& models) {
  const auto rank = [](const ModelReport& model) {
    const auto judged =
        std::count_if(model.verdicts.begin(), model.verdicts.end(), [](const Verdict& verdict) {
          return verdict.outcome != Outcome::no_data && verdict.outcome != Outcome::too_few_examples &&
                 verdict.outcome != Outcome::nothing_to_repair;
        });
    return std::tuple(model.experiments.size(), judged, !model.planted);
  };
  const auto leading =
      std::max_element(models.begin(), models.end(),
                       [&](const ModelReport& a, const ModelReport& b) { return rank(a) < rank(b); });
  return static_cast<std::size_t>(leading - models.begin());
}

Table verdict_overview(const std::vector<ModelReport>& reports) {
  Table table{"", {"Claim", "Paper"}, {}};
  for (const ModelReport& report : reports) table.columns.push_back(report.name);
  if (reports.empty()) return table;
  for (std::size_t claim = 0; claim < reports[0].verdicts.size(); ++claim) {
    const Verdict& verdict = reports[0].verdicts[claim];
    std::vector<std::string> cells = {verdict.claim + " " + verdict.title, verdict.paper};
    for (const ModelReport& report : reports) cells.push_back(to_string(report.verdicts[claim].outcome));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

}  // namespace outlierlab
