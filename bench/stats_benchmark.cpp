// Nanoseconds per value that statistics cost on top of a forward pass (one thread). The values are normal
// with a few wide channels. As in a forward pass, each tile goes to another site than the one before, so that
// tables and channels come from outer caches; a site sees a new example with every tile. Two floors: counting
// alone (count_tile), and the triad over the bytes of a tile's values and channels (`bound`), which counts no
// increment.
#include <benchmark/benchmark.h>

#include <cmath>
#include <memory>
#include <vector>

#include "bounds.h"
#include "core/random.h"
#include "program.h"
#include "stats/kernels.h"
#include "stats/statistics.h"

namespace {

using namespace outlierlab;

std::vector<float> normal_values(std::size_t count, std::size_t cols) {
  Random random(7);
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
    const double scale = i % cols == 3 ? 30 : 1;
    values[i] = static_cast<float>(scale * radius * std::cos(6.283185307179586 * random.uniform()));
  }
  return values;
}

/// `bytes`: of a tile, read and written; an iteration takes `tiles` of them.
void report(benchmark::State& state, std::size_t tile_values, std::size_t bytes, std::size_t tiles = 1) {
  const double values = static_cast<double>(state.iterations()) * static_cast<double>(tile_values * tiles);
  state.counters["per_value"] =
      benchmark::Counter(values, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  count_bytes(state, bytes, bytes, tiles);
}

/// Args: rows, columns, and whether the values belong to one head.
void add_tile(benchmark::State& state) {
  constexpr std::size_t tiles = 4, sites = 80, heads = 12;
  const auto rows = static_cast<std::size_t>(state.range(0));
  const auto cols = static_cast<std::size_t>(state.range(1));
  const bool by_head = state.range(2) != 0;
  std::vector<float> values = normal_values(tiles * rows * cols, cols);
  std::vector<SiteStatistics> statistics(sites, SiteStatistics(by_head ? heads : cols, by_head));
  std::vector<TokenId> tokens(rows);
  std::uint32_t example = 0;
  for (auto _ : state) {
    for (std::size_t t = 0; t < tiles; ++t, ++example) {
      for (std::size_t r = 0; r < rows; ++r) tokens[r] = {example, static_cast<std::uint32_t>(r)};
      for (std::size_t site = 0; site < sites; ++site) {
        statistics[site].gather({site, values.data() + t * rows * cols, rows, cols, cols,
                                 by_head ? static_cast<int>(example % heads) : -1, tokens.data()});
      }
    }
  }
  // A channel's mean, m2, minimum and maximum are read and written.
  const std::size_t channel_bytes = by_head ? 0 : 2 * cols * (2 * sizeof(double) + 2 * sizeof(float));
  report(state, rows * cols, sizeof(float) * rows * cols + channel_bytes, sites * tiles);
}
BENCHMARK(add_tile)
    ->ArgNames({"rows", "cols", "by_head"})
    ->Args({16, 384, 0})
    ->Args({128, 384, 0})  // as the forward pass shows them
    ->Args({128, 1536, 0})
    ->Args({30, 30, 1})
    ->Args({52, 52, 1})
    ->Args({128, 128, 1});

/// Counting alone: the floor under add_tile.
void count_tile(benchmark::State& state) {
  const std::vector<float> values = normal_values(16 * 16 * 384, 384);
  Histogram histogram;
  for (auto _ : state) histogram.add(values.data(), 256, 384, 384);
  report(state, values.size(), sizeof(float) * values.size());
}
BENCHMARK(count_tile);

/// Equal values: every increment waits for the one before.
void count_constant(benchmark::State& state) {
  const std::vector<float> values(16 * 384, 1.0f);
  Histogram histogram;
  for (auto _ : state) histogram.add(values.data(), 16, 384, 384);
  report(state, values.size(), sizeof(float) * values.size());
}
BENCHMARK(count_constant);

}  // namespace

int main(int argc, char** argv) {
  return outlierlab::run_benchmarks(argc, argv);
}
