#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>

#include "core/error.h"
#include "fibers.h"
#include "model/half.h"

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
struct alignas(8) float2 {
  float x, y;
};
struct alignas(8) int2 {
  std::int32_t x, y;
};
struct alignas(8) ushort4 {
  std::uint16_t x, y, z, w;
};
struct alignas(4) char4 {
  signed char x, y, z, w;
};
inline uint4 make_uint4(std::uint32_t x, std::uint32_t y, std::uint32_t z, std::uint32_t w) {
  return {x, y, z, w};
}
inline float4 make_float4(float x, float y, float z, float w) {
  return {x, y, z, w};
}
inline float2 make_float2(float x, float y) {
  return {x, y};
}
inline ushort4 make_ushort4(std::uint16_t x, std::uint16_t y, std::uint16_t z, std::uint16_t w) {
  return {x, y, z, w};
}

struct Grid3 {
  unsigned x = 1, y = 1, z = 1;
};

/// Work of a stream: done at once or, while it is captured, put into the graph.
void put_into_stream(std::function<void()> work);

template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), Grid3 grid, int threads, std::size_t shared,
            void*, const Arguments&... arguments) {
  // Copies of the arguments: what a graph replays has those of the capture.
  put_into_stream([=] {
    run_grid(name, {grid.x, grid.y, grid.z}, threads, shared, [&] { kernel(arguments...); });
  });
}

inline unsigned char* shared_memory() {
  return block_memory();
}

inline void require_aligned(const void* p, std::size_t bytes, const char* what) {
  if (reinterpret_cast<std::uintptr_t>(p) % bytes != 0)
    fail_expected(what, "an address that is a multiple of " + std::to_string(bytes), "another");
}

// --- Matrix instructions, as the PTX manual lays out their fragments
// -------------------------------------------------

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
      for (int k = 0; k < 16; ++k)
        o.d[i] += value(a[lane / 4 + i / 2 * 8][k]) * value(b[lane % 4 * 2 + i % 2][k]);
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
inline void commit_copies() {
  commit_started_copies();
}
template <int PENDING>
void wait_copies() {
  wait_for_copies(PENDING);
}

// --- Hopper's instructions for four warps ---

inline unsigned shared_address(const void* p) {
  // As on a device, not aligned to more than 16 bytes.
  return static_cast<unsigned>(static_cast<const unsigned char*>(p) - block_memory()) + 16;
}

inline std::uint64_t matrix_at(const void* p) {
  return static_cast<std::uint64_t>((shared_address(p) & 0x3ffffu) >> 4) | std::uint64_t{1024 >> 4} << 32 |
         std::uint64_t{1} << 62;
}

/// Byte k of row r of a matrix that a descriptor stands for, with the 128-byte swizzle: address bits 4 to 6
/// are xored with bits 7 to 9.
inline const std::int8_t* matrix_byte(std::uint64_t matrix, int r, int k) {
  if (matrix >> 62 != 1) fail_expected("wgmma descriptor", "the 128-byte swizzle", "another");
  const unsigned start = static_cast<unsigned>(matrix & 0x3fffu) << 4,
                 eight_rows = static_cast<unsigned>(matrix >> 32 & 0x3fffu) << 4;
  const unsigned address = start + static_cast<unsigned>(r / 8) * eight_rows +
                           static_cast<unsigned>(r % 8) * 128 + static_cast<unsigned>(k);
  return reinterpret_cast<const std::int8_t*>(block_memory()) + ((address ^ (address >> 7 & 7) << 4) - 16);
}

/// wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8, at once. Each warp's part depends on its own rows
/// alone.
inline void multiply_warpgroup(std::int32_t (&d)[16][4], std::uint64_t a, std::uint64_t b) {
  const int lane = static_cast<int>(current_thread.x % 32),
            warp = static_cast<int>(current_thread.x / 32 % 4);
  for (int half = 0; half < 2; ++half) {
    std::int8_t row[32];
    for (int k = 0; k < 32; k += 16)
      std::memcpy(row + k, matrix_byte(a, 16 * warp + lane / 4 + 8 * half, k), 16);
    for (int j = 0; j < 16; ++j) {
      for (int side = 0; side < 2; ++side) {
        std::int8_t column[32];
        for (int k = 0; k < 32; k += 16)
          std::memcpy(column + k, matrix_byte(b, 8 * j + 2 * (lane % 4) + side, k), 16);
        std::int32_t sum = 0;
        for (int k = 0; k < 32; ++k) sum += row[k] * column[k];
        d[j][2 * half + side] += sum;
      }
    }
  }
}
inline void fence_warpgroup() {}
inline void commit_warpgroup() {}
inline void wait_warpgroup() {}
inline void pin_sums(std::int32_t (&)[16][4]) {}
inline void fence_for_matrices() {}

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

