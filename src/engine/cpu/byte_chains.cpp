#include "engine/cpu/byte_chains.h"

#include <array>
#include <cstring>
#include <vector>

namespace outlierlab::engine {

namespace {

/// Each step looks for company among so many that follow it, which keeps packing linear.
constexpr std::size_t reach = 48;

/// Eight int16 lanes: the compiler's vectors, of a width that every x86-64 has.
using Lanes = std::int16_t __attribute__((vector_size(16)));

/// The positive and the negative parts of the weights of a step, or of several, in each pair of a column.
class Parts {
 public:
  Parts() = default;
  explicit Parts(const char* step) {
    for (std::size_t i = 0; i < vectors; ++i) {
      Lanes pairs;
      std::memcpy(&pairs, step + i * sizeof pairs, sizeof pairs);
      const Lanes first = (pairs << 8) >> 8, second = pairs >> 8;
      positive_[i] = (first & (first > 0)) + (second & (second > 0));
      negative_[i] = -(first & (first < 0)) - (second & (second < 0));
    }
  }
  bool can_take(const Parts& other) const {
    Lanes over = {};
    for (std::size_t i = 0; i < vectors; ++i) {
      over |= positive_[i] + other.positive_[i] > most_parts;
      over |= negative_[i] + other.negative_[i] > most_parts;
    }
    std::uint64_t halves[2];
    std::memcpy(halves, &over, sizeof over);
    return (halves[0] | halves[1]) == 0;
  }
  void take(const Parts& other) {
    for (std::size_t i = 0; i < vectors; ++i) {
      positive_[i] += other.positive_[i];
      negative_[i] += other.negative_[i];
    }
  }

 private:
  static constexpr std::size_t vectors = byte_step_bytes / sizeof(Lanes);
  std::array<Lanes, vectors> positive_{}, negative_{};
};

}  // namespace

ByteChains chain_steps(char* steps, std::size_t count, std::uint16_t* words) {
  std::vector<Parts> parts;
  parts.reserve(count);
  for (std::size_t s = 0; s < count; ++s) parts.emplace_back(steps + s * byte_step_bytes);

  std::vector<bool> taken(count);
  std::vector<std::size_t> order, pairs, singles, wides;
  for (std::size_t s = 0; s < count; ++s) {
    if (Parts().can_take(parts[s])) continue;
    wides.push_back(s);
    taken[s] = true;
  }
  for (std::size_t s = 0; s < count; ++s) {
    if (taken[s]) continue;
    std::array<std::size_t, 4> chain = {s};
    std::size_t length = 1;
    Parts sum = parts[s];
    for (std::size_t t = s + 1; t < count && t < s + reach && length < chain.size(); ++t) {
      if (taken[t] || !sum.can_take(parts[t])) continue;
      sum.take(parts[t]);
      chain[length++] = t;
    }
    if (length == 3) length = 2;
    for (std::size_t i = 0; i < length; ++i) taken[chain[i]] = true;
    std::vector<std::size_t>& list = length == 4 ? order : length == 2 ? pairs : singles;
    list.insert(list.end(), chain.begin(), chain.begin() + static_cast<std::ptrdiff_t>(length));
  }
  const ByteChains chains = {
      static_cast<std::uint16_t>(order.size() / 4), static_cast<std::uint16_t>(pairs.size() / 2),
      static_cast<std::uint16_t>(singles.size()), static_cast<std::uint16_t>(wides.size())};
  for (const std::vector<std::size_t>* list : {&pairs, &singles, &wides})
    order.insert(order.end(), list->begin(), list->end());

  const std::vector<char> before(steps, steps + count * byte_step_bytes);
  for (std::size_t i = 0; i < count; ++i) {
    std::memcpy(steps + i * byte_step_bytes, before.data() + order[i] * byte_step_bytes, byte_step_bytes);
    words[i] = static_cast<std::uint16_t>(order[i]);
  }
  return chains;
}

}  // namespace outlierlab::engine
