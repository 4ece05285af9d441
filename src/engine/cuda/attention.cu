#include "engine/cuda/attention.h"

#include <cmath>
#include <string>

#include "core/error.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

namespace {

constexpr int warps = 4, threads = warps * warp_size;
/// Queries of a warp in the kernels on matrix instructions, and of a block.
constexpr int warp_queries = 16, block_queries = warps * warp_queries;
/// Keys whose scores a warp holds at once.
constexpr int chunk_keys = 128;

__device__ inline Format of_head(const Format& f, int head) {
  if (f.kind != FormatKind::columns) return f;
  Format one = f;
  one.grid = column_grid(f, head);
  one.kind = one.grid.scale < 0.0f ? FormatKind::real : FormatKind::tensor;
  return one;
}

/// How many queries an example of n tokens has, and which row of the context is theirs.
__device__ inline int queries_of(const AttentionTask& task, int n) {
  return task.first_alone ? 1 : n;
}
__device__ inline std::size_t context_row(const AttentionTask& task, int first, int query) {
  return task.first_alone ? blockIdx.z : static_cast<std::size_t>(first + query);
}
/// Columns c, an even one, and c + 1 of such a row.
__device__ inline void set_context(const AttentionTask& task, std::size_t row, int c, const float (&v)[2]) {
  if (task.context_codes) {
    *reinterpret_cast<std::uint16_t*>(task.context_codes + row * task.context_stride + c) =
        pack_codes(code_of(task.context_grid, v[0]), code_of(task.context_grid, v[1]));
  } else {
    set_pair(task.context, task.context_type, row * task.context_real_stride + c, v[0], v[1]);
  }
}

/// Over the four lanes that share a row of a matrix instruction's result.
__device__ inline float quad_max(float v) {
  v = fmaxf(v, from_lane_xor(v, 1));
  return fmaxf(v, from_lane_xor(v, 2));
}
template <typename T>
__device__ inline T quad_sum(T v) {
  v += from_lane_xor(v, 1);
  return v + from_lane_xor(v, 2);
}

__device__ inline std::uint32_t word_at(const std::int8_t* p) {
  return *reinterpret_cast<const std::uint32_t*>(p);
}

/// Four words of four bytes, transposed.
__device__ inline void transpose_bytes(std::uint32_t (&w)[4]) {
  std::uint32_t t[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    t[i] = 0;
#pragma unroll
    for (int k = 0; k < 4; ++k) t[i] |= (w[k] >> (8 * i) & 255u) << (8 * k);
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) w[i] = t[i];
}

/// Makes w[k] what w[(k + turn) % 4] was.
__device__ inline void rotate(std::uint32_t (&w)[4], int turn) {
  if (turn & 1) {
    const std::uint32_t first = w[0];
#pragma unroll
    for (int k = 0; k < 3; ++k) w[k] = w[k + 1];
    w[3] = first;
  }
  if (turn & 2) {
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const std::uint32_t w_k = w[k];
      w[k] = w[k + 2];
      w[k + 2] = w_k;
    }
  }
}

// --- codes ---

/// The block's shared memory for so many keys at once, a multiple of chunk_keys.
template <int DEPTH>
struct CodesMemory {
  static constexpr int key_stride = DEPTH + 16;  ///< eight keys' words lie in different banks
  __host__ __device__ static int value_stride(int held) { return held + 16; }
  __host__ __device__ static int value_at(int held) { return held * key_stride; }
  __host__ __device__ static int key_sums_at(int held) { return value_at(held) + DEPTH * value_stride(held); }
  __host__ __device__ static int value_sums_at(int held) { return key_sums_at(held) + 4 * held; }
  __host__ __device__ static int bytes(int held) { return value_sums_at(held) + 4 * DEPTH; }
};

/// Puts the keys [key0, key0 + held) into shared memory, as they are, and their sums.
template <int DEPTH>
__device__ inline void load_keys(const AttentionTask& task, int first, int n, int key0, int held, int head,
                                 unsigned char* shared) {
  using Memory = CodesMemory<DEPTH>;
  const int thread = static_cast<int>(threadIdx.x);
  const std::int8_t* keys = task.key.codes + static_cast<std::size_t>(first) * task.key.stride + head * DEPTH;
  for (int i = thread; i < held * (DEPTH / 16); i += threads) {
    const int key = i / (DEPTH / 16), chunk = i % (DEPTH / 16) * 16;
    uint4 word = make_uint4(0, 0, 0, 0);
    if (key0 + key < n)
      word = *reinterpret_cast<const uint4*>(keys + static_cast<std::size_t>(key0 + key) * task.key.stride +
                                             chunk);
    *reinterpret_cast<uint4*>(shared + key * Memory::key_stride + chunk) = word;
  }
  __syncthreads();
  auto* key_sums = reinterpret_cast<std::int32_t*>(shared + Memory::key_sums_at(held));
  for (int key = thread; key < held; key += threads) {
    std::int32_t sum = 0;
#pragma unroll
    for (int c = 0; c < DEPTH; c += 4)
      sum = dot_bytes(*reinterpret_cast<const std::uint32_t*>(shared + key * Memory::key_stride + c),
                      0x01010101u, sum);
    key_sums[key] = sum;
  }
  __syncthreads();
}

