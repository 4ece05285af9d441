#include "engine/cpu/byte_chains.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace outlierlab::engine {

namespace {

/// Each step looks for company among so many that follow it, which keeps packing linear.
constexpr std::size_t reach = 48;
constexpr std::size_t longest = 4;

/// Eight int16 lanes: the compiler's vectors, of a width that every x86-64 has.
using Lanes = std::int16_t __attribute__((vector_size(16)));

template <std::size_t COLUMNS>
using Step = std::array<char, 4 * COLUMNS>;

template <std::size_t COLUMNS>
Step<COLUMNS> in_order(const Step<COLUMNS>& step, const unsigned char (&order)[4]) {
  Step<COLUMNS> ordered;
  for (std::size_t i = 0; i < step.size(); ++i) ordered[i] = step[i / 4 * 4 + order[i % 4]];
  return ordered;
}

/// The positive and the negative parts of the weights of a step, or of several, in each pair of a column.
template <std::size_t COLUMNS>
class Parts {
 public:
  Parts() = default;
  explicit Parts(const Step<COLUMNS>& step) {
    for (std::size_t i = 0; i < vectors; ++i) {
      Lanes pairs;
      std::memcpy(&pairs, step.data() + i * sizeof pairs, sizeof pairs);
      const Lanes first = (pairs << 8) >> 8, second = pairs >> 8;
      positive_[i] = (first & (first > 0)) + (second & (second > 0));
      negative_[i] = -(first & (first < 0)) - (second & (second < 0));
    }
  }
  void add(const Parts& other) {
    for (std::size_t i = 0; i < vectors; ++i) {
      positive_[i] += other.positive_[i];
      negative_[i] += other.negative_[i];
    }
  }
  /// The largest part of a pair together with another step's.
  int parts_with(const Parts& other) const {
    Lanes most = {};
    for (std::size_t i = 0; i < vectors; ++i)
      most = larger(most, larger(positive_[i] + other.positive_[i], negative_[i] + other.negative_[i]));
    return largest(most);
  }
  /// The largest sum of magnitudes, likewise.
  int magnitudes_with(const Parts& other) const {
    Lanes most = {};
    for (std::size_t i = 0; i < vectors; ++i)
      most = larger(most, positive_[i] + negative_[i] + other.positive_[i] + other.negative_[i]);
    return largest(most);
  }
  /// The weights of pair `i`, two of which a column has, added up.
  int weights(std::size_t i) const { return positive_[i / 8][i % 8] - negative_[i / 8][i % 8]; }

 private:
  static constexpr std::size_t vectors = sizeof(Step<COLUMNS>) / sizeof(Lanes);

  static Lanes larger(Lanes a, Lanes b) { return a > b ? a : b; }
  static int largest(Lanes lanes) {
    lanes = larger(lanes, __builtin_shuffle(lanes, Lanes{4, 5, 6, 7, 0, 1, 2, 3}));
    lanes = larger(lanes, __builtin_shuffle(lanes, Lanes{2, 3, 0, 1, 6, 7, 4, 5}));
    return std::max(lanes[0], lanes[1]);
  }

  std::array<Lanes, vectors> positive_{}, negative_{};
};

std::size_t kind_of(std::size_t length, bool shifted) {
  std::size_t kind = 0;
  while (chain_kinds[kind].length != static_cast<int>(length) || chain_kinds[kind].shifted != shifted) ++kind;
  return kind;
}

template <std::size_t COLUMNS>
class Strip {
 public:
  Strip(const char* panel, std::size_t count, std::size_t first)
      : steps_(count), choices_(count), taken_(count) {
    for (std::size_t s = 0; s < count; ++s) {
      std::memcpy(steps_[s].data(), panel + s * panel_step_bytes + 4 * first, sizeof steps_[s]);
      for (std::size_t o = 0; o < byte_orders; ++o) {
        const Parts<COLUMNS> parts(in_order<COLUMNS>(steps_[s], byte_order[o]));
        choices_[s][o] = {parts, parts.parts_with({}) <= most_parts};
      }
    }
    for (std::size_t s = 0; s < count; ++s) {
      if (!taken_[s]) find_chain(s);
    }
  }

