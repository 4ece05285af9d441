#include "engine/cpu/peak.h"

#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <new>

#include "core/isa.h"

namespace outlierlab::engine {

namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Seconds from the moment at which all threads are there to the end of the last one's body(thread).
template <typename Body>
double seconds_of(int threads, const Body& body) {
  double slowest = 0;
#pragma omp parallel num_threads(threads) reduction(max : slowest)
  {
#pragma omp barrier
    const auto start = Clock::now();
    body(omp_get_thread_num());
    slowest = since(start);
  }
  return slowest;
}

std::vector<PeakLoop> find_loops() {
  std::vector<PeakLoop> loops = {*dispatch(&portable::float_loop, &avx2::float_loop, &avx512::float_loop),
                                 *dispatch(&portable::int8_loop, &avx2::int8_loop, &avx512::int8_loop)};
  if (has_vnni()) loops.push_back(vnni::int8_loop);
  if (has_bf16()) {
    loops.push_back(bf16::bf16_loop);
  } else {
    loops.push_back(loops.front());
    loops.back().kind = PeakKind::bfloat16;
  }
  if (has_amx()) {
    loops.push_back(amx::int8_loop);
    loops.push_back(amx::bf16_loop);
  }
  return loops;
}

}  // namespace

const std::vector<PeakLoop>& peak_loops() {
  static const std::vector<PeakLoop> loops = find_loops();
  return loops;
}

const PeakLoop& best_peak_loop(PeakKind kind) {
  const std::vector<PeakLoop>& loops = peak_loops();
  return *std::find_if(loops.rbegin(), loops.rend(), [&](const PeakLoop& loop) { return loop.kind == kind; });
}

double measured_peak(const PeakLoop& loop, int threads) {
  // Long enough to outlast a change of the clock for wide vectors, short enough to fit between interruptions.
  constexpr double wanted = 0.01;
  constexpr int repeats = 15;
  std::size_t rounds = 1000;
  while (seconds_of(threads, [&](int) { loop.run(rounds); }) < wanted) rounds *= 2;
  double best = 1e9;
  for (int i = 0; i < repeats; ++i)
    best = std::min(best, seconds_of(threads, [&](int) { loop.run(rounds); }));
  return static_cast<double>(threads) * static_cast<double>(rounds) * loop.operations / best;
}

double triad_bandwidth(std::size_t bytes, int threads) {
  constexpr std::size_t line = 64, vector = 16;  // bytes of a cache line, floats of a vector
  const std::size_t share = bytes / 12 / static_cast<std::size_t>(threads);
  const std::size_t part = std::max<std::size_t>(1, share / vector) * vector;
  const std::size_t count = part * static_cast<std::size_t>(threads);
  // Left uninitialized, so that each thread is the first to touch its part.
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  const auto array = [&] {
    auto* const p = static_cast<float*>(std::aligned_alloc(line, count * sizeof(float)));
    if (!p) throw std::bad_alloc();
    return std::unique_ptr<float[], Free>(p);
  };
  const auto a = array(), b = array(), c = array();
  seconds_of(threads, [&](int thread) {
    for (std::size_t i = static_cast<std::size_t>(thread) * part, end = i + part; i < end; ++i) {
      a[i] = 0;
      b[i] = 1;
      c[i] = 2;
    }
  });
  // Small arrays are passed over many times between two readings of the clock.
  const std::size_t turns = std::max<std::size_t>(1, (8u << 20) / (part * 12));
  const Triad triad = dispatch(portable::triad, avx2::triad, avx512::triad);
  const auto pass = [&](int thread) {
    const std::size_t begin = static_cast<std::size_t>(thread) * part;
    for (std::size_t turn = 0; turn < turns; ++turn)
      triad(b.get() + begin, c.get() + begin, 3.0f + static_cast<float>(turn), a.get() + begin, part);
  };
  double best = 1e9;
  const auto begin = Clock::now();
  for (int i = 0; i < 5 || (i < 200 && since(begin) < 0.3); ++i)
    best = std::min(best, seconds_of(threads, pass));
  return 12.0 * static_cast<double>(count) * static_cast<double>(turns) / best;
}

std::size_t beyond_caches() {
  constexpr std::size_t least = 256u << 20, most = 1u << 30;
  const long cache = ::sysconf(_SC_LEVEL3_CACHE_SIZE);
  return std::clamp<std::size_t>(cache > 0 ? 4 * static_cast<std::size_t>(cache) : 0, least, most);
}

}  // namespace outlierlab::engine
