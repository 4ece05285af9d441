#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <string>

#include "core/error.h"

// What the kernels use of the instruction set, for devices. tests/engine/cuda_emulation/emulation.h has the
// same functions for the host; fragments of matrix instructions are laid out as the PTX manual describes
// them.

namespace outlierlab::engine::cuda {

/// Every CUDA status goes through here.
inline void check(cudaError_t status, const char* call, const std::string& asked) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // else launch() would report it once more, as its own
  throw Error(std::string(call) + " (" + asked + "): " + cudaGetErrorString(status));
}

struct Grid3 {
  unsigned x = 1, y = 1, z = 1;
};

/// Starts kernel<<<grid, threads, shared, stream>>>(arguments...).
template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), Grid3 grid, int threads, std::size_t shared,
            void* stream, const Arguments&... arguments) {
  const auto asked = [&] {
    return std::string(name) + ", grid " + std::to_string(grid.x) + " x " + std::to_string(grid.y) + " x " +
           std::to_string(grid.z) + ", " + std::to_string(threads) + " threads, " + std::to_string(shared) +
           " bytes of shared memory";
  };
  constexpr std::size_t without_asking = 48 * 1024;
  if (shared > without_asking) {
    // Only ever raised: a graph may hold an earlier launch that asked for more.
    cudaFuncAttributes attributes;
    check(cudaFuncGetAttributes(&attributes, kernel), "cudaFuncGetAttributes", asked());
    if (attributes.maxDynamicSharedSizeBytes < static_cast<int>(shared)) {
      check(
          cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)),
          "cudaFuncSetAttribute", asked());
    }
  }
  kernel<<<dim3(grid.x, grid.y, grid.z), static_cast<unsigned>(threads), shared,
           static_cast<cudaStream_t>(stream)>>>(arguments...);
  const cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess) check(status, "launch", asked());
}

#ifdef __CUDACC__

/// The block's dynamic shared memory, aligned to 16 bytes.
__device__ inline unsigned char* shared_memory() {
  extern __shared__ __align__(16) unsigned char outlierlab_shared[];
  return outlierlab_shared;
}

/// d = a * b + d. A is 16 x 32 (rows of 4 bytes: a[0] row lane/4, a[1] row + 8, a[2] and a[3] the same 16
/// bytes further), B is 32 x 8 given by columns, D is 16 x 8 (d[0], d[1] row lane/4, columns 2 (lane%4) and
/// the next; d[2], d[3] row + 8).
__device__ inline void mma_int8(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                                const std::uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};\n"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
#pragma unroll
  for (int half = 0; half < 2; ++half) {
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};\n"
                   : "+r"(d[2 * half]), "+r"(d[2 * half + 1])
                   : "r"(a[2 * k + half]), "r"(b[k]));
    }
  }
#endif
}

/// d = a * b + d in float32. A is 16 x 16 of two-byte reals (a[0] row lane/4, columns 2 (lane%4) and the
/// next; a[1] row + 8; a[2] and a[3] columns + 8), B is 16 x 8 by columns, D as mma_int8 has it.
template <bool BFLOAT16>
__device__ inline void mma_real(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  if constexpr (BFLOAT16) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
#else
  // Turing has no bfloat16 matrix instruction; the executor refuses bfloat16 there.
  if constexpr (!BFLOAT16) {
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      asm volatile(
          "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, "
          "%3};\n"
          : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
          : "r"(a[2 * k]), "r"(a[2 * k + 1]), "r"(b[k]));
    }
  }
#endif
}

__device__ inline unsigned shared_address(const void* p) {
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
}

/// Four matrices of 8 rows of 16 bytes: lane i gives row i%8 of matrix i/8 and gets, of each, 4 bytes of row
/// i/4 from byte 4 (i%4) on. All lanes of the warp take part.
__device__ inline void load_matrices(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row)));
}
/// The same with each 8 x 8 matrix of two-byte values transposed.
__device__ inline void load_matrices_transposed(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row)));
}

/// 16 bytes from global to shared memory, there once wait_copies() says so (at once before sm_80).
__device__ inline void copy_async(void* shared, const void* global) {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\n" ::"r"(shared_address(shared)), "l"(global)
               : "memory");
#else
  *static_cast<uint4*>(shared) = *static_cast<const uint4*>(global);
#endif
}
__device__ inline void commit_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
}
/// Until at most PENDING of the committed groups are under way.
template <int PENDING>
__device__ inline void wait_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;\n" ::"n"(PENDING) : "memory");
#endif
}

// --- Hopper's instructions for four warps; sm_90a alone ---

