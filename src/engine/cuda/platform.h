#pragma once

#include <cstddef>
#include <cstdint>

// The kernels of this folder are compiled twice: by nvcc for devices, and by the host's compiler over an
// emulation of blocks, warps and matrix instructions (tests/engine/cuda_emulation), so that tests execute
// them where no GPU is. Each compilation has a namespace of its own, as the instruction sets of
// src/core/simd.h have.
#ifdef OUTLIERLAB_CUDA_EMULATION
#define OUTLIERLAB_CUDA_NAMESPACE emulated
#include "emulation.h"
#else
#define OUTLIERLAB_CUDA_NAMESPACE cuda
#include "engine/cuda/instructions.h"
#endif

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

constexpr int warp_size = 32;

__host__ __device__ inline int round_up(int n, int unit) {
  return (n + unit - 1) / unit * unit;
}

/// Rows for which an integer product's left side and sums have room: cublasLt's integer kernels refuse 16
/// rows and fewer.
__host__ __device__ inline int padded_rows(int rows) {
  return round_up(rows, 32);
}

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
