#include "app/bench_hooks.h"

#include <chrono>

#include "core/parallel.h"
#include "core/quantile.h"
#include "stats/kernels.h"
#include "stats/statistics.h"

namespace outlierlab {

namespace {

constexpr std::size_t products_between_samples = 32;
constexpr int chain_length = 16'000;

/// Additions of which each waits for the one before.
std::uint64_t dependent_additions(std::uint64_t step) {
  std::uint64_t sum = 0;
#pragma GCC unroll 16
  for (int i = 0; i < chain_length; ++i) {
    sum += step;
    asm volatile("" : "+r"(sum));  // or the compiler would multiply
  }
  return sum;
}

double additions_per_nanosecond() {
  volatile std::uint64_t step = 1;
  const auto start = std::chrono::steady_clock::now();
  const std::uint64_t sum = dependent_additions(step);
  const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
  return static_cast<double>(sum) / taken.count();
}

}  // namespace

CaptureFloor::CaptureFloor(bool count) : tables_(count ? static_cast<std::size_t>(threads()) : 0) {}

void CaptureFloor::visit(const SiteTile& tile, int thread) {
  if (tables_.empty()) return;
  Histogram& table = tables_.at(static_cast<std::size_t>(thread));
  statistics_kernels().count({tile.data, tile.rows, tile.cols, tile.stride},
                             table.counters(tile.rows * tile.cols));
}

std::size_t CaptureFloor::preferred_rows() const {
  return StatisticsCollector::rows_per_visit;
}

Histogram CaptureFloor::counted() const {
  Histogram all;
  for (const Histogram& table : tables_) all.merge(table);
  return all;
}

ClockProbe::ClockProbe(SiteHook& observed)
    : observed_(observed), samples_(static_cast<std::size_t>(threads())) {}

void ClockProbe::product_begins(int thread) {
  Samples& samples = samples_.at(static_cast<std::size_t>(thread));
  if (samples.products++ % products_between_samples == 0) samples.ghz.push_back(additions_per_nanosecond());
  observed_.product_begins(thread);
}

double ClockProbe::clock_ghz() const {
  std::vector<double> all;
  for (const Samples& samples : samples_) all.insert(all.end(), samples.ghz.begin(), samples.ghz.end());
  return median(std::move(all));
}

}  // namespace outlierlab
