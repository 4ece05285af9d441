#pragma once

#include "core/random.h"
#include "data/batch.h"
#include "model/config.h"

namespace outlierlab {

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
