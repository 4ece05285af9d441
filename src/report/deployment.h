#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/measurement.h"
#include "report/table.h"
#include "report/verdicts.h"

namespace outlierlab {

/// `deployment`, or `deployment_shapes`: the same on networks of other sizes with random weights.
bool is_deployment(const std::string& experiment);

/// How one way of running the network did, over all its batch sizes and lengths.
struct DeploymentMethod {
  std::string variant;  ///< "fp32", "bf16", "simulated:w8a8", "integer:w8a8"; "cuda float:fp16"
  struct Cell {
    std::string value;  ///< "8x64": examples x length; "bert-base 8x64" where there are several networks
    double examples = 0, length = 0;
    double speedup = 0, low = 0, high = 0;  ///< over the device's reference in the same rounds
    double latency = 0;                     ///< median, ms
  };
  std::vector<Cell> cells;
  std::optional<double> stored_mb;  ///< the weights as a file would hold them
  /// As held in memory for this CPU, with scratch where the engine runs; on a device before the first pass.
  std::optional<double> weights_mb;
  std::optional<double> process_mb;  ///< peak of a process that runs nothing else
  std::optional<double> device_mb;   ///< peak of an executor's memory on a device
  std::optional<double> joules;      ///< of the processor or the device, per example
  std::optional<double> agreement, noise_floor;

  /// What executes it: "simulated", "integer", or whatever stands before the colon; "float" without one. On a
  /// device its name stands before: "cuda integer".
  std::string kind() const;
  /// "cuda"; empty for the processor.
  std::string device() const;
  bool is_simulated() const { return kind() == "simulated"; }
  bool is_integer() const { return kind() == "integer"; }
  double median_speedup() const;  ///< over the cells; 0 without cells
};
/// Cells without a speed relative to fp32 are left out.
std::vector<DeploymentMethod> deployment_methods(const std::vector<Measurement>& all);

/// Those of one device; an empty name stands for the processor. Methods on different devices have different
/// references: FP32 on the processor, FP16 on others.
std::vector<DeploymentMethod> methods_of(const std::vector<DeploymentMethod>& methods,
                                         const std::string& device);
/// The devices beside the processor that any method ran on.
std::vector<std::string> devices_of(const std::vector<DeploymentMethod>& methods);

/// "simulated w8a8", "integer w8a8", "FP32", "bfloat16"; also of a row's variant, such as "float:fp32", and
/// without the device, which a table's title tells.
std::string deployment_label(const std::string& variant);
/// "CUDA".
std::string device_label(const std::string& device);

Verdict judge_deployment(const ResultSet& results);
std::string read_deployment(const std::vector<Measurement>& all);
/// A line per method; then medians of the latency and speedups, a column per batch x length; then where the
/// time goes; after the processor's the same of each device, and tokenization. Titles begin with the
/// experiment's name, and that of a device has the device's.
std::vector<Table> deployment_tables(const std::string& experiment, const std::vector<Measurement>& all);

/// The fastest by its median over the cells; null if none of that kind was timed.
const DeploymentMethod* fastest_of_kind(const std::vector<DeploymentMethod>& methods,
                                        const std::string& kind);

}  // namespace outlierlab