/// The same of values, transposed, [depth, keys], and in each 16 keys in the order in which the lanes of a
/// matrix instruction hold the probabilities: key 8 h + 2 t + b is at 4 t + 2 h + b. What is beyond the last
/// key is 0. Sums are those of all keys up to these.
template <int DEPTH>
__device__ inline void load_values(const AttentionTask& task, int first, int n, int key0, int held, int head,
                                   unsigned char* shared) {
  using Memory = CodesMemory<DEPTH>;
  const int thread = static_cast<int>(threadIdx.x);
  const std::int8_t* values =
      task.value.codes + static_cast<std::size_t>(first) * task.value.stride + head * DEPTH;
  unsigned char* transposed = shared + Memory::value_at(held);
  // Eight lanes read 32 bytes of a row; four such rows make a warp's.
  for (int i = thread; i < held / 4 * (DEPTH / 4); i += threads) {
    const int word = i % 8, depth = 4 * (word + i / 32 * 8 % (DEPTH / 4)), group = i / DEPTH, t = i / 8 % 4;
    std::uint32_t w[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int key = key0 + 16 * group + 8 * (k / 2) + 2 * t + k % 2;
      w[k] = key < n ? word_at(values + static_cast<std::size_t>(key) * task.value.stride + depth) : 0u;
    }
    transpose_bytes(w);
    // Depths of the lanes are 16 banks apart, two of 32; with another of the four words first, eight.
    const int turn = word / 2;
    rotate(w, turn);
#pragma unroll
    for (int k = 0; k < 4; ++k)
      *reinterpret_cast<std::uint32_t*>(transposed + (depth + (k + turn) % 4) * Memory::value_stride(held) +
                                        16 * group + 4 * t) = w[k];
  }
  __syncthreads();
  auto* value_sums = reinterpret_cast<std::int32_t*>(shared + Memory::value_sums_at(held));
  for (int c = thread; c < DEPTH; c += threads) {
    std::int32_t sum = key0 == 0 ? 0 : value_sums[c];
    for (int key = 0; key < held; key += 4)
      sum = dot_bytes(
          *reinterpret_cast<const std::uint32_t*>(transposed + c * Memory::value_stride(held) + key),
          0x01010101u, sum);
    value_sums[c] = sum;
  }
  __syncthreads();
}

