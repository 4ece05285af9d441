#include "app/bench_hooks.h"

#include "app/machine.h"
#include "core/parallel.h"
#include "core/quantile.h"
#include "stats/kernels.h"
#include "stats/statistics.h"

namespace outlierlab {

namespace {

constexpr std::size_t products_between_samples = 32;

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
  if (samples.products++ % products_between_samples == 0) samples.ghz.push_back(core_clock_ghz());
  observed_.product_begins(thread);
}

double ClockProbe::clock_ghz() const {
  std::vector<double> all;
  for (const Samples& samples : samples_) all.insert(all.end(), samples.ghz.begin(), samples.ghz.end());
  return median(std::move(all));
}

}  // namespace outlierlab
