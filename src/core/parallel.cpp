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

void parallel_chunks(std::size_t count, std::size_t chunk,
                     const std::function<void(std::size_t, std::size_t, int)>& body) {
  if (count == 0) return;
  const std::size_t chunks = (count + chunk - 1) / chunk;
  // Inside another parallel loop the calling thread does it all.
  const int workers = omp_in_parallel() ? 1 : static_cast<int>(std::min<std::size_t>(threads(), chunks));
  if (workers <= 1) {
    for (std::size_t i = 0; i < chunks; ++i) body(i * chunk, std::min(count, (i + 1) * chunk), 0);
    return;
  }
  std::exception_ptr failure;
  std::mutex failure_mutex;
#pragma omp parallel num_threads(workers)
  {
    const int thread = omp_get_thread_num();
    try {
      for (std::size_t i = thread; i < chunks; i += workers) {
        body(i * chunk, std::min(count, (i + 1) * chunk), thread);
      }
    } catch (...) {
      const std::lock_guard<std::mutex> lock(failure_mutex);
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace outlierlab