/// BY_CHUNK: shared memory holds one chunk of keys after another, once per pass, and the values of the last.
template <int DEPTH, bool BY_CHUNK>
__global__ void __launch_bounds__(threads) codes_kernel(const AttentionTask task) {
  using Memory = CodesMemory<DEPTH>;
  constexpr int depth_steps = DEPTH / 32, tiles = chunk_keys / 8;
  static_assert(DEPTH * 255 * 255 < 1 << 22, "float_of()'s range");
  const int head = static_cast<int>(blockIdx.y), first = task.offsets[blockIdx.z],
            n = task.offsets[blockIdx.z + 1] - first, queries = queries_of(task, n);
  const int block_first = static_cast<int>(blockIdx.x) * block_queries;
  if (block_first >= queries) return;
  unsigned char* const shared = shared_memory();
  const int padded = round_up(n, chunk_keys), chunks = padded / chunk_keys;
  const int held = BY_CHUNK ? chunk_keys : padded;
  if constexpr (!BY_CHUNK) {
    load_keys<DEPTH>(task, first, n, 0, held, head, shared);
    load_values<DEPTH>(task, first, n, 0, held, head, shared);
  }
  const auto hold = [&](int chunk, bool values) {
    if constexpr (BY_CHUNK) {
      __syncthreads();  // of the chunk before, all warps are done
      load_keys<DEPTH>(task, first, n, chunk * chunk_keys, held, head, shared);
      if (values) load_values<DEPTH>(task, first, n, chunk * chunk_keys, held, head, shared);
    }
  };
  const int warp = static_cast<int>(threadIdx.x) / warp_size,
            lane = static_cast<int>(threadIdx.x) % warp_size;
  const int group = lane / 4, quad = lane % 4, query0 = block_first + warp * warp_queries;
  if (!BY_CHUNK && query0 >= queries) return;  // no barrier of the block follows

  // This lane's rows of the instructions are queries query0 + group and the eighth after.
  const int query[2] = {query0 + group, query0 + group + 8};
  std::uint32_t q[depth_steps][4];
  std::int32_t query_sum[2] = {0, 0};
#pragma unroll
  for (int side = 0; side < 2; ++side) {
    const int row = query[side] < queries ? query[side] : queries - 1;
    const std::int8_t* from = task.query.codes + static_cast<std::size_t>(first + row) * task.query.stride +
                              head * DEPTH + 4 * quad;
#pragma unroll
    for (int k = 0; k < depth_steps; ++k) {
      q[k][side] = word_at(from + 32 * k);
      q[k][side + 2] = word_at(from + 32 * k + 16);
      query_sum[side] = dot_bytes(q[k][side], 0x01010101u, query_sum[side]);
      query_sum[side] = dot_bytes(q[k][side + 2], 0x01010101u, query_sum[side]);
    }
    query_sum[side] = quad_sum(query_sum[side]);
  }

  const Format scores = of_head(task.scores, head), probs = of_head(task.probs, head);
  const std::int32_t query_zero = static_cast<std::int32_t>(task.query.grid.offset) - code_shift,
                     key_zero = static_cast<std::int32_t>(task.key.grid.offset) - code_shift;
  const Factor scale = {task.scores_factor.value, task.scores_factor.rest};
  const auto* key_sums = reinterpret_cast<const std::int32_t*>(shared + Memory::key_sums_at(held));

  // s[t][e]: query e / 2, key 8 t + 2 quad + e % 2 of the chunk.
  float s[tiles][4];
  const auto compute_scores = [&](int chunk) {
#pragma unroll
    for (int t = 0; t < tiles; ++t) {
      const int key0 = (BY_CHUNK ? 0 : chunk * chunk_keys) + 8 * t;  // in shared memory
      std::int32_t sum[4] = {0, 0, 0, 0};
      const auto* row =
          reinterpret_cast<const std::int8_t*>(shared + (key0 + group) * Memory::key_stride + 4 * quad);
#pragma unroll
      for (int k = 0; k < depth_steps; ++k) {
        const std::uint32_t b[2] = {word_at(row + 32 * k), word_at(row + 32 * k + 16)};
        mma_int8(sum, q[k], b);
      }
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int at = key0 + 2 * quad + e % 2, key = chunk * chunk_keys + 8 * t + 2 * quad + e % 2;
        const std::int32_t exact =
            sum[e] - query_zero * key_sums[at] - key_zero * query_sum[e / 2] + DEPTH * query_zero * key_zero;
        float v = scale.times(float_of(exact));
        if (scores.kind == FormatKind::tensor) v = steps(scores.grid, v) * scores.grid.scale;
        s[t][e] = key < n ? v : -INFINITY;
      }
    }
  };
  float top[2] = {-INFINITY, -INFINITY};
  for (int chunk = 0; chunk < chunks; ++chunk) {
    hold(chunk, false);
    compute_scores(chunk);
#pragma unroll
    for (int t = 0; t < tiles; ++t) {
#pragma unroll
      for (int e = 0; e < 4; ++e) top[e / 2] = fmaxf(top[e / 2], s[t][e]);
    }
  }
  top[0] = quad_max(top[0]);
  top[1] = quad_max(top[1]);
  float total[2] = {0.0f, 0.0f};
  for (int chunk = 0; chunk < chunks; ++chunk) {
    if (chunks > 1) {
      hold(chunk, false);
      compute_scores(chunk);
    }
#pragma unroll
    for (int t = 0; t < tiles; ++t) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        s[t][e] = fast_exp(s[t][e] - top[e / 2]);
        total[e / 2] += s[t][e];
      }
    }
  }
  // The quotient of two floats, in two floats.
  Factor factor[2];
#pragma unroll
  for (int side = 0; side < 2; ++side) {
    const float all = quad_sum(total[side]);
    const float quotient = probs.grid.inverse / all;
    factor[side] = {quotient, (fmaf(-quotient, all, probs.grid.inverse) + probs.grid.rest) / all};
  }
  const float lowest = low_steps(probs.grid), highest = high_steps(probs.grid);

  std::int32_t sum[DEPTH / 8][4] = {};
  std::int32_t prob_sum[2] = {0, 0};
  const unsigned char* transposed = shared + Memory::value_at(held);
  for (int chunk = 0; chunk < chunks; ++chunk) {
    hold(chunk, true);
    if (chunks > 1) {
      compute_scores(chunk);
#pragma unroll
      for (int t = 0; t < tiles; ++t) {
#pragma unroll
        for (int e = 0; e < 4; ++e) s[t][e] = fast_exp(s[t][e] - top[e / 2]);
      }
    }
#pragma unroll
    for (int step = 0; step < chunk_keys / 32; ++step) {
      std::uint32_t p[4] = {0, 0, 0, 0};
#pragma unroll
      for (int t = 0; t < 4; ++t) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int key = chunk * chunk_keys + 32 * step + 8 * t + 2 * quad + e % 2;
          const float v = fminf(fmaxf(factor[e / 2].times(s[4 * step + t][e]), lowest), highest);
          const auto code = static_cast<std::uint8_t>(signed_code(nearest(v) + probs.grid.offset));
          // Register e / 2 + 2 (t / 2) takes, byte by byte, keys 2 quad, 2 quad + 1 of two tiles.
          if (key < n)
            p[e / 2 + 2 * (t / 2)] |= static_cast<std::uint32_t>(code) << (8 * (2 * (t % 2) + e % 2));
        }
      }
