#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace outlierlab {

/// How a result file was made: what a report shows of the <experiment>.json beside it. What the file does not
/// say stays empty or 0.
struct RunRecord {
  struct File {
    std::string role, name, sha256;  ///< "checkpoint", "model.safetensors", ...
  };
  std::string command, version, revision, compiler, cpu, instructions, started;
  /// Where rows come from a GPU: "NVIDIA H100 80GB HBM3, compute capability 9.0, 85.0 GB, driver 580.65".
  std::string device;
  std::string calibration_size, max_length;  ///< examples; pieces of the longest pair
  std::uint64_t threads = 0, peak_memory_bytes = 0;
  /// Evaluated; of the whole split, where that is told (files of former versions do not); --limit of the
  /// command.
  std::uint64_t examples = 0, split_examples = 0, limit = 0;
  double wall_seconds = 0;
  std::vector<std::string> overrides;  ///< of the command, "weights.bits=4": its --set
  std::string unfinished;              ///< "22 of 174 measurements" of a run that did not come to its end
  /// What executed a method, by its variant: {"integer:w8a8", "cpu amx"}; without those simulated in float.
  std::map<std::string, std::string> executors;
  std::vector<File> files;
};

/// What computed the products on the processor, by the record: "integer products with AMX, bfloat16 products
/// with AMX BF16, float32 with AVX-512". What it does not tell is left out; empty where all of it ran on
/// another device.
std::string execution_text(const RunRecord& record);

/// Throws Error naming the file for text that is not a JSON object or a value of the wrong type.
RunRecord read_run_record(const std::filesystem::path& file);

/// The records of one folder `<model>-<task>`, by experiment.
std::map<std::string, RunRecord> read_run_records(const std::filesystem::path& folder);

}  // namespace outlierlab
