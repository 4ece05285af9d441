#include "bounds.h"

#include <map>
#include <string>

namespace outlierlab {

namespace {

/// Each bound is measured once.
double bandwidth(std::size_t bytes) {
  static std::map<std::size_t, double> known;
  double& value = known[bytes];
  if (value == 0) value = engine::triad_bandwidth(bytes, 1);
  return value;
}

double peak(const engine::PeakLoop& loop) {
  static std::map<std::string, double> known;
  double& value = known[loop.instruction];
  if (value == 0) value = engine::measured_peak(loop, 1);
  return value;
}

void count(benchmark::State& state, double each, double bound, const char* unit) {
  const double all = each * static_cast<double>(state.iterations());
  state.counters["rate"] = benchmark::Counter(all, benchmark::Counter::kIsRate);
  state.counters["bound"] = bound;
  state.counters["share_of_bound"] = benchmark::Counter(all / bound, benchmark::Counter::kIsRate);
  state.SetLabel(unit);
}

}  // namespace

void count_bytes(benchmark::State& state, std::size_t moved, std::size_t occupied, std::size_t rounds) {
  count(state, static_cast<double>(moved * rounds), bandwidth(occupied), "bytes/s");
}

void count_operations(benchmark::State& state, double operations, const engine::PeakLoop& loop) {
  count(state, operations, peak(loop), "ops/s");
}

}  // namespace outlierlab