#pragma unroll
      for (int side = 0; side < 2; ++side) {
        prob_sum[side] = dot_bytes(p[side], 0x01010101u, prob_sum[side]);
        prob_sum[side] = dot_bytes(p[side + 2], 0x01010101u, prob_sum[side]);
      }
#pragma unroll
      for (int d = 0; d < DEPTH / 8; ++d) {
        const unsigned char* column = transposed + (8 * d + group) * Memory::value_stride(held) +
                                      (BY_CHUNK ? 0 : chunk * chunk_keys) + 32 * step + 4 * quad;
        const std::uint32_t b[2] = {*reinterpret_cast<const std::uint32_t*>(column),
                                    *reinterpret_cast<const std::uint32_t*>(column + 16)};
        mma_int8(sum[d], p, b);
      }
    }
  }
  prob_sum[0] = quad_sum(prob_sum[0]);
  prob_sum[1] = quad_sum(prob_sum[1]);

  const std::int32_t prob_zero = static_cast<std::int32_t>(probs.grid.offset) - code_shift,
                     value_zero = static_cast<std::int32_t>(task.value.grid.offset) - code_shift;
  const Factor context_scale = Factor::product(probs.grid.scale, task.value.grid.scale);
  const auto* value_sums = reinterpret_cast<const std::int32_t*>(shared + Memory::value_sums_at(held));
#pragma unroll
  for (int d = 0; d < DEPTH / 8; ++d) {
    for (int side = 0; side < 2; ++side) {
      if (query[side] >= queries) continue;
      const int c = 8 * d + 2 * quad;
      float v[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const std::int32_t exact = sum[d][2 * side + i] - prob_zero * value_sums[c + i] -
                                   value_zero * prob_sum[side] + n * prob_zero * value_zero;
        v[i] = context_scale.times(static_cast<float>(exact));
      }
      const std::size_t row = context_row(task, first, query[side]);
      set_context(task, row, head * DEPTH + c, v);
    }
  }
}

// --- reals ---

/// Keys of a tile that a block reads while it computes with the one before.
constexpr int tile_keys = 64;

template <int DEPTH>
constexpr int real_stride_bytes = 2 * DEPTH + 16;  // eight rows that ldmatrix reads touch each bank once
template <int DEPTH>
constexpr int real_tile_bytes = tile_keys* real_stride_bytes<DEPTH>;

template <int DEPTH>
__device__ inline void copy_real_tile(const HeadRows& from, int first, int n, int head, int key0,
                                      unsigned char* shared) {
  const auto* source = static_cast<const std::uint16_t*>(from.real);
  for (int i = static_cast<int>(threadIdx.x); i < tile_keys * (DEPTH / 8); i += threads) {
    const int key = i / (DEPTH / 8), chunk = i % (DEPTH / 8);
    const int row = first + (key0 + key < n ? key0 + key : n - 1);
    copy_async(shared + key * real_stride_bytes<DEPTH> + 16 * chunk,
               source + static_cast<std::size_t>(row) * from.real_stride + head * DEPTH + 8 * chunk);
  }
}

template <bool BFLOAT16>
__device__ inline std::uint32_t pack_reals(float a, float b) {
  const std::uint16_t x = BFLOAT16 ? float_to_bfloat(a) : float_to_half(a),
                      y = BFLOAT16 ? float_to_bfloat(b) : float_to_half(b);
  return x | static_cast<std::uint32_t>(y) << 16;
}

