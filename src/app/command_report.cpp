#include <iostream>

#include "app/commands.h"
#include "app/options.h"
#include "app/resources.h"
#include "core/files.h"
#include "experiments/experiments.h"
#include "report/figure.h"
#include "report/readme.h"
#include "report/report.h"
#include "report/report_latex.h"

namespace outlierlab {

namespace fs = std::filesystem;

namespace {

std::vector<ResultSet> read_sets(const fs::path& folder) {
  std::vector<ResultSet> sets = read_results(folder);
  for (ResultSet& set : sets) {
    set.planted = is_planted(set.model);
    set.chance = chance_of(set.task);
    set.records = read_run_records(folder / set.name);
  }
  return sets;
}

Report make_report(const std::vector<ResultSet>& sets) {
  Report report;
  for (const ResultSet& set : sets) report.models.push_back(make_report(set));
  for (const Experiment& experiment : experiments()) {
    report.experiments.push_back(
        {experiment.name, experiment.claims, experiment.question, experiment.summary, experiment.in_all});
  }
  // No experiment of this program: a script times it beside others.
  report.experiments.push_back(
      {"peers", "", "How fast are the usual ways to run the same network on a CPU?",
       "examples per second and accuracy of PyTorch, ONNX Runtime, CTranslate2 and this "
       "program, side by side",
       false});
  return report;
}

void print_verdicts(const Report& report) {
  std::cout << to_text(verdict_overview(report.models));
  for (const ModelReport& model : report.models) {
    std::cout << "\n" << model.name << "\n";
    for (const Verdict& v : model.verdicts) {
      std::cout << "  " << v.claim << " " << to_string(v.outcome) << ": " << v.figures << "\n";
    }
  }
}

void print_skipped(const std::vector<SkippedFigure>& skipped) {
  for (const SkippedFigure& figure : skipped) {
    std::cerr << "outlierlab: no figure " << figure.name << ": " << figure.reason << "\n";
  }
}

/// `--figure`: nothing but these figures.
int make_named_figures(const std::vector<ResultSet>& sets, const fs::path& folder,
                       const std::vector<std::string>& names) {
  std::vector<SkippedFigure> skipped;
  for (const Figure& figure : make_figures(sets, folder, names, &skipped)) {
    std::cout << figure.pdf.string() << ": " << figure.caption << "\n";
  }
  print_skipped(skipped);
  return 0;
}

}  // namespace

int command_report(const std::vector<std::string>& arguments) {
  fs::path results = "results", out = "out", figures, paper, readme;
  std::vector<std::string> only;
  Options options(
      "report",
      "Reads every <model>-<task>/<experiment>.csv below the folder of results, prints the verdicts on the\n"
      "paper's claims, and writes report.html (one self-contained page: verdicts, tables, figures, how each\n"
      "was made), report.md (the same for a repository or a pull request), and every figure as PDF, SVG and\n"
      "PNG beside the gnuplot script and the data that it is made of (`outlierlab list figures`).",
      "outlierlab report --results results --out out\n"
      "  outlierlab report --results results --figures figures --figure peg");
  options.add("results", "DIR", "folder of results", &results);
  options.add("out", "DIR", "folder that receives report.html and report.md", &out);
  options.add("figures", "DIR", "folder that receives the figures (default: figures in that of --out)",
              &figures);
  options.add(
      "figure", "NAME",
      "makes this figure and nothing else (peg: of all models; peg-demo-planted-demo: of one); repeatable",
      &only);
  options.add("paper", "DIR", "folder of the article: its numbers and tables go to DIR/generated", &paper);
  options.add("readme", "FILE", "Markdown file whose block <!-- results --> is renewed", &readme);
  if (!options.parse(arguments)) return 0;

  const std::vector<ResultSet> sets = read_sets(results);
  if (figures.empty()) figures = out / "figures";
  if (!only.empty()) return make_named_figures(sets, figures, only);
  Report report = make_report(sets);
  report.figures = make_figures(sets, figures, {}, &report.skipped);
  write_file_atomically(out / "report.md", report_markdown(report, out));
  const fs::path page = out / "report.html";
  write_file_atomically(page, report_html(report));
  if (!paper.empty()) write_latex(sets, paper);
  if (!readme.empty()) renew_results_block(readme, sets);
  print_verdicts(report);
  print_skipped(report.skipped);
  std::cout << "\nReport: " << page.string() << "\n";
  return 0;
}

}  // namespace outlierlab
