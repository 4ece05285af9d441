#include "core/parallel.h"

#include <omp.h>

#include <algorithm>
#include <exception>
#include <mutex>

namespace outlierlab {

namespace {
int configured_threads = 0;
}

void set_threads(int count) {
  configured_threads = count > 0 ? count : omp_get_num_procs();
  omp_set_num_threads(configured_threads);
}

int threads() {
  if (configured_threads == 0) set_threads(0);
  return configured_threads;
}

namespace {

/// Calls share(thread, threads) on as many threads as there are chunks, or as may be used.
template <typename Share>
void parallel_shares(std::size_t chunks, const Share& share) {
  // Inside another parallel loop the calling thread does it all.
  const int workers = omp_in_parallel() ? 1 : static_cast<int>(std::min<std::size_t>(threads(), chunks));
  if (workers <= 1) return share(0, 1);
  std::exception_ptr failure;
  std::mutex failure_mutex;
#pragma omp parallel num_threads(workers)
  {
    try {
      share(omp_get_thread_num(), workers);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(failure_mutex);
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

/// Takes a thread's chunks through a body.
void run_share(std::size_t count, std::size_t chunk, const ChunkBody& body, int thread, int workers) {
  const auto stride = static_cast<std::size_t>(workers) * chunk;
  for (std::size_t begin = static_cast<std::size_t>(thread) * chunk; begin < count; begin += stride) {
    body(begin, std::min(count, begin + chunk), thread);
  }
}

}  // namespace

void parallel_chunks(std::size_t count, std::size_t chunk, const ChunkBody& body) {
  parallel_shares((count + chunk - 1) / chunk,
                  [&](int thread, int workers) { run_share(count, chunk, body, thread, workers); });
}

void parallel_phases(std::size_t count, std::size_t chunk, const std::vector<ChunkBody>& phases) {
  parallel_shares((count + chunk - 1) / chunk, [&](int thread, int workers) {
    for (const ChunkBody& phase : phases) run_share(count, chunk, phase, thread, workers);
  });
}

}  // namespace outlierlab