/// With ROUNDED, scores and probabilities are rounded to grids, so that the largest score and the sum have to
/// be known before the first probability: three passes over the keys, as codes_kernel has them. Without, one.
template <int DEPTH, bool BFLOAT16, bool ROUNDED>
__global__ void __launch_bounds__(threads) reals_kernel(const AttentionTask task) {
  constexpr int depth_steps = DEPTH / 16, tiles = tile_keys / 8;
  constexpr int first_pass = ROUNDED ? 0 : 2;  // 0: largest score, 1: sum, 2: context
  const int head = static_cast<int>(blockIdx.y), first = task.offsets[blockIdx.z],
            n = task.offsets[blockIdx.z + 1] - first, queries = queries_of(task, n);
  const int block_first = static_cast<int>(blockIdx.x) * block_queries;
  if (block_first >= queries) return;
  unsigned char* const shared = shared_memory();
  const int warp = static_cast<int>(threadIdx.x) / warp_size,
            lane = static_cast<int>(threadIdx.x) % warp_size;
  const int group = lane / 4, quad = lane % 4, query0 = block_first + warp * warp_queries;
  const int query[2] = {query0 + group, query0 + group + 8};
  const int all = (n + tile_keys - 1) / tile_keys, steps_of_passes = (3 - first_pass) * all;

  const auto copy_step = [&](int step) {
    unsigned char* stage = shared + step % 2 * 2 * real_tile_bytes<DEPTH>;
    copy_real_tile<DEPTH>(task.key, first, n, head, step % all * tile_keys, stage);
    if (first_pass + step / all == 2)
      copy_real_tile<DEPTH>(task.value, first, n, head, step % all * tile_keys,
                            stage + real_tile_bytes<DEPTH>);
  };
  copy_step(0);
  commit_copies();

  std::uint32_t q[depth_steps][4];
#pragma unroll
  for (int side = 0; side < 2; ++side) {
    const int row = first + (query[side] < queries ? query[side] : queries - 1);
    const std::uint16_t* from = static_cast<const std::uint16_t*>(task.query.real) +
                                static_cast<std::size_t>(row) * task.query.real_stride + head * DEPTH +
                                2 * quad;
#pragma unroll
    for (int k = 0; k < depth_steps; ++k) {
      q[k][side] = *reinterpret_cast<const std::uint32_t*>(from + 16 * k);
      q[k][side + 2] = *reinterpret_cast<const std::uint32_t*>(from + 16 * k + 8);
    }
  }

  const Format scores = of_head(task.scores, head), probs = of_head(task.probs, head);
  // Without grids, scores stay as the products are, and the power of two of a multiply-add is the
  // exponential of scaled ones.
  const float scale = 1.0f / sqrtf(static_cast<float>(DEPTH)), power = scale * 1.44269504f;
  float out[DEPTH / 8][4] = {};
  float top[2] = {-INFINITY, -INFINITY}, total[2] = {0.0f, 0.0f}, factor[2] = {0.0f, 0.0f};
  for (int step = 0; step < steps_of_passes; ++step) {
    const int pass = first_pass + step / all, tile = step % all;
    if (step + 1 < steps_of_passes) copy_step(step + 1);
    commit_copies();
    wait_copies<1>();
    __syncthreads();
    const unsigned char* keys = shared + step % 2 * 2 * real_tile_bytes<DEPTH>;
    const unsigned char* values = keys + real_tile_bytes<DEPTH>;
    float s[tiles][4] = {};
#pragma unroll
    for (int k = 0; k < depth_steps; ++k) {
#pragma unroll
      for (int t = 0; t < tiles; t += 2) {
        std::uint32_t two[4];
        load_matrices(two, keys + (8 * t + lane % 8 + lane / 16 * 8) * real_stride_bytes<DEPTH> +
                               2 * (16 * k + lane / 8 % 2 * 8));
        const std::uint32_t b0[2] = {two[0], two[1]}, b1[2] = {two[2], two[3]};
        mma_real<BFLOAT16>(s[t], q[k], b0);
        mma_real<BFLOAT16>(s[t + 1], q[k], b1);
      }
    }
    float higher[2] = {top[0], top[1]};
#pragma unroll
    for (int t = 0; t < tiles; ++t) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        float v = ROUNDED ? s[t][e] * scale : s[t][e];
        if (ROUNDED && scores.kind == FormatKind::tensor) v = steps(scores.grid, v) * scores.grid.scale;
        s[t][e] = tile * tile_keys + 8 * t + 2 * quad + e % 2 < n ? v : -INFINITY;
        higher[e / 2] = fmaxf(higher[e / 2], s[t][e]);
      }
    }
    if constexpr (ROUNDED) {
      if (pass == 0) {
        top[0] = higher[0];
        top[1] = higher[1];
        if (tile + 1 == all) {
          top[0] = quad_max(top[0]);
          top[1] = quad_max(top[1]);
        }
      }
    } else {
#pragma unroll
      for (int side = 0; side < 2; ++side) {
        // Every tile has a key, so `higher` is finite.
        higher[side] = quad_max(higher[side]);
        const float shrink = fast_power(power * (top[side] - higher[side]));
        top[side] = higher[side];
        total[side] *= shrink;
#pragma unroll
        for (int d = 0; d < DEPTH / 8; ++d) {
          out[d][2 * side] *= shrink;
          out[d][2 * side + 1] *= shrink;
        }
      }
    }
    if (pass > 0) {
#pragma unroll
      for (int t = 0; t < tiles; ++t) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          s[t][e] = ROUNDED ? fast_exp(s[t][e] - top[e / 2])
                            : fast_power(fmaf(s[t][e], power, -power * top[e / 2]));
          if (!ROUNDED || pass == 1) total[e / 2] += s[t][e];
        }
      }
    }
    if constexpr (ROUNDED) {
      if (pass == 1 && tile + 1 == all) {
        factor[0] = 1.0f / quad_sum(total[0]);
        factor[1] = 1.0f / quad_sum(total[1]);
      }
      if (pass == 2) {
#pragma unroll
        for (int t = 0; t < tiles; ++t) {
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            const float p = s[t][e] * factor[e / 2];
            const float rounded =
                probs.kind == FormatKind::tensor ? steps(probs.grid, p) * probs.grid.scale : p;
            // A grid may have no code for 0, but what is beyond the last key counts for nothing.
            s[t][e] = tile * tile_keys + 8 * t + 2 * quad + e % 2 < n ? rounded : 0.0f;
          }
        }
      }
    }
    if (pass == 2) {
#pragma unroll
      for (int k = 0; k < tile_keys / 16; ++k) {
        const std::uint32_t p[4] = {pack_reals<BFLOAT16>(s[2 * k][0], s[2 * k][1]),
                                    pack_reals<BFLOAT16>(s[2 * k][2], s[2 * k][3]),
                                    pack_reals<BFLOAT16>(s[2 * k + 1][0], s[2 * k + 1][1]),
                                    pack_reals<BFLOAT16>(s[2 * k + 1][2], s[2 * k + 1][3])};
#pragma unroll
        for (int d = 0; d < DEPTH / 8; d += 2) {
          std::uint32_t two[4];
          load_matrices_transposed(
              two, values + (16 * k + lane % 16) * real_stride_bytes<DEPTH> + 2 * (8 * d + lane / 16 * 8));
          const std::uint32_t b0[2] = {two[0], two[1]}, b1[2] = {two[2], two[3]};
          mma_real<BFLOAT16>(out[d], p, b0);
          mma_real<BFLOAT16>(out[d + 1], p, b1);
        }
      }
    }
    __syncthreads();  // the next step's copies go where this step read
  }
