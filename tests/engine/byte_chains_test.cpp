#include "engine/cpu/byte_chains.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "catch.h"
#include "core/random.h"

using namespace outlierlab;
using namespace outlierlab::engine;

namespace {

/// Weights whose sum of absolute values in a pair is at most `largest`.
std::vector<char> steps_with(std::size_t count, int largest) {
  Random random(count * 1000 + static_cast<std::size_t>(largest));
  std::vector<char> steps(count * byte_step_bytes);
  for (std::size_t i = 0; i < steps.size(); i += 2) {
    int left = largest;
    for (std::size_t k = 0; k < 2; ++k) {
      const int any = static_cast<int>(random.below(static_cast<std::uint64_t>(2 * left + 1))) - left;
      const int weight = std::clamp(any, -127, 127);
      steps[i + k] = static_cast<char>(weight);
      left -= std::abs(weight);
    }
  }
  return steps;
}

/// The largest positive or negative part of a pair of a column over consecutive steps.
int most_of(const std::vector<char>& steps, std::size_t first, std::size_t length) {
  int most = 0;
  for (std::size_t pair = 0; pair < byte_step_bytes; pair += 2) {
    int positive = 0, negative = 0;
    for (std::size_t s = first; s < first + length; ++s) {
      for (std::size_t k = 0; k < 2; ++k) {
        const int weight = static_cast<signed char>(steps[s * byte_step_bytes + pair + k]);
        (weight > 0 ? positive : negative) += std::abs(weight);
      }
    }
    most = std::max({most, positive, negative});
  }
  return most;
}

}  // namespace

TEST_CASE("Chains of byte steps keep every step once and every sum within int16", "[engine]") {
  for (const std::size_t count : {0u, 1u, 2u, 3u, 4u, 5u, 96u, 97u, 768u}) {
    for (const int largest : {1, 32, 33, 60, 64, 65, 127, 128, 130, 140, 254}) {
      INFO(std::to_string(count) + " steps of pairs up to " + std::to_string(largest));
      const std::vector<char> before = steps_with(count, largest);
      std::vector<char> steps = before;
      std::vector<std::uint16_t> words(count);
      const ByteChains chains = chain_steps(steps.data(), count, words.data());

      CHECK(std::set<std::uint16_t>(words.begin(), words.end()).size() == count);
      bool moved_whole = true;
      for (std::size_t s = 0; s < count; ++s) {
        REQUIRE(words[s] < count);
        moved_whole =
            moved_whole && std::equal(steps.begin() + static_cast<std::ptrdiff_t>(s * byte_step_bytes),
                                      steps.begin() + static_cast<std::ptrdiff_t>((s + 1) * byte_step_bytes),
                                      before.begin() + words[s] * static_cast<int>(byte_step_bytes));
      }
      CHECK(moved_whole);

      std::size_t s = 0;
      int most = 0;
      for (int i = 0; i < chains.fours; ++i, s += 4) most = std::max(most, most_of(steps, s, 4));
      for (int i = 0; i < chains.pairs; ++i, s += 2) most = std::max(most, most_of(steps, s, 2));
      for (int i = 0; i < chains.singles; ++i, ++s) most = std::max(most, most_of(steps, s, 1));
      CHECK(most <= most_parts);
      for (int i = 0; i < chains.wides; ++i, ++s) CHECK(most_of(steps, s, 1) > most_parts);
      CHECK(s == count);
      if (largest <= most_parts) CHECK(chains.wides == 0);
      // Four of a quarter each always fit; of two that may be full, hardly ever all 32 do.
      if (largest <= most_parts / 4) CHECK(chains.fours == count / 4);
      if (largest >= most_parts) CHECK(chains.fours == 0);
    }
  }
}
