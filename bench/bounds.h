// What the programs of this folder compare their rates with, measured by the same run: counters `rate`,
// `bound` and `share_of_bound`, in units that the label names.
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>

#include "engine/cpu/peak.h"

namespace outlierlab {

/// Beside STREAM's triad over arrays that occupy as many bytes, so the bandwidth of the cache that holds
/// them. `moved`: bytes read and written by one round, of which an iteration makes `rounds`; what works in
/// place moves more than it occupies.
void count_bytes(benchmark::State& state, std::size_t moved, std::size_t occupied, std::size_t rounds = 1);

/// Beside the peak of one instruction. `operations`: of one iteration, two per multiply-add.
void count_operations(benchmark::State& state, double operations, const engine::PeakLoop& loop);

}  // namespace outlierlab
