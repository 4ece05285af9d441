// Random activations and ways to cut them into tiles.
#pragma once
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/random.h"
#include "stats/statistics.h"

namespace test {

/// A float with a normal distribution (Box and Muller).
inline float normal(outlierlab::Random& random) {
  const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
  return static_cast<float>(radius * std::cos(6.283185307179586 * random.uniform()));
}

/// Rows of a token site, or of one head's scores (then with `head`).
struct Rows {
  std::size_t cols;
  int head = -1;
  std::vector<float> values;
  std::vector<outlierlab::TokenId> tokens;
};

/// Adds rows [begin, end) in one tile, through a copy with gaps between the rows.
inline void add_rows(outlierlab::SiteStatistics& statistics, const Rows& rows, std::size_t begin,
                     std::size_t end) {
  const std::size_t stride = rows.cols + 5;
  std::vector<float> copy((end - begin) * stride, NAN);
  for (std::size_t r = begin; r < end; ++r) {
    std::copy_n(rows.values.begin() + static_cast<std::ptrdiff_t>(r * rows.cols), rows.cols,
                copy.begin() + static_cast<std::ptrdiff_t>((r - begin) * stride));
  }
  statistics.add({0, copy.data(), end - begin, rows.cols, stride, rows.head, rows.tokens.data() + begin});
}

/// `examples` examples of different lengths, one channel wide, one far from zero, one constant.
inline Rows token_rows(std::size_t examples, std::size_t cols, std::uint64_t seed) {
  outlierlab::Random random(seed);
  Rows rows{cols, -1, {}, {}};
  for (std::uint32_t e = 0; e < examples; ++e) {
    const std::size_t length = 1 + random.below(23);
    for (std::uint32_t t = 0; t < length; ++t) {
      rows.tokens.push_back({e * 3 + 1, t});
      for (std::size_t c = 0; c < cols; ++c) {
        const float x = normal(random);
        rows.values.push_back(c == 1 ? 40 * x : c == 2 ? 1e4f + 1e-3f * x : c == 3 ? 0.5f : x);
      }
    }
  }
  return rows;
}

/// Scores of `examples` examples for each of `heads` heads: as many query tokens as key tokens.
inline std::vector<Rows> score_rows(std::size_t examples, std::size_t heads, std::uint64_t seed) {
  outlierlab::Random random(seed);
  std::vector<Rows> tiles;
  for (std::uint32_t e = 0; e < examples; ++e) {
    const std::size_t length = 1 + random.below(50);
    for (std::size_t h = 0; h < heads; ++h) {
      Rows rows{length, static_cast<int>(h), {}, {}};
      for (std::uint32_t q = 0; q < length; ++q) {
        rows.tokens.push_back({e, q});
        for (std::size_t k = 0; k < length; ++k) {
          rows.values.push_back(static_cast<float>(h + 1) * normal(random));
        }
      }
      tiles.push_back(std::move(rows));
    }
  }
  return tiles;
}

inline std::vector<std::size_t> shuffled(std::size_t n, outlierlab::Random& random) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

}  // namespace test
