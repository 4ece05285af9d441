#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/cuda/runtime.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

/// Times what is put into a stream as passes have it, in a graph: by itself, a small kernel takes less time
/// than its launch. The graph has as many runs as fill half a millisecond, so that what they read stays in
/// the caches as far as it fits.
class GraphTimer {
 public:
  /// Seconds of one run of body(), which has run before and can run again on what it left.
  template <typename Body>
  double seconds(Stream stream, const Body& body) {
    const auto repeated = [&](int runs) {
      return Graph::capture(stream, [&] {
        for (int i = 0; i < runs; ++i) body();
      });
    };
    Graph graph = repeated(first_runs);
    spin(graph, stream);
    const double once = std::max(timed(graph, stream) / first_runs, 1e-7);
    const int runs = std::clamp(static_cast<int>(std::ceil(graph_seconds / once)), first_runs, most_runs);
    if (runs > first_runs) graph = repeated(runs);
    double best = timed(graph, stream);
    for (int round = 1; round < rounds; ++round) best = std::min(best, timed(graph, stream));
    return best / runs;
  }

 private:
  /// Runs in the first graph, which tells how many the next is to have, and graphs of which the fastest
  /// counts.
#ifdef OUTLIERLAB_CUDA_EMULATION
  static constexpr int first_runs = 1, rounds = 1;  // time is made up there
#else
  static constexpr int first_runs = 2, rounds = 2;
#endif
  static constexpr int most_runs = 500;
  /// What a graph is to take, beside which a launch counts for little.
  static constexpr double graph_seconds = 5e-4;
  /// Work before anything is timed, in which a device that rested gets to its clock.
  static constexpr double spin_seconds = 0.05;

  double timed(const Graph& graph, Stream stream) {
    graph.launch(stream);  // while it runs, what is timed gets to the device
    watch_.start(stream);
    graph.launch(stream);
    watch_.stop(stream);
    return watch_.seconds();
  }
  /// Keeps the device busy for a while, once.
  void spin(const Graph& graph, Stream stream) {
    if (warm_) return;
    warm_ = true;
    const auto start = std::chrono::steady_clock::now();
    do {
      graph.launch(stream);
      synchronize(stream);
    } while (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < spin_seconds);
  }

  Stopwatch watch_;
  bool warm_ = false;  ///< spin() has been there
};

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
