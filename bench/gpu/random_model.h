// Networks with random weights and plausible grids, for timing where no packed model is at hand.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/executor.h"
#include "engine/model.h"

namespace outlierlab::engine::bench {

/// Examples of given lengths with random tokens.
struct RandomTokens {
  std::vector<std::int32_t> ids, positions;
  std::vector<std::uint8_t> types;
  std::vector<std::size_t> offsets = {0};

  RandomTokens(const Shape& shape, const std::vector<std::size_t>& lengths, std::uint64_t seed);
  Tokens view() const {
    return {ids.data(), types.data(), positions.data(), offsets.data(), offsets.size() - 1};
  }
};

/// "bert-base", "bert-large" or "minilm" (6 layers of 384).
Shape shape_named(const std::string& name);

/// A float network: weights as after training in their spread, a few loud channels in the feed-forward
/// output.
std::shared_ptr<const Model> random_float_model(const Shape& shape, std::uint64_t seed);

/// The same network without codes: weights as the floats that their codes stand for, no site quantized.
std::shared_ptr<const Model> without_codes(const Model& model);

/// Smallest and largest value of each channel (head, for scores and probabilities) of each site.
struct SiteRanges {
  std::vector<std::vector<float>> low, high;
};
SiteRanges ranges_of(const std::shared_ptr<const Model>& floats, const Tokens& tokens);

/// The schemes that quantized() knows, named as in configs/schemes.
const std::vector<std::string>& scheme_names();
/// A float network with 8-bit weights, and sites on min-max grids as the scheme has it.
std::shared_ptr<const Model> quantized(const Model& floats, const SiteRanges& ranges,
                                       const std::string& scheme);

}  // namespace outlierlab::engine::bench
