#include "core/parallel.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "catch.h"
#include "core/error.h"
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
        struct Step {
          int phase;
          std::size_t begin, end;
        };
        std::vector<std::vector<Step>> steps(static_cast<std::size_t>(count));
        const auto phase = [&](int number) {
          return [&, number](std::size_t begin, std::size_t end, int thread) {
            steps.at(static_cast<std::size_t>(thread)).push_back({number, begin, end});
          };
        };
        parallel_phases(items, chunk, {phase(0), phase(1), phase(2)});
        std::vector<int> seen(items);
        for (const std::vector<Step>& of_thread : steps) {
          REQUIRE(of_thread.size() % 3 == 0);
          const std::size_t chunks = of_thread.size() / 3;
          for (std::size_t i = 0; i < of_thread.size(); ++i) {
            const Step &step = of_thread[i], &first = of_thread[i % chunks];
            REQUIRE(step.phase == static_cast<int>(i / chunks));
            REQUIRE(step.begin == first.begin);
            REQUIRE(step.end - step.begin <= chunk);
            for (std::size_t item = step.begin; item < step.end; ++item) ++seen[item];
          }
        }
        REQUIRE(std::all_of(seen.begin(), seen.end(), [](int times) { return times == 3; }));
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
  const auto fine = [](std::size_t, std::size_t, int) {};
  const auto fails = [](std::size_t begin, std::size_t, int) {
    if (begin == 57) throw Error("item 57");
  };
  REQUIRE_ERROR(parallel_phases(100, 1, {fine, fails, fine}), "item 57");
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
