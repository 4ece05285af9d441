#include "core/parallel.h"

#include <atomic>
#include <vector>

#include "catch.h"
#include "core/random.h"

using namespace outlierlab;

TEST_CASE("parallel_chunks covers every item once, for any number of threads", "[parallel]") {
  for (const int count : {1, 2, 3, 8}) {
    set_threads(count);
    for (const std::size_t items : {0, 1, 7, 64, 1000}) {
      for (const std::size_t chunk : {1, 3, 64, 5000}) {
        std::vector<std::atomic<int>> seen(items);
        parallel_chunks(items, chunk, [&](std::size_t begin, std::size_t end, int thread) {
          if (thread < 0 || thread >= count || end - begin > chunk) throw Error("wrong chunk");
          for (std::size_t i = begin; i < end; ++i) ++seen[i];
        });
        REQUIRE(std::all_of(seen.begin(), seen.end(), [](const auto& times) { return times == 1; }));
      }
    }
  }
  set_threads(0);
}

TEST_CASE("parallel_phases takes each chunk through its phases in order, on one thread", "[parallel]") {
  for (const int count : {1, 2, 3, 8}) {
    set_threads(count);
    for (const std::size_t items : {0, 1, 7, 64, 1000}) {
      for (const std::size_t chunk : {1, 3, 64, 5000}) {
        std::vector<int> phases_seen(items), thread_of(items, -1);
        const auto phase = [&](int number) {
          return [&, number](std::size_t begin, std::size_t end, int thread) {
            for (std::size_t i = begin; i < end; ++i) {
              const bool same_thread = number == 0 || thread_of[i] == thread;
              if (phases_seen[i] != number || !same_thread) throw Error("wrong order or thread");
              phases_seen[i] = number + 1;
              thread_of[i] = thread;
            }
          };
        };
        parallel_phases(items, chunk, {phase(0), phase(1), phase(2)});
        REQUIRE(std::all_of(phases_seen.begin(), phases_seen.end(), [](int seen) { return seen == 3; }));
      }
    }
  }
  set_threads(0);
}

TEST_CASE("An exception of a body reaches the caller", "[parallel]") {
  set_threads(2);
  REQUIRE_ERROR(parallel_chunks(100, 1,
                                [](std::size_t begin, std::size_t, int) {
                                  if (begin == 57) throw Error("item 57");
                                }),
                "item 57");
  set_threads(0);
}

TEST_CASE("The generator's draws are pinned", "[random]") {
  Random random(42);
  // SplitMix64 of its first state, computed independently.
  REQUIRE(mix64(0) == 0xe220a8397b1dcdafull);
  REQUIRE(random.next() == 0x57e1faba65107204ull);
  std::vector<int> counts(10);
  for (int i = 0; i < 100000; ++i) ++counts[random.below(10)];
  for (const int count : counts) REQUIRE(count == Approx(10000).margin(500));
}
