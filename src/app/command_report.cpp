#include <iostream>

#include "app/commands.h"
#include "app/options.h"
#include "app/resources.h"
#include "core/files.h"
#include "report/report.h"

namespace outlierlab {

namespace fs = std::filesystem;

int command_report(const std::vector<std::string>& arguments) {
  fs::path results = "results", out = "out";
  Options options(
      "report",
      "Reads every <model>-<task>/<experiment>.csv below the folder of results, writes report.md (verdicts\n"
      "on the paper's claims, and every table with the paper's figures beside ours) and prints the verdicts.",
      "outlierlab report --results results --out out");
  options.add("results", "DIR", "folder of results", &results);
  options.add("out", "DIR", "folder that receives report.md", &out);
  if (!options.parse(arguments)) return 0;

  std::vector<ModelReport> reports;
  for (ResultSet& set : read_results(results)) {
    set.planted = is_planted(set.model);
    set.chance = chance_of(set.task);
    reports.push_back(make_report(set));
  }
  const fs::path file = out / "report.md";
  write_file_atomically(file, report_markdown(reports));
  std::cout << to_text(verdict_overview(reports));
  for (const ModelReport& report : reports) {
    std::cout << "\n" << report.name << "\n";
    for (const Verdict& v : report.verdicts) {
      std::cout << "  " << v.claim << " " << to_string(v.outcome) << ": " << v.figures << "\n";
    }
  }
  std::cerr << "outlierlab: wrote " << file.string() << "\n";
  return 0;
}

}  // namespace outlierlab