#pragma unroll
  for (int side = 0; side < 2; ++side) {
    const float last = ROUNDED ? 1.0f : 1.0f / quad_sum(total[side]);
    if (query[side] >= queries) continue;
    const std::size_t row = context_row(task, first, query[side]);
    const int column = head * DEPTH + 2 * quad;
#pragma unroll
    for (int d = 0; d < DEPTH / 8; ++d) {
      const float v[2] = {out[d][2 * side] * last, out[d][2 * side + 1] * last};
      set_context(task, row, column + 8 * d, v);
    }
  }
}

// --- any ---

/// Query `row`'s codes minus their zero point, times the keys' minus theirs; exact.
__device__ inline std::int32_t exact_product(const std::int8_t* a, std::int32_t a_zero, const std::int8_t* b,
                                             std::int32_t b_zero, int depth) {
  std::int32_t sum = 0;
  for (int k = 0; k < depth; ++k) sum += (a[k] - a_zero) * (b[k] - b_zero);
  return sum;
}

__device__ inline float scale_of(const HeadRows& rows, int r) {
  return rows.row_scale ? rows.row_scale[r] : rows.grid.scale;
}
__device__ inline std::int32_t zero_of(const HeadRows& rows, int r) {
  return (rows.row_zero ? rows.row_zero[r] : static_cast<std::int32_t>(rows.grid.offset)) - code_shift;
}

__device__ inline float warp_reduced(float v, bool largest) {
  for (int mask = 16; mask > 0; mask /= 2) {
    const float other = from_lane_xor(v, mask);
    v = largest ? fmaxf(v, other) : v + other;
  }
  return v;
}

/// The grid of a row of scores or probabilities; scale 0 and kind real where it has none.
__device__ inline Grid grid_of(const Format& f, const float* row, int n, int lane) {
  if (f.kind != FormatKind::rows) return f.grid;
  float lo = 0.0f, hi = 0.0f;
  for (int j = lane; j < n; j += warp_size) {
    if (f.is_outlier(row[j])) continue;
    lo = fminf(lo, row[j]);
    hi = fmaxf(hi, row[j]);
  }
  return grid_of_range(f, -warp_reduced(-lo, true), warp_reduced(hi, true));
}

