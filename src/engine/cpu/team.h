#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <utility>

namespace outlierlab::engine {

/// Threads that work on one group of rows together.
class Team {
 public:
  explicit Team(int size) : size_(size) {}
  int size() const { return size_; }

  /// Waits until all have called it. Spins for a moment, since phases are short, then gives the core away.
  void wait() {
    if (size_ == 1) return;
    const unsigned phase = phase_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
      arrived_.store(0, std::memory_order_relaxed);
      phase_.store(phase + 1, std::memory_order_release);
      return;
    }
    for (int spins = 0; phase_.load(std::memory_order_acquire) == phase; ++spins) {
      if (spins > 4000) std::this_thread::yield();
    }
  }

 private:
  const int size_;
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> phase_{0};
};

/// One thread's place in its team.
struct Member {
  Team* team;
  int rank;

  void wait() const { team->wait(); }
  /// This member's part of [0, count) in units of `unit`.
  std::pair<std::size_t, std::size_t> share(std::size_t count, std::size_t unit) const {
    const std::size_t units = (count + unit - 1) / unit, size = static_cast<std::size_t>(team->size());
    const auto r = static_cast<std::size_t>(rank);
    return {std::min(count, units * r / size * unit), std::min(count, units * (r + 1) / size * unit)};
  }
};

}  // namespace outlierlab::engine
