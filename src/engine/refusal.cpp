#include "engine/refusal.h"

namespace outlierlab::engine {

void refuse(const std::string& place, const std::string& expected, const std::string& found) {
  throw Refusal(place + ": expected " + expected + ", found " + found);
}

void require_precision(const std::string& device, int major, int minor, RealPrecision real) {
  const auto require = [&](const char* precision, int needed_major, int needed_minor) {
    if (10 * major + minor >= 10 * needed_major + needed_minor) return;
    const auto capability = [](int of_major, int of_minor) {
      return std::to_string(of_major) + "." + std::to_string(of_minor);
    };
    refuse(device + ", " + precision + " products",
           "compute capability " + capability(needed_major, needed_minor) + " or higher, or float16",
           capability(major, minor));
  };
  if (real == RealPrecision::bfloat16) require("bfloat16", 8, 0);
  if (real == RealPrecision::float8) require("float8", 8, 9);
}

}  // namespace outlierlab::engine