__global__ void __launch_bounds__(threads) any_kernel(const AttentionTask task) {
  const int head = static_cast<int>(blockIdx.y), first = task.offsets[blockIdx.z],
            n = task.offsets[blockIdx.z + 1] - first;
  const int warp = static_cast<int>(threadIdx.x) / warp_size,
            lane = static_cast<int>(threadIdx.x) % warp_size;
  const int query = static_cast<int>(blockIdx.x) * warps + warp;
  if (query >= queries_of(task, n)) return;  // no barrier of the block follows
  float* const row = reinterpret_cast<float*>(shared_memory()) + warp * task.longest;
  const int depth = task.depth, r = first + query;
  const float by_depth = 1.0f / sqrtf(static_cast<float>(depth));
  const Factor on_grids = {task.scores_factor.value, task.scores_factor.rest};
  const HeadRows &q = task.query, &k = task.key, &v = task.value;

  for (int j = lane; j < n; j += warp_size) {
    if (task.integer_scores) {
      const std::int32_t sum =
          exact_product(q.codes + static_cast<std::size_t>(r) * q.stride + head * depth, zero_of(q, r),
                        k.codes + static_cast<std::size_t>(first + j) * k.stride + head * depth,
                        zero_of(k, first + j), depth);
      row[j] = q.row_scale || k.row_scale ? Factor::product(scale_of(q, r) * by_depth, scale_of(k, first + j))
                                                .times(static_cast<float>(sum))
                                          : on_grids.times(static_cast<float>(sum));
    } else {
      const std::size_t a = static_cast<std::size_t>(r) * q.real_stride + head * depth,
                        b = static_cast<std::size_t>(first + j) * k.real_stride + head * depth;
      float sum = 0.0f;
      for (int c = 0; c < depth; ++c)
        sum = fmaf(real_at(q.real, q.type, a + c), real_at(k.real, k.type, b + c), sum);
      row[j] = sum * by_depth;
    }
  }
  sync_warp();
  const std::size_t seen = (static_cast<std::size_t>(r) * task.heads + head) * task.longest;
  const Format scores = of_head(task.scores, head), probs = of_head(task.probs, head);
  const Grid scores_grid = grid_of(scores, row, n, lane);
  float top = -INFINITY, total = 0.0f;
  for (int j = lane; j < n; j += warp_size) {
    if (scores.kind != FormatKind::real && !scores.is_outlier(row[j]))
      row[j] = steps(scores_grid, row[j]) * scores_grid.scale;
    if (task.seen_scores) task.seen_scores[seen + j] = row[j];
    top = fmaxf(top, row[j]);
  }
  top = warp_reduced(top, true);
  for (int j = lane; j < n; j += warp_size) {
    row[j] = fast_exp(row[j] - top);
    total += row[j];
  }
  total = warp_reduced(total, false);
  for (int j = lane; j < n; j += warp_size) row[j] = row[j] / total;
  sync_warp();
  const Grid grid = grid_of(probs, row, n, lane);
  sync_warp();
  for (int j = lane; j < n; j += warp_size) {
    const bool real = probs.kind == FormatKind::real || probs.is_outlier(row[j]);
    const float t = real ? 0.0f : steps(grid, row[j]);
    const float p = real ? row[j] : t * grid.scale;
    if (task.seen_probs) task.seen_probs[seen + j] = p;
    row[j] = task.integer_context ? t : rounded_to(v.type, p);
  }
  sync_warp();
  const std::size_t to = context_row(task, first, query);
  for (int c = lane; c < depth; c += warp_size) {
    float value = 0.0f;
    if (task.integer_context) {
      const std::int32_t zero = zero_of(v, first);
      std::int32_t sum = 0;
      for (int j = 0; j < n; ++j) {
        sum += static_cast<std::int32_t>(row[j]) *
               (v.codes[static_cast<std::size_t>(first + j) * v.stride + head * depth + c] - zero);
      }
      value = Factor::product(grid.scale, v.grid.scale).times(static_cast<float>(sum));
    } else {
      for (int j = 0; j < n; ++j) {
        value = fmaf(
            row[j],
            real_at(v.real, v.type, static_cast<std::size_t>(first + j) * v.real_stride + head * depth + c),
            value);
      }
    }
    if (task.context_codes) {
      task.context_codes[to * task.context_stride + head * depth + c] = code_of(task.context_grid, value);
    } else {
      set_real(task.context, task.context_type, to * task.context_real_stride + head * depth + c, value);
    }
  }
}

// --- choice ---

bool elementwise(const Format& f) {
  return f.kind != FormatKind::rows;
}

bool aligned(const HeadRows& rows, int depth, bool codes) {
  return codes ? rows.codes && rows.stride % 16 == 0
               : rows.real && rows.real_stride % 8 == 0 && depth % 8 == 0;
}