/// Where the matrix unit finds a tile of rows of 128 bytes in shared memory: the address in units of 16
/// bytes, 1024 bytes from eight rows to the next (in the same units from bit 32), the 128-byte swizzle (1
/// from bit 62).
__device__ inline std::uint64_t matrix_at(const void* p) {
  return static_cast<std::uint64_t>((shared_address(p) & 0x3ffffu) >> 4) | std::uint64_t{1024 >> 4} << 32 |
         std::uint64_t{1} << 62;
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
/// d = a * b + d for a warpgroup: A is 64 x 32 bytes, B 128 x 32 by columns, each warp's 16 rows of D are 16
/// of mma_int8()'s results side by side. In line in any case: no call may have its sums while it runs.
__device__ __forceinline__ void multiply_warpgroup(std::int32_t (&d)[16][4], std::uint64_t a,
                                                   std::uint64_t b) {
#define OUTLIERLAB_SUMS(j) "+r"(d[j][0]), "+r"(d[j][1]), "+r"(d[j][2]), "+r"(d[j][3])
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, "
      "%12, "
      "%13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, "
      "%33, "
      "%34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, "
      "%54, "
      "%55, %56, %57, %58, %59, %60, %61, %62, %63}, %64, %65, add;\n}\n"
      : OUTLIERLAB_SUMS(0), OUTLIERLAB_SUMS(1), OUTLIERLAB_SUMS(2), OUTLIERLAB_SUMS(3), OUTLIERLAB_SUMS(4),
        OUTLIERLAB_SUMS(5), OUTLIERLAB_SUMS(6), OUTLIERLAB_SUMS(7), OUTLIERLAB_SUMS(8), OUTLIERLAB_SUMS(9),
        OUTLIERLAB_SUMS(10), OUTLIERLAB_SUMS(11), OUTLIERLAB_SUMS(12), OUTLIERLAB_SUMS(13),
        OUTLIERLAB_SUMS(14), OUTLIERLAB_SUMS(15)
      : "l"(a), "l"(b), "r"(1));
#undef OUTLIERLAB_SUMS
}
/// Before the first instruction that takes registers which others have written.
__device__ inline void fence_warpgroup() {
  asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
}
__device__ inline void commit_warpgroup() {
  asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
}
__device__ inline void wait_warpgroup() {
  asm volatile("wgmma.wait_group.sync.aligned 0;\n" ::: "memory");
}
/// Keeps the compiler from moving these registers across: the matrix unit writes them on its own time.
__device__ inline void pin_sums(std::int32_t (&sums)[16][4]) {
#pragma unroll
  for (int i = 0; i < 16; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) asm volatile("" : "+r"(sums[i][j])::"memory");
  }
}
/// Orders this thread's writes to shared memory before what the matrix unit reads there.
__device__ inline void fence_for_matrices() {
  asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
}
#else
__device__ inline void multiply_warpgroup(std::int32_t (&)[16][4], std::uint64_t, std::uint64_t) {}
__device__ inline void fence_warpgroup() {}
__device__ inline void commit_warpgroup() {}
__device__ inline void wait_warpgroup() {}
__device__ inline void pin_sums(std::int32_t (&)[16][4]) {}
__device__ inline void fence_for_matrices() {}
#endif

template <typename T>
__device__ inline T from_lane_xor(T value, int mask) {
  return __shfl_xor_sync(0xffffffffu, value, mask);
}
/// Bit i: what lane i says. All lanes of the warp take part.
__device__ inline std::uint32_t vote(bool yes) {
  return __ballot_sync(0xffffffffu, yes);
}
__device__ inline void sync_warp() {
  __syncwarp();
}
__device__ inline int count_bits(std::uint32_t word) {
  return __popc(word);
}
/// Of the lowest bit; `word` is not 0.
__device__ inline int lowest_bit(std::uint32_t word) {
  return __ffs(static_cast<int>(word)) - 1;
}

__host__ __device__ inline float half_to_float(std::uint16_t bits) {
  return __half2float(__ushort_as_half(bits));
}
__host__ __device__ inline std::uint16_t float_to_half(float v) {
  return __half_as_ushort(__float2half_rn(v));
}
__host__ __device__ inline float bfloat_to_float(std::uint16_t bits) {
  return __bfloat162float(__ushort_as_bfloat16(bits));
}
__host__ __device__ inline std::uint16_t float_to_bfloat(float v) {
  return __bfloat16_as_ushort(__float2bfloat16_rn(v));
}

__device__ inline std::uint32_t bits_of(float v) {
  return __float_as_uint(v);
}
__device__ inline float float_of_bits(std::uint32_t bits) {
  return __uint_as_float(bits);
}

/// e4m3, to the nearest; what is beyond 448 becomes 448.
__host__ __device__ inline std::uint8_t float_to_e4m3(float v) {
  return __nv_cvt_float_to_fp8(v, __NV_SATFINITE, __NV_E4M3);
}

/// The four signed bytes of a times those of b, plus c.
__device__ inline std::int32_t dot_bytes(std::uint32_t a, std::uint32_t b, std::int32_t c) {
  return __dp4a(static_cast<int>(a), static_cast<int>(b), c);
}

__device__ inline void add_atomically(std::int32_t* sum, std::int32_t value) {
  atomicAdd(sum, value);
}
__device__ inline void set_bits_atomically(std::uint32_t* word, std::uint32_t bits) {
  atomicOr(word, bits);
}

/// 2^x to 2 units in the last place.
__device__ inline float fast_power(float x) {
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(power) : "f"(x));
  return power;
}
/// e^x to about 2 units in the last place plus 2^-22 |x|.
__device__ inline float fast_exp(float x) {
  return fast_power(x * 1.44269504f);
}
/// 1 / x to about 1 unit in the last place; x is normal.
__device__ inline float fast_reciprocal(float x) {
  float inverse;
  asm("rcp.approx.ftz.f32 %0, %1;\n" : "=f"(inverse) : "f"(x));
  return inverse;
}

#endif  // __CUDACC__

}  // namespace outlierlab::engine::cuda
