#include <fmt/core.h>

#include <algorithm>

#include "app/commands.h"
#include "app/session.h"
#include "core/error.h"
#include "store/activation_store.h"

namespace outlierlab {

int command_capture(const std::vector<std::string>& arguments) {
  CommonOptions values;
  std::string split = "calibration";
  Options options(
      "capture",
      "Captures the statistics of every site into an HDF5 file, for plots and analyses of your own "
      "(docs/reading-the-data.md).",
      "outlierlab capture --model demo-planted --out activations.h5");
  add_common(
      options, values,
      {"model", "task", "data", "out", "threads", "batch-size", "calibration-size", "calibration-seed"});
  options.add("split", "NAME", "calibration (training examples) or dev (the evaluated split)", &split);
  options.add("limit", "N", "captures the first N examples of the split only; 0: all of them", &values.limit);
  if (!options.parse(arguments)) return 0;
  if (values.out.empty()) throw UsageError("--out: expected a file name such as activations.h5, found none");
  if (split != "calibration" && split != "dev") fail_unknown("split", split, {"calibration", "dev"});
  if (split == "calibration" && values.limit > 0)
    values.calibration_size = std::min(values.calibration_size, values.limit);
  Session session = open_session(values);
  Evaluator& evaluator = *session.evaluator;
  const NetworkStatistics statistics =
      split == "dev" ? evaluator.evaluation_statistics() : evaluator.statistics(values.calibration_seed);
  std::map<std::string, std::string> facts = evaluator.provenance();
  facts["model"] = session.model.name;
  facts["captured_from"] = split;
  if (split == "calibration") facts["calibration_seed"] = std::to_string(values.calibration_seed);
  write_activation_store(values.out, statistics, facts);
  fmt::print("{}: {} sites\n", values.out.string(), statistics.sites.size());
  return 0;
}

}  // namespace outlierlab
