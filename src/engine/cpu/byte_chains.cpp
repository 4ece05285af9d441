#include "engine/cpu/byte_chains.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace outlierlab::engine {

namespace {

/// Each step looks for company among so many that follow it, which keeps packing linear.
constexpr std::size_t reach = 48;

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
      parts_[i] = (first & (first > 0)) + (second & (second > 0));
      parts_[vectors + i] = -(first & (first < 0)) - (second & (second < 0));
    }
  }
  /// The largest with those of another step.
  int most_with(const Parts& other) const {
    Lanes most = parts_[0] + other.parts_[0];
    for (std::size_t i = 1; i < 2 * vectors; ++i) {
      const Lanes sum = parts_[i] + other.parts_[i], larger = sum > most;
      most = (sum & larger) | (most & ~larger);
    }
    int result = 0;
    for (std::size_t lane = 0; lane < 8; ++lane) result = std::max(result, static_cast<int>(most[lane]));
    return result;
  }
  void take(const Parts& other) {
    for (std::size_t i = 0; i < 2 * vectors; ++i) parts_[i] += other.parts_[i];
  }

 private:
  static constexpr std::size_t vectors = sizeof(Step<COLUMNS>) / sizeof(Lanes);
  std::array<Lanes, 2 * vectors> parts_{};
};

/// The parts of one step in each order of its bytes.
template <std::size_t COLUMNS>
struct Candidates {
  std::array<Parts<COLUMNS>, byte_orders> orders;

  /// The order that adds least to `sum`'s largest part, and that part.
  std::pair<std::size_t, int> best(const Parts<COLUMNS>& sum) const {
    std::pair<std::size_t, int> least = {0, orders[0].most_with(sum)};
    for (std::size_t o = 1; o < byte_orders; ++o) {
      const int most = orders[o].most_with(sum);
      if (most < least.second) least = {o, most};
    }
    return least;
  }
};

struct Placed {
  std::size_t step, order;
};

template <std::size_t COLUMNS>
ByteChains chain(const char* panel, std::size_t count, std::size_t first, std::size_t words_apart,
                 std::uint16_t* words, char* target) {
  std::vector<Step<COLUMNS>> steps(count);
  std::vector<Candidates<COLUMNS>> candidates(count);
  for (std::size_t s = 0; s < count; ++s) {
    std::memcpy(steps[s].data(), panel + s * panel_step_bytes + 4 * first, sizeof steps[s]);
    for (std::size_t o = 0; o < byte_orders; ++o)
      candidates[s].orders[o] = Parts<COLUMNS>(in_order<COLUMNS>(steps[s], byte_order[o]));
  }

  std::vector<bool> taken(count);
  std::vector<Placed> order, pairs, singles, wides;
  std::vector<std::size_t> alone(count);  // the order that serves a step best by itself
  for (std::size_t s = 0; s < count; ++s) {
    const auto [best, most] = candidates[s].best({});
    alone[s] = best;
    if (most <= most_parts) continue;
    wides.push_back({s, 0});
    taken[s] = true;
  }
  for (std::size_t s = 0; s < count; ++s) {
    if (taken[s]) continue;
    std::array<Placed, 4> links = {{{s, alone[s]}}};
    std::size_t length = 1;
    Parts<COLUMNS> sum = candidates[s].orders[alone[s]];
    for (std::size_t t = s + 1; t < count && t < s + reach && length < links.size(); ++t) {
      if (taken[t]) continue;
      const auto [best, most] = candidates[t].best(sum);
      if (most > most_parts) continue;
      sum.take(candidates[t].orders[best]);
      links[length++] = {t, best};
    }
    if (length == 3) length = 2;
    for (std::size_t i = 0; i < length; ++i) taken[links[i].step] = true;
    std::vector<Placed>& list = length == 4 ? order : length == 2 ? pairs : singles;
    list.insert(list.end(), links.begin(), links.begin() + static_cast<std::ptrdiff_t>(length));
  }
  const ByteChains chains = {
      static_cast<std::uint16_t>(order.size() / 4), static_cast<std::uint16_t>(pairs.size() / 2),
      static_cast<std::uint16_t>(singles.size()), static_cast<std::uint16_t>(wides.size())};
  for (const std::vector<Placed>* list : {&pairs, &singles, &wides})
    order.insert(order.end(), list->begin(), list->end());

  for (std::size_t i = 0; i < count; ++i) {
    words[i] = static_cast<std::uint16_t>(order[i].order * words_apart + order[i].step);
    const Step<COLUMNS> step = in_order<COLUMNS>(steps[order[i].step], byte_order[order[i].order]);
    if (i < count - wides.size()) {
      std::memcpy(target, step.data(), sizeof step);
      target += sizeof step;
      continue;
    }
    std::array<std::int16_t, 4 * COLUMNS> wide;
    for (std::size_t b = 0; b < step.size(); ++b)
      wide[b % 2 * 2 * COLUMNS + b / 2] = static_cast<signed char>(step[b]);
    std::memcpy(target, wide.data(), sizeof wide);
    target += sizeof wide;
  }
  return chains;
}

}  // namespace

ByteChains chain_steps(const char* panel, std::size_t count, std::size_t first, std::size_t columns,
                       std::size_t words_apart, std::uint16_t* words, char* steps) {
  return columns == panel_columns ? chain<16>(panel, count, first, words_apart, words, steps)
                                  : chain<8>(panel, count, first, words_apart, words, steps);
}

}  // namespace outlierlab::engine
