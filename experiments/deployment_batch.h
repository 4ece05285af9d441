#pragma once

#include <charconv>
#include <cstddef>
#include <optional>
#include <string>

#include "core/random.h"
#include "data/batch.h"
#include "model/config.h"

namespace outlierlab {

/// The size of a batch without padding, as rows name it: "32x128".
struct BatchSize {
  std::size_t examples = 0, length = 0;
  std::size_t tokens() const { return examples * length; }
  std::string value() const { return std::to_string(examples) + "x" + std::to_string(length); }

  static constexpr std::size_t most = 4096;
  /// Of "32x128"; none where the text is anything else or a number is not within 1 to `most`.
  static std::optional<BatchSize> read(const std::string& text) {
    BatchSize size;
    const char* const end = text.data() + text.size();
    const auto [middle, first] = std::from_chars(text.data(), end, size.examples);
    if (first != std::errc() || middle == end || *middle != 'x') return std::nullopt;
    const auto [last, second] = std::from_chars(middle + 1, end, size.length);
    const auto fits = [](std::size_t n) { return n >= 1 && n <= most; };
    if (second != std::errc() || last != end || !fits(size.examples) || !fits(size.length))
      return std::nullopt;
    return size;
  }
};

/// Examples of random tokens, all of one length; the same for the same sizes.
inline Batch random_batch(const BertConfig& config, std::size_t examples, std::size_t length) {
  Random random(examples * 1000 + length);
  std::vector<EncodedExample> all(examples);
  std::vector<std::size_t> which(examples);
  for (std::size_t e = 0; e < examples; ++e) {
    which[e] = e;
    all[e].index = static_cast<std::uint32_t>(e);
    for (std::size_t t = 0; t < length; ++t) {
      all[e].token_ids.push_back(static_cast<std::int32_t>(random.below(config.vocab_size)));
      all[e].token_types.push_back(0);
    }
  }
  return make_batch(all, which);
}

}  // namespace outlierlab
