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

/// What chains add up, over consecutive steps: the largest positive or negative part of a pair of a column,
/// and the largest sum of magnitudes.
struct Most {
  int parts = 0, magnitudes = 0;
};
Most most_of(const std::vector<Step>& steps, std::size_t first, std::size_t length) {
  Most most;
  for (std::size_t pair = 0; length > 0 && pair < steps[first].size(); pair += 2) {
    int positive = 0, negative = 0;
    for (std::size_t s = first; s < first + length; ++s) {
      for (std::size_t k = 0; k < 2; ++k)
        (steps[s][pair + k] > 0 ? positive : negative) += std::abs(steps[s][pair + k]);
    }
    most.parts = std::max({most.parts, positive, negative});
    most.magnitudes = std::max(most.magnitudes, positive + negative);
  }
  return most;
}

Step in_order(const Step& step, std::size_t order) {
  Step ordered;
  for (std::size_t i = 0; i < step.size(); ++i) ordered.push_back(step[i / 4 * 4 + byte_order[order][i % 4]]);
  return ordered;
}

/// What chain_steps() has made of a strip.
struct Strip {
  ByteChains chains;
  std::vector<std::uint16_t> words;
  std::vector<std::int32_t> start;
  std::vector<Step> steps;
  std::vector<std::vector<std::int16_t>> shifts;
};

Strip strip_of(const std::vector<char>& panel, std::size_t count, std::size_t first, std::size_t columns,
               std::size_t words_apart) {
  Strip strip;
  strip.words.resize(count);
  strip.start.resize(columns);
  std::vector<char> bytes(strip_room(count, columns));
  strip.chains = chain_steps(panel.data(), count, first, columns, words_apart, strip.words.data(),
                             strip.start.data(), bytes.data());
  const char* from = bytes.data();
  for (std::size_t kind = 0; kind < chain_kind_count; ++kind) {
    for (int i = 0; i < strip.chains.count[kind]; ++i) {
      if (chain_kinds[kind].shifted) {
        strip.shifts.emplace_back(2 * columns);
        std::memcpy(strip.shifts.back().data(), from, 4 * columns);
        from += 4 * columns;
      }
      for (int k = 0; k < chain_kinds[kind].length; ++k, from += 4 * columns) {
        const auto* weights = reinterpret_cast<const signed char*>(from);
        strip.steps.emplace_back(weights, weights + 4 * columns);
      }
    }
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
  REQUIRE(from <= bytes.data() + bytes.size());
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
        const Strip strip = strip_of(panel, count, first, columns, words_apart);

        std::set<std::size_t> seen;
        bool kept_whole = true;
        int wides_at_best = 0;
        for (std::size_t i = 0; i < count; ++i) {
          const std::size_t step = strip.words[i] % words_apart, order = strip.words[i] / words_apart;
          REQUIRE(step < count);
          REQUIRE(order < byte_orders);
          seen.insert(step);
          const char* from = panel.data() + step * panel_step_bytes + 4 * first;
          const Step before(reinterpret_cast<const signed char*>(from),
                            reinterpret_cast<const signed char*>(from) + 4 * columns);
          kept_whole = kept_whole && strip.steps[i] == in_order(before, order);
          int least = most_parts + 1;
          for (std::size_t o = 0; o < byte_orders; ++o)
            least = std::min(least, most_of({in_order(before, o)}, 0, 1).parts);
          if (least > most_parts) ++wides_at_best;
        }
        CHECK(seen.size() == count);
        CHECK(kept_whole);
        // No order of a wide step's bytes would have done.
        CHECK(strip.chains.wides == wides_at_best);

        std::size_t s = 0, shifts = 0;
        Most of_one, of_plain, of_shifted;
        std::vector<std::int32_t> start(columns);
        bool shifts_right = true;
        for (std::size_t kind = 0; kind < chain_kind_count; ++kind) {
          const auto length = static_cast<std::size_t>(chain_kinds[kind].length);
          for (int i = 0; i < strip.chains.count[kind]; ++i, s += length) {
            for (std::size_t k = 0; k < length; ++k)
              of_one.parts = std::max(of_one.parts, most_of(strip.steps, s + k, 1).parts);
            const Most here = most_of(strip.steps, s, length);
            if (!chain_kinds[kind].shifted) {
              of_plain.parts = std::max(of_plain.parts, here.parts);
              continue;
            }
            of_shifted.magnitudes = std::max(of_shifted.magnitudes, here.magnitudes);
            for (std::size_t pair = 0; pair < 2 * columns; ++pair) {
              int weights = 0;
              for (std::size_t k = 0; k < length; ++k)
                weights += strip.steps[s + k][2 * pair] + strip.steps[s + k][2 * pair + 1];
              shifts_right = shifts_right && strip.shifts[shifts][pair] == -128 * weights;
              start[pair / 2] += 128 * weights;
            }
            ++shifts;
          }
        }
        CHECK(of_one.parts <= most_parts);
        CHECK(of_plain.parts <= most_parts);
        CHECK(of_shifted.magnitudes <= most_magnitudes);
        CHECK(shifts_right);
        CHECK(strip.start == start);
        CHECK(s + strip.chains.wides == count);
        if (largest <= most_parts) CHECK(strip.chains.wides == 0);
        // Four of a quarter each always fit.
        if (largest <= most_parts / 4) CHECK(strip.chains.count[0] == count / 4);
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
    CHECK(strip.chains.count[chain_kind_count - 1] == 1);
    CHECK(strip.words[0] == 16);
    CHECK(Step(strip.steps[0].begin(), strip.steps[0].begin() + 4) == Step{100, 7, 90, 20});
  }
}
