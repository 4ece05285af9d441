// A library with the functions of NVML that DeviceMonitor opens, for one device: figures that a test can
// expect.
#include <cstring>

namespace {
int device_of_the_bus;  // its address is the handle
unsigned long long millijoules = 0;
constexpr int not_found = 6;
}  // namespace

extern "C" {

int nvmlInit_v2() {
  return 0;
}
int nvmlShutdown() {
  return 0;
}
int nvmlDeviceGetHandleByPciBusId_v2(const char* bus_id, void** device) {
  if (std::strcmp(bus_id, "00000000:17:00.0") != 0) return not_found;
  *device = &device_of_the_bus;
  return 0;
}
int nvmlSystemGetDriverVersion(char* text, unsigned size) {
  std::strncpy(text, "999.1", size);
  return 0;
}
/// Clock 1 is the multiprocessors', 2 the memory's.
int nvmlDeviceGetClockInfo(void*, int clock, unsigned* megahertz) {
  *megahertz = clock == 1 ? 1410 : 2619;
  return 0;
}
int nvmlDeviceGetTemperature(void*, int, unsigned* celsius) {
  *celsius = 45;
  return 0;
}
int nvmlDeviceGetEnforcedPowerLimit(void*, unsigned* milliwatts) {
  *milliwatts = 350500;
  return 0;
}
/// Six joules between any two readings.
int nvmlDeviceGetTotalEnergyConsumption(void*, unsigned long long* energy) {
  *energy = millijoules += 6000;
  return 0;
}
int nvmlDeviceGetMemoryInfo(void*, unsigned long long* memory) {
  memory[0] = 80'000'000'000ull;  // total, free, used
  memory[1] = 79'000'000'000ull;
  memory[2] = 1'000'000'000ull;
  return 0;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void*, unsigned long long* reasons) {
  *reasons = 0x4 | 0x20;
  return 0;
}

}  // extern "C"
