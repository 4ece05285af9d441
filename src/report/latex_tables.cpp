#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "report/deployment.h"
#include "report/latex_text.h"
#include "report/loss.h"
#include "report/paper_values.h"
#include "report/peers.h"
#include "report/report_latex.h"
#include "report/verdicts.h"

namespace outlierlab {

namespace {

using Measurements = std::vector<Measurement>;

constexpr std::size_t rows_of_a_page = 45;
const char* const nothing = "--";

/// A booktabs table in the making; cells are LaTeX.
class Tabular {
 public:
  explicit Tabular(std::string columns) : columns_(std::move(columns)) {}
  void head(const std::vector<std::string>& cells) { head_ += line(cells); }
  void head_line(const std::string& latex) { head_ += latex + "\n"; }
  void row(const std::vector<std::string>& cells) {
    body_ += line(cells);
    ++rows_;
  }
  void rule() { body_ += "\\addlinespace\n"; }
  void note(const std::string& latex) { note_ = latex; }

  std::string text() const {
    const std::string environment = rows_ > rows_of_a_page ? "longtable" : "tabular";
    const std::string repeat = rows_ > rows_of_a_page ? "\\endhead\n" : "";
    std::string text = std::string(latex_mark) + "\\begin{" + environment + "}{" + columns_ +
                       "}\n\\toprule\n" + head_ + "\\midrule\n" + repeat + body_ + "\\bottomrule\n";
    if (!note_.empty()) {
      text += fmt::format("\\multicolumn{{{}}}{{l}}{{\\footnotesize {}}}\\\\\n", width_, note_);
    }
    return text + "\\end{" + environment + "}\n";
  }