  ByteChains write(std::size_t words_apart, std::uint16_t* words, std::int32_t* start, char* target) const {
    ByteChains result = {};
    std::fill(start, start + COLUMNS, 0);
    for (std::size_t kind = 0; kind < chain_kind_count; ++kind) {
      const auto length = static_cast<std::size_t>(chain_kinds[kind].length);
      const std::vector<Placed>& found = found_[kind];
      result.count[kind] = static_cast<std::uint16_t>(found.size() / length);
      for (std::size_t i = 0; i < found.size(); ++i) {
        if (chain_kinds[kind].shifted && i % length == 0) {
          write_shift(&found[i], length, start, target);
          target += sizeof(Step<COLUMNS>);
        }
        const Step<COLUMNS> step = in_order<COLUMNS>(steps_[found[i].step], byte_order[found[i].order]);
        std::memcpy(target, step.data(), sizeof step);
        target += sizeof step;
        *words++ = static_cast<std::uint16_t>(found[i].order * words_apart + found[i].step);
      }
    }
    result.wides = static_cast<std::uint16_t>(wides_.size());
    for (const std::size_t s : wides_) {
      std::array<std::int16_t, 4 * COLUMNS> wide;
      for (std::size_t b = 0; b < wide.size(); ++b)
        wide[b % 2 * 2 * COLUMNS + b / 2] = static_cast<signed char>(steps_[s][b]);
      std::memcpy(target, wide.data(), sizeof wide);
      target += sizeof wide;
      *words++ = static_cast<std::uint16_t>(s);
    }
    return result;
  }

 private:
  /// A step with its bytes in one order, and whether no pair of its products can leave int16.
  struct Choice {
    Parts<COLUMNS> parts;
    bool fits;
  };
  struct Placed {
    std::size_t step, order;
  };
  using Measure = int (Parts<COLUMNS>::*)(const Parts<COLUMNS>&) const;

  void find_chain(std::size_t s) {
    std::vector<Placed> chain = grow(s, &Parts<COLUMNS>::parts_with, most_parts);
    if (chain.empty()) {
      wides_.push_back(s);
      return;
    }
    bool shifted = false;
    if (chain.size() < longest) {
      const std::vector<Placed> other = grow(s, &Parts<COLUMNS>::magnitudes_with, most_magnitudes);
      shifted = other.size() > chain.size();
      if (shifted) chain = other;
    }
    for (const Placed& placed : chain) taken_[placed.step] = true;
    std::vector<Placed>& list = found_[kind_of(chain.size(), shifted)];
    list.insert(list.end(), chain.begin(), chain.end());
  }

  /// Step s and up to three of the steps behind it, as long as what `measure` tells of them all is within the
  /// limit; none if no order of s's bytes is.
  std::vector<Placed> grow(std::size_t s, Measure measure, int limit) const {
    std::vector<Placed> chain;
    Parts<COLUMNS> sum;
    for (std::size_t t = s; t < steps_.size() && t < s + reach && chain.size() < longest; ++t) {
      if (taken_[t]) continue;
      int least = limit + 1;
      std::size_t order = 0;
      for (std::size_t o = 0; o < byte_orders; ++o) {
        if (!choices_[t][o].fits) continue;
        const int most = (choices_[t][o].parts.*measure)(sum);
        if (most < least) {
          least = most;
          order = o;
        }
      }
      if (least <= limit) {
        sum.add(choices_[t][order].parts);
        chain.push_back({t, order});
      } else if (t == s) {
        break;
      }
    }
    return chain;
  }

  void write_shift(const Placed* chain, std::size_t length, std::int32_t* start, char* target) const {
    std::array<std::int16_t, 2 * COLUMNS> shift;
    for (std::size_t pair = 0; pair < shift.size(); ++pair) {
      int weights = 0;
      for (std::size_t i = 0; i < length; ++i)
        weights += choices_[chain[i].step][chain[i].order].parts.weights(pair);
      shift[pair] = static_cast<std::int16_t>(-128 * weights);
      start[pair / 2] += 128 * weights;
    }
    std::memcpy(target, shift.data(), sizeof shift);
  }

  std::vector<Step<COLUMNS>> steps_;
  std::vector<std::array<Choice, byte_orders>> choices_;
  std::vector<bool> taken_;
  std::array<std::vector<Placed>, chain_kind_count> found_;
  std::vector<std::size_t> wides_;
};

}  // namespace

ByteChains chain_steps(const char* panel, std::size_t count, std::size_t first, std::size_t columns,
                       std::size_t words_apart, std::uint16_t* words, std::int32_t* start, char* steps) {
  return columns == panel_columns ? Strip<16>(panel, count, first).write(words_apart, words, start, steps)
                                  : Strip<8>(panel, count, first).write(words_apart, words, start, steps);
}

}  // namespace outlierlab::engine
