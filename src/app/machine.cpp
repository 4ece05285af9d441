#include "app/machine.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>
#include <sstream>

#include "core/isa.h"

namespace outlierlab {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

constexpr const char* not_told = "not told";

std::optional<std::string> line_of(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  if (!std::getline(in, line)) return std::nullopt;
  return line;
}

std::optional<std::uint64_t> count_of(const fs::path& file) {
  const std::optional<std::string> text = line_of(file);
  std::uint64_t value = 0;
  if (!text) return std::nullopt;
  const char* const end = text->data() + text->size();
  const auto [rest, error] = std::from_chars(text->data(), end, value);
  if (error != std::errc() || rest != end) return std::nullopt;
  return value;
}

/// The values of a key in /proc/cpuinfo, one per CPU.
std::vector<std::string> cpu_values(const fs::path& root, const std::string& key) {
  std::vector<std::string> values;
  std::ifstream in(root / "proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos || line.compare(0, key.size(), key) != 0) continue;
    const auto start = line.find_first_not_of(" \t", colon + 1);
    if (start != std::string::npos) values.push_back(line.substr(start));
  }
  return values;
}

/// The entries of a folder whose names start so, sorted; none where there is no such folder.
std::vector<fs::path> entries(const fs::path& folder, const std::string& beginning) {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.path().filename().string().rfind(beginning, 0) == 0) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

Json clock_mhz(const fs::path& root) {
  std::vector<double> values;
  for (const std::string& text : cpu_values(root, "cpu MHz")) {
    double value = 0;
    if (std::istringstream(text) >> value) values.push_back(value);
  }
  if (values.empty()) return not_told;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return {*low, *high};
}

/// Events in which the CPU lowered its clock for its temperature or power.
Json throttled(const fs::path& root) {
  std::uint64_t events = 0;
  bool any = false;
  for (const fs::path& cpu : entries(root / "sys/devices/system/cpu", "cpu")) {
    for (const char* counter : {"core_throttle_count", "package_throttle_count"}) {
      if (const auto count = count_of(cpu / "thermal_throttle" / counter)) {
        events += *count;
        any = true;
      }
    }
  }
  return any ? Json(events) : Json(not_told);
}

Json instructions() {
  Json names = {to_string(isa())};
  if (has_vnni()) names.push_back("avx512_vnni");
  if (has_bf16()) names.push_back("avx512_bf16");
  if (has_amx()) names.push_back("amx");
  return names;
}

Json or_not_told(const std::optional<std::string>& text) {
  return text && !text->empty() ? Json(*text) : Json(not_told);
}
template <typename Number>
Json or_not_told(const std::optional<Number>& number) {
  return number ? Json(*number) : Json(not_told);
}

}  // namespace

Json machine_facts(const fs::path& root) {
  const std::vector<std::string> microcode = cpu_values(root, "microcode");
  utsname system{};
  const bool named = ::uname(&system) == 0;
  Json energy = EnergyMeter(root).names();
  if (energy.empty()) energy = not_told;
  return {{"kernel", named ? std::string(system.sysname) + " " + system.release : not_told},
          {"microcode", microcode.empty() ? not_told : microcode.front()},
          {"instructions", instructions()},
          {"logical_cpus", ::sysconf(_SC_NPROCESSORS_ONLN)},
          {"clock_mhz", clock_mhz(root)},
          {"governor", or_not_told(line_of(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"))},
          {"throttled", throttled(root)},
          {"load", or_not_told(line_of(root / "proc/loadavg"))},
          {"energy", energy}};
}

Json device_facts(const engine::DeviceMonitor& monitor) {
  return {{"driver", or_not_told(monitor.driver())},
          {"clock_mhz", or_not_told(monitor.multiprocessor_clock())},
          {"memory_clock_mhz", or_not_told(monitor.memory_clock())},
          {"temperature_c", or_not_told(monitor.temperature())},
          {"power_limit_w", or_not_told(monitor.power_limit())},
          {"throttled_by", or_not_told(monitor.throttle_reasons())},
          {"memory_used_bytes", or_not_told(monitor.memory_used())}};
}

EnergyMeter::EnergyMeter(const fs::path& root) {
  // "intel-rapl:0" is a package (AMD's, too), "intel-rapl:0:1" a part of it.
  for (const fs::path& zone : entries(root / "sys/class/powercap", "intel-rapl:")) {
    const std::string file = zone.filename().string();
    const std::optional<std::string> name = line_of(zone / "name");
    if (std::count(file.begin(), file.end(), ':') != 1 || !name || name->rfind("package", 0) != 0) continue;
    const auto range = count_of(zone / "max_energy_range_uj");
    if (range && count_of(zone / "energy_uj")) counters_.push_back({zone / "energy_uj", *name, *range, 0});
  }
  start();
}

std::vector<std::string> EnergyMeter::names() const {
  std::vector<std::string> names;
  for (const Counter& counter : counters_) names.push_back(counter.name);
  return names;
}

void EnergyMeter::start() {
  for (Counter& counter : counters_) counter.start = count_of(counter.file).value_or(0);
}

std::optional<double> EnergyMeter::joules() const {
  if (counters_.empty()) return std::nullopt;
  double sum = 0;
  for (const Counter& counter : counters_) {
    const auto now = count_of(counter.file);
    if (!now) return std::nullopt;
    // A counter that stands lower has wrapped around.
    const std::uint64_t spent =
        *now >= counter.start ? *now - counter.start : *now + counter.range - counter.start;
    sum += 1e-6 * static_cast<double>(spent);
  }
  return sum;
}

double core_clock_ghz() {
  constexpr int chain_length = 16'000;
  volatile std::uint64_t step = 1;
  std::uint64_t sum = 0;
  const auto start = std::chrono::steady_clock::now();
  const std::uint64_t added = step;
#pragma GCC unroll 16
  for (int i = 0; i < chain_length; ++i) {
    sum += added;
    asm volatile("" : "+r"(sum));  // or the compiler would multiply
  }
  const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
  return static_cast<double>(sum) / taken.count();
}

bool reset_peak_memory() {
  std::ofstream file("/proc/self/clear_refs");
  file << 5 << std::flush;
  return file.good();
}

}  // namespace outlierlab
