#include "program.h"

#include <benchmark/benchmark.h>

#include <fstream>
#include <string>

#include "app/revision.h"
#include "core/isa.h"
#include "core/parallel.h"

namespace outlierlab {

namespace {

std::string cpu_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const auto colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string compiler() {
#if defined(__clang__)
  return std::string("clang ") + __clang_version__;
#else
  return std::string("g++ ") + __VERSION__;
#endif
}

/// "avx512 vnni bf16": what this process may use.
std::string instructions() {
  std::string names = to_string(isa());
  if (has_vnni()) names += " vnni";
  if (has_bf16()) names += " bf16";
  if (has_amx()) names += " amx";
  return names;
}

}  // namespace

int run_benchmarks(int argc, char** argv) {
  set_threads(1);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::AddCustomContext("revision", OUTLIERLAB_REVISION);
  benchmark::AddCustomContext("compiler", compiler());
  benchmark::AddCustomContext("cpu", cpu_name());
  benchmark::AddCustomContext("instructions", instructions());
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace outlierlab
