#include "report/results.h"

#include <algorithm>

#include "core/error.h"
#include "core/files.h"

namespace outlierlab {

namespace fs = std::filesystem;

namespace {
std::vector<fs::path> sorted_entries(const fs::path& folder) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

void add_file(ResultSet& set, const fs::path& file) {
  std::vector<Row> rows = read_rows(file);
  const std::string experiment = file.stem().string();
  for (const Row& row : rows) {
    if (set.model.empty()) {
      set.model = row.model;
      set.task = row.task;
    }
    if (row.experiment != experiment || row.model != set.model || row.task != set.task) {
      fail_expected(file.string(), "rows of " + experiment + ", " + set.model + ", " + set.task,
                    row.experiment + ", " + row.model + ", " + row.task);
    }
  }
  set.experiments[experiment] = std::move(rows);
}
}  // namespace

std::string run_command(const std::vector<std::string>& experiments, const ResultSet& set) {
  if (experiments == std::vector<std::string>{"peers"})
    return "bench/peers/peers.py --csv results/" + set.name + "/peers.csv";
  std::string names;
  for (const std::string& name : experiments) names += " " + name;
  return "outlierlab run" + names + " --model " + set.model + " --task " + set.task;
}

bool is_data_file(const fs::path& file) {
  return file.stem().string().find('-') != std::string::npos;
}

const std::vector<Row>& ResultSet::rows(const std::string& experiment) const {
  static const std::vector<Row> none;
  const auto found = experiments.find(experiment);
  return found == experiments.end() ? none : found->second;
}

std::vector<ResultSet> read_results(const fs::path& folder) {
  if (!fs::is_directory(folder)) fail_expected(folder.string(), "a folder of results", "none");
  std::vector<ResultSet> sets;
  for (const fs::path& entry : sorted_entries(folder)) {
    if (!fs::is_directory(entry)) continue;
    ResultSet set;
    set.name = entry.filename().string();
    for (const fs::path& file : sorted_entries(entry)) {
      if (file.extension() != ".csv") continue;
      if (is_data_file(file)) {
        set.data[file.stem().string()] = parse_data_table(read_file(file), file.string());
      } else {
        add_file(set, file);
      }
    }
    if (!set.model.empty()) sets.push_back(std::move(set));
  }
  if (sets.empty()) fail_expected(folder.string(), "results in <model>-<task>/<experiment>.csv", "none");
  return sets;
}

}  // namespace outlierlab