std::size_t codes_bytes(const AttentionTask& task, bool by_chunk) {
  const int held = by_chunk ? chunk_keys : round_up(task.longest, chunk_keys);
  return static_cast<std::size_t>(task.depth == 64 ? CodesMemory<64>::bytes(held)
                                                   : CodesMemory<32>::bytes(held));
}

}  // namespace

AttentionKernel kernel_for(const AttentionTask& task, std::size_t shared_bytes) {
  const bool size = task.depth == 32 || task.depth == 64;
  if (!size || task.seen_scores || task.seen_probs) return AttentionKernel::any;
  if (task.integer_scores && task.integer_context && elementwise(task.scores) && elementwise(task.probs) &&
      !task.query.row_scale && !task.key.row_scale && aligned(task.query, task.depth, true) &&
      aligned(task.key, task.depth, true) && aligned(task.value, task.depth, true)) {
    if (codes_bytes(task, false) <= shared_bytes) return AttentionKernel::codes;
    if (codes_bytes(task, true) <= shared_bytes) return AttentionKernel::codes_by_chunk;
  }
  const auto two_bytes = [&](const HeadRows& rows) {
    return !rows.codes && rows.type != RealType::float32 && rows.type == task.query.type &&
           aligned(rows, task.depth, false);
  };
  if (elementwise(task.scores) && elementwise(task.probs) && two_bytes(task.query) && two_bytes(task.key) &&
      two_bytes(task.value))
    return AttentionKernel::reals;
  return AttentionKernel::any;
}

void attend(AttentionKernel kernel, AttentionTask task, Stream stream) {
  if (task.examples == 0) return;
  if (task.examples > 65535 || task.heads > 65535)
    fail_expected("CUDA attention", "at most 65535 examples and heads in a batch",
                  std::to_string(task.examples));
  task.scores_factor = TwoFloats(static_cast<double>(task.query.grid.scale) * task.key.grid.scale /
                                 std::sqrt(static_cast<double>(task.depth)));
  const auto grid = [&](int queries) {
    const int most = task.first_alone ? 1 : task.longest;
    return Grid3{static_cast<unsigned>((most + queries - 1) / queries), static_cast<unsigned>(task.heads),
                 static_cast<unsigned>(task.examples)};
  };
  switch (kernel) {
    case AttentionKernel::codes:
      launch("attention codes_kernel", task.depth == 64 ? codes_kernel<64, false> : codes_kernel<32, false>,
             grid(block_queries), threads, codes_bytes(task, false), stream, task);
      break;
    case AttentionKernel::codes_by_chunk:
      launch("attention codes_kernel", task.depth == 64 ? codes_kernel<64, true> : codes_kernel<32, true>,
             grid(block_queries), threads, codes_bytes(task, true), stream, task);
      break;
    case AttentionKernel::reals: {
      const bool bfloat16 = task.query.type == RealType::bfloat16, wide = task.depth == 64;
      const bool rounded =
          task.scores.kind != FormatKind::real || task.probs.kind != FormatKind::real || task.context_codes;
      using Kernel = void (*)(AttentionTask);
      static constexpr Kernel kernels[2][2][2] = {
          {{reals_kernel<32, false, false>, reals_kernel<32, false, true>},
           {reals_kernel<32, true, false>, reals_kernel<32, true, true>}},
          {{reals_kernel<64, false, false>, reals_kernel<64, false, true>},
           {reals_kernel<64, true, false>, reals_kernel<64, true, true>}}};
      const Kernel chosen = kernels[wide][bfloat16][rounded];
      launch("attention reals_kernel", chosen, grid(block_queries), threads,
             static_cast<std::size_t>(4 * (wide ? real_tile_bytes<64> : real_tile_bytes<32>)), stream, task);
      break;
    }
    case AttentionKernel::any:
      launch("attention any_kernel", any_kernel, grid(warps), threads,
             static_cast<std::size_t>(warps * task.longest) * sizeof(float), stream, task);
      break;
  }
}

std::size_t memory_traffic(const AttentionTask& task, int rows) {
  const auto cols = static_cast<std::size_t>(task.heads * task.depth);
  const auto bytes_of_row = [&](const HeadRows& side) {
    const std::size_t scale = side.row_scale ? sizeof(float) + sizeof(std::int32_t) : 0;
    return (side.codes ? cols : cols * static_cast<std::size_t>(bytes_of(side.type))) + scale;
  };
  const auto keys = static_cast<std::size_t>(rows),
             queries = static_cast<std::size_t>(task.first_alone ? task.examples : rows);
  const std::size_t context =
      task.context_codes ? cols : cols * static_cast<std::size_t>(bytes_of(task.context_type));
  return queries * (bytes_of_row(task.query) + context) +
         keys * (bytes_of_row(task.key) + bytes_of_row(task.value));
}

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
