#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "report/data_table.h"
#include "report/row.h"
#include "report/run_record.h"

namespace outlierlab {

/// The results of one model on one task: the files of one folder `<model>-<task>`.
struct ResultSet {
  std::string name;  ///< of the folder
  std::string model, task;
  bool planted = false;  ///< the model's outliers were put there on purpose; set by the caller
  double chance = 50;    ///< accuracy without any knowledge, in percent; set by the caller
  std::map<std::string, RunRecord> records;  ///< by experiment, as far as there are any; set by the caller
  std::map<std::string, std::vector<Row>> experiments;  ///< file name without .csv -> rows

  std::map<std::string, DataTable> data;  ///< "activations-channels" and so on; may be absent

  /// Rows of an experiment; empty if it was not run.
  const std::vector<Row>& rows(const std::string& experiment) const;
};

/// The command that makes the rows of these experiments again.
std::string run_command(const std::vector<std::string>& experiments, const ResultSet& set);

/// Whether a CSV file holds data of an experiment (`<experiment>-<name>.csv`, see DataTable) and not its
/// rows. Names of experiments have no '-'.
bool is_data_file(const std::filesystem::path& file);

/// Reads every `<folder>/<model>-<task>/<experiment>.csv` and the data beside it, sorted by name. Throws
/// Error if there is none, if a file is damaged, or if its rows are of another experiment, model or task than
/// the rest of the folder.
std::vector<ResultSet> read_results(const std::filesystem::path& folder);

}  // namespace outlierlab
