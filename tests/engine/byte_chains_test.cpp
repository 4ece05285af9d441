#include "engine/cpu/byte_chains.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "catch.h"
#include "core/random.h"

using namespace outlierlab;
using namespace outlierlab::engine;

namespace {

/// A panel's steps whose sum of absolute values in a pair is at most `largest`.
std::vector<char> steps_with(std::size_t count, int largest) {
  Random random(count * 1000 + static_cast<std::size_t>(largest));
  std::vector<char> steps(count * panel_step_bytes);
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

/// The weights of a step of a strip, four of each column, one after the other.
using Step = std::vector<int>;

/// The largest positive or negative part of a pair of a column over consecutive steps.
int most_of(const std::vector<Step>& steps, std::size_t first, std::size_t length) {
  int most = 0;
  for (std::size_t pair = 0; pair < steps[first].size(); pair += 2) {
    int positive = 0, negative = 0;
    for (std::size_t s = first; s < first + length; ++s) {
      for (std::size_t k = 0; k < 2; ++k)
        (steps[s][pair + k] > 0 ? positive : negative) += std::abs(steps[s][pair + k]);
    }
    most = std::max({most, positive, negative});
  }
  return most;
}

Step in_order(const Step& step, std::size_t order) {
  Step ordered;
  for (std::size_t i = 0; i < step.size(); ++i)
    ordered.push_back(step[i / 4 * 4 + byte_order[order][i % 4]]);
  return ordered;
}

/// What chain_steps() has made of a strip.
struct Strip {
  ByteChains chains;
  std::vector<std::uint16_t> words;
  std::vector<Step> steps;
};

Strip strip_of(const std::vector<char>& panel, std::size_t count, std::size_t first, std::size_t columns,
               std::size_t words_apart) {
  Strip strip;
  strip.words.resize(count);
  std::vector<char> bytes(count * 8 * columns);
  strip.chains =
      chain_steps(panel.data(), count, first, columns, words_apart, strip.words.data(), bytes.data());
  const char* from = bytes.data();
  for (std::size_t i = 0; i + strip.chains.wides < count; ++i, from += 4 * columns) {
    const auto* weights = reinterpret_cast<const signed char*>(from);
    strip.steps.emplace_back(weights, weights + 4 * columns);
  }
  for (std::size_t i = 0; i < strip.chains.wides; ++i, from += 8 * columns) {
    std::vector<std::int16_t> halves(4 * columns);
    std::memcpy(halves.data(), from, 8 * columns);
    Step step(4 * columns);
    for (std::size_t c = 0; c < columns; ++c) {
      step[4 * c] = halves[2 * c];
      step[4 * c + 2] = halves[2 * c + 1];
      step[4 * c + 1] = halves[2 * columns + 2 * c];
      step[4 * c + 3] = halves[2 * columns + 2 * c + 1];
    }
    strip.steps.push_back(step);
  }
  return strip;
}

}  // namespace

TEST_CASE("Chains of byte steps keep every step once and every sum within int16", "[engine]") {
  for (const std::size_t columns : {8u, 16u}) {
    for (const std::size_t count : {0u, 1u, 2u, 3u, 4u, 5u, 96u, 97u, 768u}) {
      for (const int largest : {1, 32, 33, 60, 64, 65, 127, 128, 130, 140, 180, 254}) {
        INFO(std::to_string(count) + " steps of " + std::to_string(columns) + " columns, pairs up to " +
             std::to_string(largest));
        const std::size_t first = 16 - columns, words_apart = (count + 7) / 8 * 8;
        const std::vector<char> panel = steps_with(count, largest);
        const auto [chains, words, steps] = strip_of(panel, count, first, columns, words_apart);

        std::set<std::size_t> seen;
        bool kept_whole = true;
        int wides_at_best = 0;
        for (std::size_t i = 0; i < count; ++i) {
          const std::size_t step = words[i] % words_apart, order = words[i] / words_apart;
          REQUIRE(step < count);
          REQUIRE(order < byte_orders);
          seen.insert(step);
          const char* from = panel.data() + step * panel_step_bytes + 4 * first;
          const Step before(reinterpret_cast<const signed char*>(from),
                            reinterpret_cast<const signed char*>(from) + 4 * columns);
          kept_whole = kept_whole && steps[i] == in_order(before, order);
          int least = most_parts + 1;
          for (std::size_t o = 0; o < byte_orders; ++o) least = std::min(least, most_of({in_order(before, o)}, 0, 1));
          if (least > most_parts) ++wides_at_best;
        }
        CHECK(seen.size() == count);
        CHECK(kept_whole);
        // No order of a wide step's bytes would have done.
        CHECK(chains.wides == wides_at_best);

        std::size_t s = 0;
        int most = 0;
        for (int i = 0; i < chains.fours; ++i, s += 4) most = std::max(most, most_of(steps, s, 4));
        for (int i = 0; i < chains.pairs; ++i, s += 2) most = std::max(most, most_of(steps, s, 2));
        for (int i = 0; i < chains.singles; ++i, ++s) most = std::max(most, most_of(steps, s, 1));
        CHECK(most <= most_parts);
        CHECK(s + chains.wides == count);
        if (largest <= most_parts) CHECK(chains.wides == 0);
        // Four of a quarter each always fit.
        if (largest <= most_parts / 4) CHECK(chains.fours == count / 4);
      }
    }
  }
}

TEST_CASE("A step whose pairs would leave int16 is paired otherwise", "[engine]") {
  // 100 and 90 of one sign stand side by side; the bytes' third order puts each beside a small weight.
  std::vector<char> panel(panel_step_bytes);
  for (std::size_t c = 0; c < panel_columns; ++c) {
    const char weights[4] = {100, 90, 20, 7};
    std::copy(weights, weights + 4, panel.begin() + static_cast<std::ptrdiff_t>(4 * c));
  }
  for (const std::size_t columns : {8u, 16u}) {
    const Strip strip = strip_of(panel, 1, 0, columns, 8);
    CHECK(strip.chains.singles == 1);
    CHECK(strip.words[0] == 16);
    CHECK(Step(strip.steps[0].begin(), strip.steps[0].begin() + 4) == Step{100, 7, 90, 20});
  }
}
