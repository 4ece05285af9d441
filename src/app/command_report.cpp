#include <iostream>

#include "app/commands.h"
#include "app/options.h"
#include "app/resources.h"
#include "core/files.h"
#include "experiments/experiments.h"
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
  }
  return sets;
}

Report read_report(const std::vector<ResultSet>& sets, const fs::path& folder) {
  Report report;
  for (const ResultSet& set : sets) {
    report.models.push_back(make_report(set, read_run_records(folder / set.name)));
  }
  for (const Experiment& experiment : experiments()) {
    report.experiments.push_back(
        {experiment.name, experiment.claims, experiment.question, experiment.summary});
  }
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

}  // namespace

int command_report(const std::vector<std::string>& arguments) {
  fs::path results = "results", out = "out", paper, readme;
  Options options(
      "report",
      "Reads every <model>-<task>/<experiment>.csv below the folder of results, prints the verdicts on the\n"
      "paper's claims, and writes report.html (one self-contained page: verdicts, tables, figures, how each\n"
      "was made) and report.md (the same for a repository or a pull request).",
      "outlierlab report --results results --out out");
  options.add("results", "DIR", "folder of results", &results);
  options.add("out", "DIR", "folder that receives report.html and report.md", &out);
  options.add("paper", "DIR", "folder of the article: its numbers and tables go to DIR/generated", &paper);
  options.add("readme", "FILE", "Markdown file whose block <!-- results --> is renewed", &readme);
  if (!options.parse(arguments)) return 0;

  const std::vector<ResultSet> sets = read_sets(results);
  const Report report = read_report(sets, results);
  write_file_atomically(out / "report.md", report_markdown(report, out));
  const fs::path page = out / "report.html";
  write_file_atomically(page, report_html(report));
  if (!paper.empty()) write_latex(sets, paper);
  if (!readme.empty()) renew_results_block(readme, sets);
  print_verdicts(report);
  std::cout << "\nReport: " << page.string() << "\n";
  return 0;
}

}  // namespace outlierlab
