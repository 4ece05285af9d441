#pragma once

#include <cstddef>
#include <functional>
#include <vector>

namespace outlierlab {

/// Sets the number of threads of every parallel loop of the suite (and of OpenMP). 0 takes all cores.
void set_threads(int count);

/// The number of threads that parallel loops use.
int threads();

using ChunkBody = std::function<void(std::size_t begin, std::size_t end, int thread)>;

/// Runs body(begin, end, thread) over [0, count) in contiguous chunks of at most `chunk` items, handed out in
/// a fixed round-robin order, so that which thread does what does not depend on timing. The first exception
/// of a body is rethrown in the caller.
void parallel_chunks(std::size_t count, std::size_t chunk, const ChunkBody& body);

/// Likewise in phases: a thread takes all its chunks through one phase, then through the next, without
/// waiting for the others. A chunk meets the same thread in every phase.
void parallel_phases(std::size_t count, std::size_t chunk, const std::vector<ChunkBody>& phases);

}  // namespace outlierlab
