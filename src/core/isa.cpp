#include "core/isa.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "core/error.h"

namespace outlierlab {

static Isa detect() {
  Isa best = Isa::portable;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) best = Isa::avx2;
  if (best == Isa::avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    best = Isa::avx512;
  }
  if (const char* wanted = std::getenv("OUTLIERLAB_ISA")) {
    const std::string name = wanted;
    if (name == "portable") return Isa::portable;
    if (name == "avx2") return std::min(best, Isa::avx2);
    if (name != "avx512") fail_unknown("OUTLIERLAB_ISA", name, {"portable", "avx2", "avx512"});
  }
  return best;
}

Isa isa() {
  static const Isa value = detect();
  return value;
}

const char* to_string(Isa value) {
  switch (value) {
    case Isa::avx512:
      return "avx512";
    case Isa::avx2:
      return "avx2";
    default:
      return "portable";
  }
}

}  // namespace outlierlab
