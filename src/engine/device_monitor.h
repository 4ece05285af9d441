#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace outlierlab::engine {

/// What NVML says of a device while it works. The library is opened at run time; where it is not there, or
/// does not know the device, nothing is known.
class DeviceMonitor {
 public:
  /// `bus_id` as CudaDevice has it: NVML's own numbers count devices that CUDA_VISIBLE_DEVICES hides, too.
  explicit DeviceMonitor(const std::string& bus_id, const std::string& library = "libnvidia-ml.so.1");
  ~DeviceMonitor();
  DeviceMonitor(const DeviceMonitor&) = delete;
  DeviceMonitor& operator=(const DeviceMonitor&) = delete;

  std::optional<std::string> driver() const;
  std::optional<unsigned> multiprocessor_clock() const;  ///< MHz
  std::optional<unsigned> memory_clock() const;          ///< MHz
  std::optional<unsigned> temperature() const;           ///< degrees Celsius
  std::optional<double> power_limit() const;             ///< watts
  std::optional<double> energy() const;                  ///< joules since the driver was loaded
  std::optional<std::uint64_t> memory_used() const;      ///< bytes, by all processes
  /// Why the clock is lower than it could be, as throttle_text() has it.
  std::optional<std::string> throttle_reasons() const;

 private:
  struct Library;
  std::unique_ptr<Library> library_;
};

/// NVML's bits of reasons for a lower clock as text: "none", or "power cap, software thermal"; bits without a
/// name here follow as a number ("idle, 0x200").
std::string throttle_text(unsigned long long reasons);

}  // namespace outlierlab::engine
