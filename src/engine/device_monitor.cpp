#include "engine/device_monitor.h"

#include <dlfcn.h>

#include <cstdio>

namespace outlierlab::engine {

struct DeviceMonitor::Library {
  // The parts of nvml.h that are used here; its functions return 0 where they succeed.
  struct Memory {
    unsigned long long total, free, used;
  };
  using Device = void*;
  void* handle = nullptr;
  Device device = nullptr;
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  int (*device_by_bus_id)(const char*, Device*) = nullptr;
  int (*driver_version)(char*, unsigned) = nullptr;
  int (*clock)(Device, int, unsigned*) = nullptr;
  int (*temperature)(Device, int, unsigned*) = nullptr;
  int (*power_limit)(Device, unsigned*) = nullptr;
  int (*energy)(Device, unsigned long long*) = nullptr;
  int (*memory)(Device, Memory*) = nullptr;
  int (*throttle)(Device, unsigned long long*) = nullptr;

  template <typename Function>
  void find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(handle, name));
  }
};

namespace {
// nvmlClockType_t, nvmlTemperatureSensors_t
constexpr int multiprocessor = 1, memory_clock_type = 2, gpu_sensor = 0;
}  // namespace

DeviceMonitor::DeviceMonitor(const std::string& bus_id, const std::string& file) {
  auto library = std::make_unique<Library>();
  library->handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library->handle) return;
  library->find(library->init, "nvmlInit_v2");
  library->find(library->shutdown, "nvmlShutdown");
  library->find(library->device_by_bus_id, "nvmlDeviceGetHandleByPciBusId_v2");
  library->find(library->driver_version, "nvmlSystemGetDriverVersion");
  library->find(library->clock, "nvmlDeviceGetClockInfo");
  library->find(library->temperature, "nvmlDeviceGetTemperature");
  library->find(library->power_limit, "nvmlDeviceGetEnforcedPowerLimit");
  library->find(library->energy, "nvmlDeviceGetTotalEnergyConsumption");
  library->find(library->memory, "nvmlDeviceGetMemoryInfo");
  library->find(library->throttle, "nvmlDeviceGetCurrentClocksThrottleReasons");
  const bool started = library->init && library->device_by_bus_id && library->init() == 0;
  if (started && library->device_by_bus_id(bus_id.c_str(), &library->device) == 0) {
    library_ = std::move(library);
    return;
  }
  if (started && library->shutdown) library->shutdown();
  dlclose(library->handle);
}

DeviceMonitor::~DeviceMonitor() {
  if (!library_) return;
  if (library_->shutdown) library_->shutdown();
  dlclose(library_->handle);
}

std::optional<std::string> DeviceMonitor::driver() const {
  char text[96] = {};
  if (!library_ || !library_->driver_version || library_->driver_version(text, sizeof text) != 0)
    return std::nullopt;
  return std::string(text);
}

std::optional<unsigned> DeviceMonitor::multiprocessor_clock() const {
  unsigned value = 0;
  if (!library_ || !library_->clock || library_->clock(library_->device, multiprocessor, &value) != 0)
    return std::nullopt;
  return value;
}

std::optional<unsigned> DeviceMonitor::memory_clock() const {
  unsigned value = 0;
  if (!library_ || !library_->clock || library_->clock(library_->device, memory_clock_type, &value) != 0)
    return std::nullopt;
  return value;
}

std::optional<unsigned> DeviceMonitor::temperature() const {
  unsigned value = 0;
  if (!library_ || !library_->temperature || library_->temperature(library_->device, gpu_sensor, &value) != 0)
    return std::nullopt;
  return value;
}

std::optional<double> DeviceMonitor::power_limit() const {
  unsigned milliwatts = 0;
  if (!library_ || !library_->power_limit || library_->power_limit(library_->device, &milliwatts) != 0)
    return std::nullopt;
  return milliwatts / 1e3;
}

std::optional<double> DeviceMonitor::energy() const {
  unsigned long long millijoules = 0;
  if (!library_ || !library_->energy || library_->energy(library_->device, &millijoules) != 0)
    return std::nullopt;
  return static_cast<double>(millijoules) / 1e3;
}

std::optional<std::uint64_t> DeviceMonitor::memory_used() const {
  Library::Memory memory = {};
  if (!library_ || !library_->memory || library_->memory(library_->device, &memory) != 0) return std::nullopt;
  return memory.used;
}

std::optional<std::string> DeviceMonitor::throttle_reasons() const {
  unsigned long long reasons = 0;
  if (!library_ || !library_->throttle || library_->throttle(library_->device, &reasons) != 0)
    return std::nullopt;
  return throttle_text(reasons);
}

std::string throttle_text(unsigned long long reasons) {
  // nvmlClocksThrottleReasons; the names are short forms of NVML's.
  static const struct {
    unsigned long long bit;
    const char* name;
  } known[] = {{0x1, "idle"},
               {0x2, "application clocks"},
               {0x4, "power cap"},
               {0x8, "hardware slowdown"},
               {0x10, "sync boost"},
               {0x20, "software thermal"},
               {0x40, "hardware thermal"},
               {0x80, "hardware power brake"},
               {0x100, "display clocks"}};
  std::string text;
  const auto add = [&text](const std::string& name) { text += (text.empty() ? "" : ", ") + name; };
  for (const auto& reason : known) {
    if (reasons & reason.bit) add(reason.name);
    reasons &= ~reason.bit;
  }
  char rest[24];
  std::snprintf(rest, sizeof rest, "0x%llx", reasons);
  if (reasons != 0) add(rest);
  return text.empty() ? "none" : text;
}

}  // namespace outlierlab::engine
