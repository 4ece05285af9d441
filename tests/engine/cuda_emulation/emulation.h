#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/error.h"
#include "fibers.h"
#include "model/half.h"

// Kernels carry `#pragma unroll`.
#pragma GCC diagnostic ignored "-Wunknown-pragmas"

// CUDA's language and instructions (engine/cuda/instructions.h) for the host's compiler.

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
#define __syncthreads() ::outlierlab::engine::emulated::block_barrier()
#define threadIdx ::outlierlab::engine::emulated::current_thread
#define blockIdx ::outlierlab::engine::emulated::current_block
#define blockDim ::outlierlab::engine::emulated::current_block_size
#define gridDim ::outlierlab::engine::emulated::current_grid

namespace outlierlab::engine::emulated {

struct alignas(16) uint4 {
  std::uint32_t x, y, z, w;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) ushort4 {
  std::uint16_t x, y, z, w;
};
struct alignas(4) char4 {
  signed char x, y, z, w;
};
inline uint4 make_uint4(std::uint32_t x, std::uint32_t y, std::uint32_t z, std::uint32_t w) { return {x, y, z, w}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline ushort4 make_ushort4(std::uint16_t x, std::uint16_t y, std::uint16_t z, std::uint16_t w) { return {x, y, z, w}; }

struct Grid3 {
  unsigned x = 1, y = 1, z = 1;
};

template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), Grid3 grid, int threads, std::size_t shared, void*,
            const Arguments&... arguments) {
  run_grid(name, {grid.x, grid.y, grid.z}, threads, shared, [&] { kernel(arguments...); });
}

inline unsigned char* shared_memory() { return block_memory(); }

inline void require_aligned(const void* p, std::size_t bytes, const char* what) {
  if (reinterpret_cast<std::uintptr_t>(p) % bytes != 0)
    fail_expected(what, "an address that is a multiple of " + std::to_string(bytes), "another");
}

// --- Matrix instructions, as the PTX manual lays out their fragments -------------------------------------------------

struct Int8Operands {
  std::int32_t* d;
  const std::uint32_t *a, *b;
};

/// mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32
inline void execute_mma_int8(void* const (&lanes)[32]) {
  std::int8_t a[16][32], b[8][32];
  for (int lane = 0; lane < 32; ++lane) {
    const auto& o = *static_cast<const Int8Operands*>(lanes[lane]);
    for (int i = 0; i < 4; ++i) std::memcpy(&a[lane / 4 + i % 2 * 8][lane % 4 * 4 + i / 2 * 16], &o.a[i], 4);
    for (int i = 0; i < 2; ++i) std::memcpy(&b[lane / 4][lane % 4 * 4 + i * 16], &o.b[i], 4);
  }
  for (int lane = 0; lane < 32; ++lane) {
    const auto& o = *static_cast<const Int8Operands*>(lanes[lane]);
    for (int i = 0; i < 4; ++i) {
      const std::int8_t *row = a[lane / 4 + i / 2 * 8], *column = b[lane % 4 * 2 + i % 2];
      std::int32_t sum = 0;
      for (int k = 0; k < 32; ++k) sum += row[k] * column[k];
      o.d[i] += sum;
    }
  }
}

