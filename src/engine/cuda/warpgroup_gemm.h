#pragma once

#include "engine/cuda/int8_gemm.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

/// Shared memory of a block, without what outlier_bytes() adds.
constexpr int warpgroup_bytes = 3 * (128 + 128) * 128 + 1024;
/// The product on Hopper's matrix instructions for four warps (wgmma), which take both sides from shared
/// memory. They exist on compute capability 9.0 alone, in code compiled for sm_90a (OUTLIERLAB_WARPGROUPS).
/// Segments, and the depth, in whole 128 bytes.
bool warpgroups_can(const Int8Product& product, const DeviceFacts& device);
void multiply_by_warpgroups(const Int8Product& product, Stream stream);

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