 private:
  std::string line(const std::vector<std::string>& cells) {
    width_ = std::max(width_, cells.size());
    std::string text;
    for (std::size_t i = 0; i < cells.size(); ++i) text += (i == 0 ? "" : " & ") + cells[i];
    return text + " \\\\\n";
  }
  std::string columns_, head_, body_, note_;
  std::size_t rows_ = 0, width_ = 1;
};

/// Planted models first, then the others, each in the order given.
std::vector<const ResultSet*> planted_first(const std::vector<ResultSet>& results) {
  std::vector<const ResultSet*> sets;
  for (const ResultSet& set : results) sets.push_back(&set);
  std::stable_sort(sets.begin(), sets.end(),
                   [](const ResultSet* a, const ResultSet* b) { return a->planted && !b->planted; });
  return sets;
}

std::string model_title(const ResultSet& set) {
  return latex_escaped(set.model) + (set.planted ? " (planted)" : "");
}

/// Rows by site, layer or rank are many: they stand in tables of their own.
bool in_its_own_table(const Measurement& m) {
  return m.parameter == "site" || m.parameter == "layer" || m.parameter == "rank";
}

std::string paper_text(const PaperValue* value) {
  return value ? latex_paper(*value) : nothing;
}

std::string paper_cell(const std::string& experiment, const Measurement& m) {
  return paper_text(find_paper_value(experiment, m.variant, m.parameter, m.value, m.metric));
}

std::string setting_key(const Measurement& m) {
  return m.variant + '\x1f' + m.parameter + '\x1f' + m.value;
}

const Measurement* like(const Measurements& all, const Measurement& m, const std::string& metric) {
  return find_measurement(all, m.variant, m.parameter, m.value, metric);
}

/// Distinct texts in order of first appearance.
template <typename Items, typename Get>
std::vector<std::string> distinct(const Items& items, Get get) {
  std::vector<std::string> values;
  std::set<std::string> seen;
  for (const auto& item : items) {
    if (seen.insert(get(item)).second) values.push_back(get(item));
  }
  return values;
}

std::string count_of(const Measurement& m) {
  return m.fixed && m.fixed->n ? latex_count(*m.fixed->n) : nothing;
}

std::string drawn_cell(const Measurement& m) {
  if (m.drawn.empty()) return nothing;
  Measurement only_drawn = m;
  only_drawn.fixed.reset();
  std::string text = latex_number(only_drawn.estimate(), m.metric);
  if (const auto interval = only_drawn.interval()) {
    text += " [" + latex_number(interval->first, m.metric) + ", " + latex_number(interval->second, m.metric) +
            "]";
  }
  return fmt::format("{} ({})", text, m.drawn.size());
}

/// One experiment of one model in full: a line per setting, a column per metric.
std::string full_table(const std::string& experiment, const Measurements& all, bool by_site) {
  const auto metrics = distinct(all, [](const Measurement& m) { return m.metric; });
  const auto counts = distinct(all, count_of);
  const bool one_n = counts.size() == 1;
  const bool drawn =
      std::any_of(all.begin(), all.end(), [](const Measurement& m) { return !m.drawn.empty(); });
  const bool papered = std::any_of(
      all.begin(), all.end(), [&](const Measurement& m) { return paper_cell(experiment, m) != nothing; });

  std::vector<std::string> head =
      by_site ? std::vector<std::string>{"", ""} : std::vector<std::string>{"Setting"};
  if (papered) head.push_back("Paper");
  for (const std::string& metric : metrics) {
    head.push_back(latex_metric(metric));
    if (drawn && metric == "accuracy") head.push_back("Drawn sets");
  }
  if (!one_n) head.push_back("$n$");
  Tabular table((by_site ? "ll" : "l") + std::string(head.size() - (by_site ? 2 : 1), 'r'));
  table.head(head);

  std::set<std::string> done;
  for (const Measurement& m : all) {
    if (!done.insert(setting_key(m)).second) continue;
    std::vector<std::string> cells;
    if (by_site) {
      cells = {"\\texttt{" + latex_escaped(m.variant) + "}", "\\texttt{" + latex_escaped(m.value) + "}"};
    } else {
      cells = {latex_setting(m.variant, m.parameter, m.value)};
    }
    if (papered) {
      const Measurement* accuracy = like(all, m, "accuracy");
      cells.push_back(paper_cell(experiment, accuracy ? *accuracy : m));
    }
    for (const std::string& metric : metrics) {
      const Measurement* cell = like(all, m, metric);
      const bool fixed = cell && cell->fixed;
      cells.push_back(fixed ? latex_with_interval(*cell) : nothing);
      if (drawn && metric == "accuracy") cells.push_back(cell ? drawn_cell(*cell) : nothing);
    }
    if (!one_n) cells.push_back(count_of(m));
    table.row(cells);
  }
  std::string note = one_n && counts[0] != nothing ? "$n=" + counts[0] + "$." : "";
  if (metrics[0] == "accuracy") note += " Brackets: Wilson 95\\,\\% interval.";
  if (drawn) note += " Drawn sets: mean and Student 95\\,\\% interval over (number of) calibration draws.";
  table.note(note);
  return table.text();
}

/// A table of the report as it stands there.
std::string plain_table(const Table& report_table, const std::string& note) {
  Tabular table("l" + std::string(report_table.columns.size() - 1, 'r'));
  const auto escaped = [](std::vector<std::string> cells) {
    for (std::string& cell : cells) cell = cell == "-" ? nothing : latex_escaped(cell);
    return cells;
  };
  table.head(escaped(report_table.columns));
  for (const auto& row : report_table.rows) table.row(escaped(row));
  table.note(note);
  return table.text();
}

/// What follows the experiment in the name of a table's file; none for details that the report alone has.
std::optional<std::string> deployment_suffix(const Table& table) {
  if (!table.is_detail) return "";
  for (const auto& [words, suffix] :
       {std::pair{": median latency", "-latency"}, std::pair{": speedup", "-speedup"},
        std::pair{": share", "-time"}, std::pair{": tokenization", "-tokenization"}}) {
    if (table.title.find(words) == std::string::npos) continue;
    // "... at batch x length bert-base 8x128": a table for each network.
    const std::string cell = " at batch x length ";
    const auto at = table.title.find(cell), network = at == std::string::npos ? at : at + cell.size();
    const auto blank = network == std::string::npos ? network : table.title.find(' ', network);
    if (blank == std::string::npos) return suffix;
    return suffix + ("-" + table.title.substr(network, blank - network));
  }
  return std::nullopt;
}

void add_deployment_tables(std::map<std::string, std::string>& files, const ResultSet& set,
                           const std::string& experiment) {
  const Measurements all = measurements(set.rows(experiment));
  const std::vector<Table> tables = deployment_tables(experiment, all);
  const std::vector<std::string> devices = devices_of(deployment_methods(all));
  for (const Table& table : tables) {
    const std::optional<std::string> suffix = deployment_suffix(table);
    if (!suffix) continue;
    std::string of = experiment;
    for (const std::string& device : devices) {
      if (table.title.find(" on " + deployment_device(device).label) != std::string::npos) of += "-" + device;
    }
    files[set.name + "-" + of + *suffix + ".tex"] = plain_table(
        table, *suffix == "-speedup" ? "Brackets: 95\\,\\% interval of the median over rounds." : "");
  }
}

/// Median speedup and memory of each method with the models side by side; empty without rows.
std::string deployment_side_by_side(const std::string& experiment,
                                    const std::vector<const ResultSet*>& sets) {
  std::vector<std::vector<DeploymentMethod>> all;
  std::vector<std::string> variants;
  std::string names, rules;
  std::vector<std::string> titles = {"Method"};
  for (const ResultSet* set : sets) {
    const auto methods = methods_of(deployment_methods(measurements(set->rows(experiment))), "");
    if (methods.empty()) continue;
    const std::size_t column = 2 * all.size() + 2;
    names += " & \\multicolumn{2}{c}{" + model_title(*set) + "}";
    rules += fmt::format("\\cmidrule(lr){{{}-{}}}", column, column + 1);
    titles.insert(titles.end(), {"speed", "MB"});
    for (const DeploymentMethod& m : methods) {
      if (std::find(variants.begin(), variants.end(), m.variant) == variants.end())
        variants.push_back(m.variant);
    }
    all.push_back(methods);
  }
  if (all.empty()) return "";
  Tabular table("l" + std::string(2 * all.size(), 'r'));
  table.head_line(names + " \\\\");
  table.head_line(rules);
  table.head(titles);
  std::string kind = "float";
  for (const std::string& variant : variants) {
    std::vector<std::string> cells = {latex_escaped(deployment_label(variant))};
    for (const auto& methods : all) {
      const auto m = std::find_if(methods.begin(), methods.end(),
                                  [&](const DeploymentMethod& other) { return other.variant == variant; });
      const bool timed = m != methods.end() && !m->compared().empty();
      cells.push_back(timed ? fmt::format("{:.2f}", m->median_speedup()) : nothing);
      cells.push_back(m != methods.end() && m->weights_mb ? fmt::format("{:.1f}", *m->weights_mb) : nothing);
      if (m != methods.end() && m->kind() != kind) {
        table.rule();
        kind = m->kind();
      }
    }
    table.row(cells);
  }
  table.note(
      "Speed: relative to FP32 in the same rounds, median over batch sizes and lengths. MB: weights and "
      "scratch.");
  return table.text();
}

void add_full_tables(std::map<std::string, std::string>& files, const ResultSet& set,
                     const std::string& experiment) {
  const Measurements all = measurements(set.rows(experiment));
  if (is_deployment(experiment)) return add_deployment_tables(files, set, experiment);
  if (experiment == "peers") {
    files[set.name + "-peers.tex"] =
        plain_table(peers_tables(all).front(),
                    "Brackets: least and most over the repeats; of accuracy: Wilson 95\\,\\% interval.");
    return;
  }
  const auto table_of = [](const Measurement& m) {
    return in_its_own_table(m) ? m.parameter : std::string();
  };
  for (const std::string& name : distinct(all, table_of)) {
    Measurements part;
    std::copy_if(all.begin(), all.end(), std::back_inserter(part),
                 [&](const Measurement& m) { return table_of(m) == name; });
    const std::string file = set.name + "-" + experiment + (name.empty() ? "" : "-by-" + name) + ".tex";
    files[file] = full_table(experiment, part, !name.empty());
  }
}

/// The header that the tables with one column per model share: names, then n; a column of the paper's
/// values only where it has some.
template <typename Count>
void head_of_models(Tabular& table, const std::vector<const ResultSet*>& sets, bool papered, Count count) {
  std::vector<std::string> names = {"Setting"}, counts = {""};
  if (papered) {
    names.push_back("Paper");
    counts.push_back("BERT-base");
  }
  for (const ResultSet* set : sets) {
    names.push_back(model_title(*set));
    counts.push_back(count(*set));
  }
  table.head(names);
  table.head(counts);
}

/// What stands together in a table: the values of one parameter, or the settings without any.
std::string family_of(const Measurement& m) {
  return m.parameter.empty() ? "-" : m.variant + ' ' + m.parameter;
}

/// Families in order of first appearance, each in its own order.
Measurements by_family(const Measurements& settings) {
  Measurements sorted;
  for (const std::string& family : distinct(settings, family_of)) {
    std::copy_if(settings.begin(), settings.end(), std::back_inserter(sorted),
                 [&](const Measurement& m) { return family_of(m) == family; });
  }
  return sorted;
}

/// The accuracies of one experiment with the models side by side; empty if it has none.
std::string side_by_side(const std::string& experiment, const std::vector<const ResultSet*>& sets) {
  std::vector<Measurements> all;
  Measurements settings;
  std::set<std::string> seen;
  for (const ResultSet* set : sets) {
    all.push_back(measurements(set->rows(experiment)));
    for (const Measurement& m : all.back()) {
      if (m.metric != "accuracy" || in_its_own_table(m)) continue;
      if (seen.insert(setting_key(m)).second) settings.push_back(m);
    }
  }
  if (settings.empty()) return "";
  const bool papered = std::any_of(settings.begin(), settings.end(), [&](const Measurement& m) {
    return paper_cell(experiment, m) != nothing;
  });
  std::size_t next = 0;
  Tabular table((papered ? "ll" : "l") + std::string(sets.size(), 'r'));
  head_of_models(table, sets, papered, [&](const ResultSet& set) -> std::string {
    const Measurements& own = all[next++];
    if (own.empty()) return "\\olrequire{" + latex_key({set.name, experiment}) + "}";
    const std::string n = count_of(own[0]);
    return n == nothing ? n : "$n=" + n + "$";
  });
  std::string previous;
  for (const Measurement& setting : by_family(settings)) {
    const std::string family = family_of(setting);
    if (!previous.empty() && family != previous) table.rule();
    previous = family;
    std::vector<std::string> cells = {latex_setting(setting.variant, setting.parameter, setting.value)};
    if (papered) cells.push_back(paper_cell(experiment, setting));
    for (const Measurements& own : all) {
      const Measurement* m = like(own, setting, "accuracy");
      cells.push_back(m ? latex_with_interval(*m) : nothing);
    }
    table.row(cells);
  }
  table.note("Accuracy in \\% with its Wilson 95\\,\\% interval.");
  return table.text();
}

/// The largest value of a metric over the layers, and its layer.
std::string largest_over_layers(const Measurements& all, const std::string& site, const std::string& metric) {
  const Measurement* largest = nullptr;
  for (const Measurement& m : all) {
    if (m.metric != metric || m.parameter != "layer" || without_layer(m.variant) != site) continue;
    if (!largest || m.estimate() > largest->estimate()) largest = &m;
  }
  if (!largest) return nothing;
  return latex_number(largest->estimate(), metric) + " (" + latex_escaped(largest->value) + ")";
}

/// Heavy tails and concentration by kind of site; empty if no model has them.
std::string activations_table(const std::vector<const ResultSet*>& sets) {
  const std::vector<std::string> metrics = {"kurtosis", "top1_energy"};
  std::vector<Measurements> all;
  std::vector<std::string> sites;
  for (const ResultSet* set : sets) {
    all.push_back(measurements(set->rows("activations")));
    for (const Measurement& m : all.back()) {
      const std::string site = without_layer(m.variant);
      const bool known = std::find(sites.begin(), sites.end(), site) != sites.end();
      if (m.parameter == "layer" && m.variant != site && !known) sites.push_back(site);
    }
  }
  if (sites.empty()) return "";
  Tabular table("l" + std::string(2 * (sets.size() + 1), 'r'));
  std::string names = " & \\multicolumn{2}{c}{Paper}", rules = "\\cmidrule(lr){2-3}";
  std::vector<std::string> titles = {"Site", "kurtosis", "energy"};
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const std::string need =
        all[i].empty() ? "\\olrequire{" + latex_key({sets[i]->name, "activations"}) + "}" : "";
    names += " & \\multicolumn{2}{c}{" + model_title(*sets[i]) + need + "}";
    rules += fmt::format("\\cmidrule(lr){{{}-{}}}", 2 * i + 4, 2 * i + 5);
    titles.insert(titles.end(), {"kurtosis", "energy"});
  }
  table.head_line(names + " \\\\");
  table.head_line(rules);
  table.head(titles);
  for (const std::string& site : sites) {
    std::vector<std::string> cells = {"\\texttt{" + latex_escaped(site) + "}"};
    for (const std::string& metric : metrics) {
      cells.push_back(paper_text(find_paper_value("activations", site, "layer", "max", metric)));
    }
    for (const Measurements& own : all) {
      for (const std::string& metric : metrics) cells.push_back(largest_over_layers(own, site, metric));
    }
    table.row(cells);
  }
  table.note(
      "Largest value over the layers (layer, from 0). Energy: share of the top 1\\,\\% of channels, in \\%.");
  return table.text();
}

std::string verdicts_side_by_side(const std::vector<const ResultSet*>& sets) {
  std::vector<std::vector<Verdict>> all;
  for (const ResultSet* set : sets) all.push_back(verdicts(*set));
  Tabular table("lll" + std::string(sets.size(), 'l'));
  std::vector<std::string> head = {"", "Claim", "Paper"};
  for (const ResultSet* set : sets) head.push_back(model_title(*set));
  table.head(head);
  for (std::size_t claim = 0; claim < all[0].size(); ++claim) {
    std::vector<std::string> cells = {all[0][claim].claim, latex_escaped(all[0][claim].title),
                                      latex_escaped(all[0][claim].paper)};
    for (std::size_t i = 0; i < sets.size(); ++i) {
      const Verdict& v = all[i][claim];
      cells.push_back(v.outcome == Outcome::no_data
                          ? "\\oltextof{verdict}{" + latex_key({sets[i]->name, v.claim}) + "}"
                          : to_string(v.outcome));
    }
    table.row(cells);
  }
  return table.text();
}

/// What each verdict rests on.
std::string verdicts_of(const ResultSet& set) {
  const std::string ragged = ">{\\raggedright\\arraybackslash}p{0.38\\linewidth}";
  Tabular table("ll" + ragged + ragged);
  table.head({"", "Verdict", "Measured", "Rule"});
  for (const Verdict& v : verdicts(set)) {
    if (v.claim != "C1") table.rule();
    table.row({v.claim, to_string(v.outcome), latex_prose(v.figures), latex_prose(v.rule)});
  }
  return table.text();
}

}  // namespace

std::map<std::string, std::string> latex_tables(const std::vector<ResultSet>& results) {
  std::map<std::string, std::string> files;
  const std::vector<const ResultSet*> sets = planted_first(results);
  std::set<std::string> experiments;
  for (const ResultSet* set : sets) {
    files[set->name + "-verdicts.tex"] = verdicts_of(*set);
    for (const auto& [experiment, rows] : set->experiments) {
      experiments.insert(experiment);
      add_full_tables(files, *set, experiment);
    }
  }
  for (const std::string& experiment : experiments) {
    if (experiment == "peers") continue;
    const std::string table = experiment == "activations" ? activations_table(sets)
                              : is_deployment(experiment) ? deployment_side_by_side(experiment, sets)
                                                          : side_by_side(experiment, sets);
    if (!table.empty()) files[experiment + ".tex"] = table;
  }
  if (!sets.empty()) files["verdicts.tex"] = verdicts_side_by_side(sets);
  return files;
}

}  // namespace outlierlab
