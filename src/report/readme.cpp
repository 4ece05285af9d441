#include "report/readme.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/files.h"
#include "report/loss.h"
#include "report/paper_values.h"
#include "report/table.h"
#include "report/verdicts.h"

namespace outlierlab {

namespace {

const char* const first_line = "<!-- results -->";
const char* const last_line = "<!-- /results -->";

/// A quantity that the README shows: a row of one experiment, or the best of a variant's rows.
struct Quantity {
  std::string title, experiment, variant, parameter, value, metric;
  bool best = false;
};

const std::vector<Quantity>& quantities() {
  static const std::vector<Quantity> all = {
      {"FP32", "baseline", "fp32", "", "", "accuracy"},
      {"W8A8, min-max", "baseline", "w8a8", "", "", "accuracy"},
      {"W8A8, a range per token", "baseline", "w8a8-token", "", "", "accuracy"},
      {"best percentile", "calibration", "percentile", "", "", "accuracy", true},
      {"best clip", "calibration", "clip", "", "", "accuracy", true},
      {"x, h, y in float", "mixed_precision", "sites", "float", "x+h+y", "accuracy"},
      {"PEG, K = 4", "peg", "peg", "groups", "4", "accuracy"},
      {"PEG permuted, K = 4", "peg", "peg-permuted", "groups", "4", "accuracy"},
      {"largest kurtosis of y", "activations", "ffn_residual", "layer", "max", "kurtosis"},
      {"largest energy share of the top 1 % of channels of y, %", "activations", "ffn_residual", "layer",
       "max", "top1_energy"},
  };
  return all;
}

const Measurement* largest_over_layers(const std::vector<Measurement>& all, const Quantity& q) {
  const Measurement* largest = nullptr;
  for (const Measurement& m : all) {
    if (m.metric != q.metric || m.parameter != "layer" || without_layer(m.variant) != q.variant) continue;
    if (!largest || m.estimate() > largest->estimate()) largest = &m;
  }
  return largest;
}

const Measurement* best_of(const std::vector<Measurement>& all, const Quantity& q) {
  const Measurement* top = nullptr;
  for (const Measurement& m : all) {
    if (m.variant != q.variant || m.metric != q.metric) continue;
    if (!top || m.estimate() > top->estimate()) top = &m;
  }
  return top;
}

std::string cell(const ResultSet& set, const Quantity& q) {
  const std::vector<Measurement> all = measurements(set.rows(q.experiment));
  const Measurement* m = q.best ? best_of(all, q)
                         : q.value == "max"
                             ? largest_over_layers(all, q)
                             : find_measurement(all, q.variant, q.parameter, q.value, q.metric);
  if (!m) return "-";
  std::string text =
      m->estimate() >= 1000 ? fmt::format("{:.0f}", m->estimate()) : format_number(m->estimate());
  if (const auto interval = m->interval())
    text += fmt::format(" [{:.1f}, {:.1f}]", interval->first, interval->second);
  if (!q.best) return text;
  std::vector<Accuracy> same_kind;
  for (const Measurement& other : all) {
    if (other.variant == q.variant && other.metric == q.metric) same_kind.push_back(accuracy_of(other));
  }
  return text + " (" + (m->parameter == m->variant ? "" : m->parameter + " ") + m->value + alike(same_kind) +
         ")";
}

std::string paper_cell(const Quantity& q) {
  if (q.best) {
    for (const PaperValue& value : paper_values()) {
      if (value.experiment == q.experiment && value.variant == q.variant) return value.text();
    }
  }
  const PaperValue* value = find_paper_value(q.experiment, q.variant, q.parameter, q.value, q.metric);
  return value ? value->text() : "-";
}

std::string title_of(const ResultSet& set) {
  return set.model + (set.planted ? " (planted)" : "");
}

Table claims_table(const std::vector<ResultSet>& sets) {
  Table table{"", {"claim"}, {}};
  for (const Verdict& v : verdicts({})) table.rows.push_back({v.claim + " " + v.title});
  for (const ResultSet& set : sets) {
    table.columns.push_back(title_of(set));
    const std::vector<Verdict> all = verdicts(set);
    for (std::size_t i = 0; i < all.size(); ++i) table.rows[i].push_back(to_string(all[i].outcome));
  }
  return table;
}

}  // namespace

std::string readme_results(const std::vector<ResultSet>& results) {
  std::vector<ResultSet> sets = results;
  std::stable_sort(sets.begin(), sets.end(),
                   [](const ResultSet& a, const ResultSet& b) { return a.planted && !b.planted; });
  Table table{"", {"", "paper: BERT-base"}, {}};
  for (const ResultSet& set : sets) table.columns.push_back(title_of(set));
  table.columns.push_back("measured by");
  for (const Quantity& q : quantities()) {
    std::vector<std::string> cells = {q.title, paper_cell(q)};
    for (const ResultSet& set : sets) cells.push_back(cell(set, q));
    cells.push_back("[`outlierlab run " + q.experiment + "`](experiments/" + q.experiment + ".cpp)");
    table.rows.push_back(std::move(cells));
  }
  return to_markdown(table) +
         "\nAccuracy in percent with its 95 % interval; the best percentile and clip stand in brackets and "
         "are chosen on\nthe same examples. The paper's claims (rules and figures: "
         "[`results/report.md`](results/report.md)):\n\n" +
         to_markdown(claims_table(sets));
}

std::string replace_results_block(const std::string& text, const std::string& file,
                                  const std::string& block) {
  const auto position = [&](const std::string& line) {
    const std::string whole = line + "\n";
    std::size_t found = std::string::npos, count = 0;
    for (std::size_t at = text.find(whole); at != std::string::npos; at = text.find(whole, at + 1)) {
      if (at > 0 && text[at - 1] != '\n') continue;
      found = at;
      ++count;
    }
    if (count != 1) fail_expected(file, "one line " + line, std::to_string(count));
    return found;
  };
  const std::size_t begin = position(first_line) + std::string(first_line).size() + 1;
  const std::size_t end = position(last_line);
  if (end < begin) fail_expected(file, std::string(first_line) + " before " + last_line, "the other order");
  return text.substr(0, begin) + block + text.substr(end);
}

void renew_results_block(const std::filesystem::path& file, const std::vector<ResultSet>& results) {
  write_file_atomically(file, replace_results_block(read_file(file), file.string(), readme_results(results)));
}

}  // namespace outlierlab