struct VoteOperands {
  bool yes;
  std::uint32_t all;
};

inline void execute_vote(void* const (&lanes)[32]) {
  std::uint32_t all = 0;
  for (int lane = 0; lane < 32; ++lane)
    all |= static_cast<std::uint32_t>(static_cast<const VoteOperands*>(lanes[lane])->yes) << lane;
  for (void* lane : lanes) static_cast<VoteOperands*>(lane)->all = all;
}

inline std::uint32_t vote(bool yes) {
  VoteOperands operands = {yes, 0};
  warp_instruction(execute_vote, &operands);
  return operands.all;
}

inline int count_bits(std::uint32_t word) {
  return __builtin_popcount(word);
}
inline int lowest_bit(std::uint32_t word) {
  return __builtin_ctz(word);
}

inline void execute_nothing(void* const (&)[32]) {}
inline void sync_warp() {
  warp_instruction(execute_nothing, nullptr);
}

inline std::uint32_t bits_of(float v) {
  std::uint32_t bits;
  std::memcpy(&bits, &v, sizeof bits);
  return bits;
}
inline float float_of_bits(std::uint32_t bits) {
  float v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}

inline std::int32_t dot_bytes(std::uint32_t a, std::uint32_t b, std::int32_t c) {
  for (int i = 0; i < 4; ++i)
    c += static_cast<std::int8_t>(a >> (8 * i) & 255u) * static_cast<std::int8_t>(b >> (8 * i) & 255u);
  return c;
}

inline void add_atomically(std::int32_t* sum, std::int32_t value) {
  *sum += value;
}
inline void set_bits_atomically(std::uint32_t* word, std::uint32_t bits) {
  *word |= bits;
}

inline float half_to_float(std::uint16_t bits) {
  return f16_to_float(bits);
}
inline std::uint16_t float_to_half(float v) {
  return float_to_f16(v);
}
inline float bfloat_to_float(std::uint16_t bits) {
  return bf16_to_float(bits);
}
/// To the nearest, ties to even.
inline std::uint16_t float_to_bfloat(float v) {
  const std::uint32_t bits = float_to_bits(v);
  if (v != v) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
/// e4m3: 4 exponent bits with bias 7, 3 of the significand, no infinity.
inline float e4m3_to_float(std::uint8_t bits) {
  const int exponent = bits >> 3 & 15, significand = bits & 7;
  const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(significand), -9)
                                        : std::ldexp(static_cast<float>(8 + significand), exponent - 10);
  return bits & 0x80 ? -magnitude : magnitude;
}
/// To the nearest, ties to even; what is beyond 448 becomes 448.
inline std::uint8_t float_to_e4m3(float v) {
  const float magnitude = std::abs(v);
  const std::uint8_t sign = std::signbit(v) ? 0x80 : 0;
  if (!(magnitude < 448.0f)) return v != v ? std::uint8_t{0x7f} : static_cast<std::uint8_t>(sign | 0x7e);
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  exponent = magnitude == 0.0f ? -6 : std::max(exponent - 1, -6);  // 2^exponent <= magnitude, or subnormal
  const float step = std::ldexp(1.0f, exponent - 3);
  const int units = static_cast<int>(std::nearbyint(magnitude / step));  // 8 to 16, or 0 to 8 at the bottom
  // A carry out of the significand goes into the exponent by itself.
  return static_cast<std::uint8_t>(sign | (exponent == -6 ? units : ((exponent + 7) << 3) + units - 8));
}

inline float fast_power(float x) {
  return std::exp2(x);
}
inline float fast_exp(float x) {
  return std::exp(x);
}
inline float fast_reciprocal(float x) {
  return 1.0f / x;
}

}  // namespace outlierlab::engine::emulated
