#pragma once

#include "data/batch.h"
#include "engine/executor.h"

namespace outlierlab {

/// A batch as the engine takes it; valid as long as the batch.
inline engine::Tokens tokens_of(const Batch& batch) {
  return {batch.token_ids.data(), batch.token_types.data(), batch.positions.data(), batch.offsets.data(),
          batch.size()};
}

}  // namespace outlierlab
