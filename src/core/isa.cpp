#include "core/isa.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "core/error.h"

namespace outlierlab {

namespace {

// The ladder of OUTLIERLAB_ISA.
enum class Level { portable, avx2, avx512, vnni, amx };

Level cap() {
  const char* wanted = std::getenv("OUTLIERLAB_ISA");
  if (!wanted) return Level::amx;
  const std::string name = wanted;
  if (name == "portable") return Level::portable;
  if (name == "avx2") return Level::avx2;
  if (name == "avx512") return Level::avx512;
  if (name == "vnni") return Level::vnni;
  if (name == "amx") return Level::amx;
  fail_unknown("OUTLIERLAB_ISA", name, {"portable", "avx2", "avx512", "vnni", "amx"});
}

Isa detect() {
  Isa best = Isa::portable;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) best = Isa::avx2;
  if (best == Isa::avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    best = Isa::avx512;
  }
  return std::min(best, static_cast<Isa>(std::min(cap(), Level::avx512)));
}

// CPUID leaf 7, subleaf 0, register EDX: bits 22, 24 and 25 are AMX-BF16, AMX-TILE and AMX-INT8. Linux gives
// a process the tiles' registers only if it asks for them (Documentation/arch/x86/xstate.rst).
bool may_use_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const unsigned needed = 1u << 22 | 1u << 24 | 1u << 25;
  if ((d & needed) != needed) return false;
#if defined(__linux__) && defined(SYS_arch_prctl)
  constexpr int request_permission = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

}  // namespace

Isa isa() {
  static const Isa value = detect();
  return value;
}

bool has_vnni() {
  static const bool value =
      isa() == Isa::avx512 && cap() >= Level::vnni && __builtin_cpu_supports("avx512vnni");
  return value;
}

bool has_bf16() {
  static const bool value =
      isa() == Isa::avx512 && cap() >= Level::vnni && __builtin_cpu_supports("avx512bf16");
  return value;
}

bool has_amx() {
  static const bool value = has_vnni() && cap() >= Level::amx && may_use_amx();
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
