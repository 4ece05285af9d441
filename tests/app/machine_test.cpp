#include "app/machine.h"

#include <sys/mman.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "app/provenance.h"
#include "catch.h"
#include "paths.h"

using namespace outlierlab;

namespace {

namespace fs = std::filesystem;

void put(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << text << "\n";
}

void put_zone(const fs::path& root, const std::string& zone, const std::string& name,
              const std::string& energy) {
  const fs::path folder = root / "sys/class/powercap" / zone;
  put(folder / "name", name);
  put(folder / "max_energy_range_uj", "262143328850");
  put(folder / "energy_uj", energy);
}

}  // namespace

TEST_CASE("Energy: whole packages only, and counters that wrap around", "[app]") {
  const fs::path root = test::scratch("machine");
  put_zone(root, "intel-rapl:0", "package-0", "262143000000");
  put_zone(root, "intel-rapl:1", "package-1", "1000000");
  put_zone(root, "intel-rapl:0:0", "core", "5");
  put_zone(root, "intel-rapl:2", "psys", "5");
  put_zone(root, "intel-rapl:3", "package-3", "not a number");
  EnergyMeter meter(root);
  REQUIRE(meter.names() == std::vector<std::string>{"package-0", "package-1"});
  meter.start();
  put_zone(root, "intel-rapl:0", "package-0", "671150");   // 1 J further, over the end
  put_zone(root, "intel-rapl:1", "package-1", "3500000");  // 2.5 J
  REQUIRE(*meter.joules() == Approx(3.5));
  fs::remove(root / "sys/class/powercap/intel-rapl:1/energy_uj");
  REQUIRE_FALSE(meter.joules().has_value());
}

TEST_CASE("What a machine does not tell is said so", "[app]") {
  const fs::path root = test::scratch("machine");
  EnergyMeter meter(root);
  REQUIRE_FALSE(meter.readable());
  REQUIRE_FALSE(meter.joules().has_value());
  auto facts = machine_facts(root);
  for (const char* key : {"microcode", "clock_mhz", "governor", "throttled", "load", "energy"})
    REQUIRE(facts[key] == "not told");
  put(root / "proc/cpuinfo",
      "processor\t: 0\nmicrocode\t: 0x2b\ncpu MHz\t\t: 3100.5\n\nprocessor\t: 1\ncpu MHz\t: 800");
  put(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave");
  put(root / "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "3");
  put(root / "sys/devices/system/cpu/cpu1/thermal_throttle/package_throttle_count", "4");
  facts = machine_facts(root);
  REQUIRE(facts["microcode"] == "0x2b");
  REQUIRE(facts["clock_mhz"] == nlohmann::ordered_json({800.0, 3100.5}));
  REQUIRE(facts["governor"] == "powersave");
  REQUIRE(facts["throttled"] == 7);
  REQUIRE(facts["instructions"].size() >= 1);
}

TEST_CASE("What a device tells, and what it does not", "[app]") {
  const auto facts = device_facts(engine::DeviceMonitor("00000000:17:00.0", OUTLIERLAB_FAKE_NVML));
  REQUIRE(facts["driver"] == "999.1");
  REQUIRE(facts["clock_mhz"] == 1410);
  REQUIRE(facts["power_limit_w"] == 350.5);
  REQUIRE(facts["throttled_by"] == "power cap, software thermal");
  for (const auto& fact : device_facts(engine::DeviceMonitor("another", OUTLIERLAB_FAKE_NVML)))
    REQUIRE(fact == "not told");
}

TEST_CASE("A core's clock is told by a chain of additions", "[app]") {
  double fastest = 0;
  for (int i = 0; i < 50; ++i) fastest = std::max(fastest, core_clock_ghz());
  REQUIRE(fastest > 0.5);
  REQUIRE(fastest < 8);
}

TEST_CASE("The peak of memory can be set back", "[app]") {
  constexpr std::size_t bytes = 64u << 20;
  void* const pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(pages != MAP_FAILED);
  std::memset(pages, 1, bytes);
  ::munmap(pages, bytes);
  const std::size_t before = peak_memory();
  if (!reset_peak_memory()) return;  // not every system allows it
  REQUIRE(peak_memory() + (32u << 20) < before);
}
