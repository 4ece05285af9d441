#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace outlierlab::engine::bench {

/// What NVML says of a device while it works. The library is opened at run time; where it is not there,
/// nothing is known.
class DeviceMonitor {
 public:
  explicit DeviceMonitor(int device);
  ~DeviceMonitor();
  DeviceMonitor(const DeviceMonitor&) = delete;
  DeviceMonitor& operator=(const DeviceMonitor&) = delete;

  std::optional<std::string> driver() const;
  std::optional<unsigned> multiprocessor_clock() const;  ///< MHz
  std::optional<unsigned> memory_clock() const;          ///< MHz
  std::optional<unsigned> temperature() const;           ///< degrees Celsius
  std::optional<double> energy() const;                  ///< joules since the driver was loaded
  std::optional<std::uint64_t> memory_used() const;      ///< bytes, by all processes
  /// Why the clock is lower than it could be: "none", or "power cap, thermal", as NVML names them.
  std::optional<std::string> throttle_reasons() const;

 private:
  struct Library;
  std::unique_ptr<Library> library_;
};

}  // namespace outlierlab::engine::bench
