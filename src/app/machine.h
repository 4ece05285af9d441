#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/device_monitor.h"

namespace outlierlab {

/// What decides how fast this machine is and what can be read of it: "kernel", "microcode", "instructions" (a
/// list), "logical_cpus", "clock_mhz" (least and most over the CPUs, as /proc/cpuinfo has them now),
/// "governor" (of CPU 0), "throttled" (events since boot, summed over CPUs), "load" (of the last minute),
/// "energy" (counters by name). What the system does not tell is "not told". `root` stands for / in tests.
nlohmann::ordered_json machine_facts(const std::filesystem::path& root = "/");

/// The same of a GPU, as NVML knows it now: "driver", "clock_mhz" and "memory_clock_mhz", "temperature_c",
/// "power_limit_w", "throttled_by" ("none" where nothing slows it down), "memory_used_bytes" (by all
/// processes).
nlohmann::ordered_json device_facts(const engine::DeviceMonitor& monitor);

/// The energy counters of the processor packages (RAPL), as Linux shows them under /sys/class/powercap: only
/// whole packages are read, since their parts are counted in them. Counters wrap around; two readings are
/// less than one turn apart if they are minutes apart.
class EnergyMeter {
 public:
  explicit EnergyMeter(const std::filesystem::path& root = "/");
  bool readable() const { return !counters_.empty(); }
  /// "package-0", ...
  std::vector<std::string> names() const;

  /// Takes a reading of all counters.
  void start();
  /// Joules since start(), of all packages; nothing if a counter cannot be read any more.
  std::optional<double> joules() const;

 private:
  struct Counter {
    std::filesystem::path file;
    std::string name;
    std::uint64_t range = 0, start = 0;  ///< microjoules
  };
  std::vector<Counter> counters_;
};

/// The clock of the core that this thread runs on, in GHz: times a chain of dependent additions (5 us), of
/// which a core does one a cycle. That needs no counters, which a virtual machine hides.
double core_clock_ghz();

/// Sets the process's peak of resident memory back to what it holds now, so that peak_memory() tells of what
/// follows. False where the system does not allow it.
bool reset_peak_memory();

}  // namespace outlierlab