inline void mma_int8(std::int32_t (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  Int8Operands operands = {d, a, b};
  warp_instruction(execute_mma_int8, &operands);
}

struct RealOperands {
  float* d;
  const std::uint32_t *a, *b;
};

/// mma.sync.aligned.m16n8k16.row.col.f32 of .f16 or .bf16
template <bool BFLOAT16>
void execute_mma_real(void* const (&lanes)[32]) {
  std::uint16_t a[16][16], b[8][16];
  for (int lane = 0; lane < 32; ++lane) {
    const auto& o = *static_cast<const RealOperands*>(lanes[lane]);
    for (int i = 0; i < 4; ++i) std::memcpy(&a[lane / 4 + i % 2 * 8][lane % 4 * 2 + i / 2 * 8], &o.a[i], 4);
    for (int i = 0; i < 2; ++i) std::memcpy(&b[lane / 4][lane % 4 * 2 + i * 8], &o.b[i], 4);
  }
  const auto value = [](std::uint16_t bits) { return BFLOAT16 ? bf16_to_float(bits) : f16_to_float(bits); };
  for (int lane = 0; lane < 32; ++lane) {
    const auto& o = *static_cast<const RealOperands*>(lanes[lane]);
    for (int i = 0; i < 4; ++i) {
      for (int k = 0; k < 16; ++k) o.d[i] += value(a[lane / 4 + i / 2 * 8][k]) * value(b[lane % 4 * 2 + i % 2][k]);
    }
  }
}

template <bool BFLOAT16>
void mma_real(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  RealOperands operands = {d, a, b};
  warp_instruction(execute_mma_real<BFLOAT16>, &operands);
}

struct LoadOperands {
  std::uint32_t* r;
  const unsigned char* row;
};

/// ldmatrix.sync.aligned.m8n8.x4[.trans].shared.b16
template <bool TRANSPOSED>
void execute_load_matrices(void* const (&lanes)[32]) {
  for (int matrix = 0; matrix < 4; ++matrix) {
    std::uint16_t m[8][8];
    for (int row = 0; row < 8; ++row) {
      const unsigned char* from = static_cast<const LoadOperands*>(lanes[8 * matrix + row])->row;
      require_aligned(from, 16, "ldmatrix");
      std::memcpy(m[row], from, 16);
    }
    for (int lane = 0; lane < 32; ++lane) {
      std::uint16_t two[2];
      for (int i = 0; i < 2; ++i)
        two[i] = TRANSPOSED ? m[lane % 4 * 2 + i][lane / 4] : m[lane / 4][lane % 4 * 2 + i];
      std::memcpy(&static_cast<const LoadOperands*>(lanes[lane])->r[matrix], two, 4);
    }
  }
}

inline void load_matrices(std::uint32_t (&r)[4], const void* row) {
  LoadOperands operands = {r, static_cast<const unsigned char*>(row)};
  warp_instruction(execute_load_matrices<false>, &operands);
}
inline void load_matrices_transposed(std::uint32_t (&r)[4], const void* row) {
  LoadOperands operands = {r, static_cast<const unsigned char*>(row)};
  warp_instruction(execute_load_matrices<true>, &operands);
}

inline void copy_async(void* shared, const void* global) {
  require_aligned(shared, 16, "cp.async to shared memory");
  require_aligned(global, 16, "cp.async from global memory");
  start_copy(shared, global);
}
inline void commit_copies() { commit_started_copies(); }
template <int PENDING>
void wait_copies() {
  wait_for_copies(PENDING);
}

template <typename T>
struct XorOperands {
  T value, result;
  int mask;
};

template <typename T>
void execute_xor(void* const (&lanes)[32]) {
  for (int lane = 0; lane < 32; ++lane) {
    auto* mine = static_cast<XorOperands<T>*>(lanes[lane]);
    mine->result = static_cast<const XorOperands<T>*>(lanes[lane ^ mine->mask])->value;
  }
}

template <typename T>
T from_lane_xor(T value, int mask) {
  XorOperands<T> operands = {value, value, mask};
  warp_instruction(execute_xor<T>, &operands);
  return operands.result;
}

inline void execute_nothing(void* const (&)[32]) {}
inline void sync_warp() { warp_instruction(execute_nothing, nullptr); }

inline std::int32_t dot_bytes(std::uint32_t a, std::uint32_t b, std::int32_t c) {
  for (int i = 0; i < 4; ++i)
    c += static_cast<std::int8_t>(a >> (8 * i) & 255u) * static_cast<std::int8_t>(b >> (8 * i) & 255u);
  return c;
}

inline void add_atomically(std::int32_t* sum, std::int32_t value) { *sum += value; }

inline float half_to_float(std::uint16_t bits) { return f16_to_float(bits); }
inline std::uint16_t float_to_half(float v) { return float_to_f16(v); }
inline float bfloat_to_float(std::uint16_t bits) { return bf16_to_float(bits); }
/// To the nearest, ties to even.
inline std::uint16_t float_to_bfloat(float v) {
  const std::uint32_t bits = float_to_bits(v);
  if (v != v) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
inline float fast_exp(float x) { return std::exp(x); }

}  // namespace outlierlab::engine::emulated
