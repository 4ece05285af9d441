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
    std::optional<double> latency;                   ///< median, ms
    std::optional<double> latency_p95, latency_p99;  ///< ms; none of too few passes
    std::optional<double> examples_per_second, tokens_per_second;
    /// Over the device's reference in the same rounds; none where that was not timed.
    std::optional<double> speedup;
    double low = 0, high = 0;          ///< its interval
    std::optional<double> process_mb;  ///< peak of a process that runs nothing else
    std::optional<double> device_mb;   ///< peak of an executor's memory on a device
  };
  std::vector<Cell> cells;
  std::optional<double> stored_mb;  ///< the weights as a file would hold them
  /// As held in memory for this CPU, with scratch where the engine runs; on a device before the first pass.
  std::optional<double> weights_mb;
  /// Peaks at a batch of 32 examples, of the measured lengths up to 128 the longest.
  std::optional<double> process_mb, device_mb;
  std::optional<double> joules;  ///< of the processor or the device, per example
  /// Predictions that equal those of the simulation in double precision: the engine's, and the float32
  /// simulation's. Percent.
  std::optional<double> exact_agreement, float32_agreement;
  std::optional<std::uint64_t> compared_examples;  ///< the first of the split, on which that was found
  /// In files of former versions: the engine's that equal those of the simulation in float32, and that one's
  /// own when its sums are rounded otherwise.
  std::optional<double> agreement, noise_floor;

  /// What executes it: "simulated", "integer", or whatever stands before the colon; "float" without one. On a
  /// device its name stands before: "cuda integer".
  std::string kind() const;
  /// "cuda"; empty for the processor.
  std::string device() const;
  bool is_simulated() const { return kind() == "simulated"; }
  bool is_integer() const { return kind() == "integer"; }
  std::vector<Cell> compared() const;  ///< the cells with a speedup
  double median_speedup() const;       ///< over those; 0 without any
};
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
/// A device beside the processor, or the processor, as reports name it and what its methods are compared
/// with.
struct DeploymentDevice {
  std::string name;                        ///< "cuda"; empty for the processor
  std::string label;                       ///< "CUDA"
  std::string reference, reference_label;  ///< "cuda float:fp16", "FP16"
};
/// By name. A device without an entry is called by its name, and compared with its FP16.
DeploymentDevice deployment_device(const std::string& name);

Verdict judge_deployment(const ResultSet& results);
std::string read_deployment(const std::vector<Measurement>& all);
/// A line per method; then the latency's median, 95th and 99th percentile, throughput and speedups, a column
/// per batch x length; then where the time goes; after the processor's the same of each device, and
/// tokenization. Tables without a figure are left out, all but the first of each device are details. Titles
/// begin with the experiment's name, and that of a device has the device's.
std::vector<Table> deployment_tables(const std::string& experiment, const std::vector<Measurement>& all);

/// The fastest by its median over the cells; null if none of that kind was timed beside its reference.
const DeploymentMethod* fastest_of_kind(const std::vector<DeploymentMethod>& methods,
                                        const std::string& kind);

}  // namespace outlierlab
