#include "engine/cuda/row_kernels.h"

#include <string>

#include "core/error.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

namespace {

/// Narrow rows: so many in a block, each taken by one warp.
constexpr int rows_per_block = 4;
/// Wide rows: one in a block, taken by so many warps.
constexpr int warps_of_wide_row = 8;
/// Longest row of codes that is put together in shared memory.
constexpr int longest_staged_row = 8 * 1024;
/// Shared memory through which the warps of a wide row exchange values.
template <int FOURS, int WARPS>
constexpr int reduction_bytes = WARPS > 1 ? FOURS* WARPS * 4 : 0;

struct Sum {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Min {
  __device__ float operator()(float a, float b) const { return fminf(a, b); }
};
struct Max {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

/// One value of all threads that hold a row.
template <int WARPS, typename T, typename Operation>
__device__ inline T of_row(T v, Operation operation) {
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) v = operation(v, from_lane_xor(v, mask));
  if constexpr (WARPS > 1) {
    static_assert(sizeof(T) == 4, "room for the parts");
    T* part = reinterpret_cast<T*>(shared_memory());
    __syncthreads();  // the last use of `part` is over
    if (threadIdx.x % warp_size == 0) part[threadIdx.x / warp_size] = v;
    __syncthreads();
    v = part[0];
#pragma unroll
    for (int w = 1; w < WARPS; ++w) v = operation(v, part[w]);
  }
  return v;
}

/// A row in the registers of WARPS warps: thread t holds columns 4 t + 128 WARPS i to the third after.
template <int FOURS, int WARPS>
struct Row {
  Four part[FOURS];
  int cols, thread;

  __device__ int column(int i) const { return 4 * thread + 128 * WARPS * i; }

  template <typename Function>
  __device__ void each(Function f) {
#pragma unroll
    for (int i = 0; i < FOURS; ++i) {
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        if (column(i) + k < cols) f(part[i].v[k], column(i) + k);
      }
    }
  }
};

/// The grid of a row from its own range without outliers, as engine/cpu/row_kernels_impl.h has it.
template <int FOURS, int WARPS>
__device__ inline Grid grid_of_row(const Format& f, Row<FOURS, WARPS>& row) {
  float lo = 0.0f, hi = 0.0f;
  row.each([&](float& v, int) {
    if (f.is_outlier(v)) return;
    lo = fminf(lo, v);
    hi = fmaxf(hi, v);
  });
  return grid_of_range(f, of_row<WARPS>(lo, Min()), of_row<WARPS>(hi, Max()));
}

/// Replaces values by what their codes stand for.
template <int FOURS, int WARPS>
__device__ inline void round_trip(const Format& f, Row<FOURS, WARPS>& row) {
  if (f.kind == FormatKind::real) return;
  if (f.kind == FormatKind::columns) {
#pragma unroll
    for (int i = 0; i < FOURS; ++i) {
      if (row.column(i) >= row.cols) continue;
      const FourGrids grids(f, row.column(i));
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        const Grid g = grids.at(k);
        float& v = row.part[i].v[k];
        if (g.scale >= 0.0f) v = steps(g, v) * g.scale;
      }
    }
    return;
  }
  const Grid g = f.kind == FormatKind::rows ? grid_of_row(f, row) : f.grid;
  row.each([&](float& v, int) { v = f.is_outlier(v) ? v : steps(g, v) * g.scale; });
}

template <int FOURS, int WARPS>
__device__ inline void encode_plane(const Format& f, const Grid& g, Row<FOURS, WARPS>& row, const Operand& to,
                                    int r) {
  std::int8_t* codes = to.codes + static_cast<std::size_t>(r) * to.stride;
#pragma unroll
  for (int i = 0; i < FOURS; ++i) {
    const int c = row.column(i);
    if (c >= row.cols) continue;
    float code[4], high[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const bool outlier = f.is_outlier(row.part[i].v[k]);
      const float t = outlier ? 0.0f : steps(g, row.part[i].v[k]);
      if (!outlier) row.part[i].v[k] = t * g.scale;
      code[k] = t + g.offset;
    }
    if (to.codes_as == Operand::Codes::planes) {
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        high[k] = truncf(code[k] * (1.0f / 256.0f));
        code[k] = code[k] - high[k] * 256.0f;
      }
      *reinterpret_cast<std::uint32_t*>(codes + to.high + c) = pack_codes(high);
    }
    *reinterpret_cast<std::uint32_t*>(codes + c) = pack_codes(code);
  }
}

/// Lists the row's outliers.
template <int FOURS, int WARPS>
__device__ inline void list_outliers(const Format& f, const Row<FOURS, WARPS>& row, const Outliers& to,
                                     int r) {
  const int lane = row.thread % warp_size, warp = row.thread / warp_size;
  const std::uint32_t below = (std::uint32_t{1} << lane) - 1;
  const auto is_outlier = [&](int i, int k) {
    return row.column(i) + k < row.cols && f.is_outlier(row.part[i].v[k]);
  };
  auto* const counts = reinterpret_cast<std::int32_t*>(shared_memory());  // [FOURS, WARPS]
  if constexpr (WARPS > 1) {
    __syncthreads();  // the last use of this memory is over
#pragma unroll
    for (int i = 0; i < FOURS; ++i) {
      int mine = 0;
#pragma unroll
      for (int k = 0; k < 4; ++k) mine += count_bits(vote(is_outlier(i, k)));
      if (lane == 0) counts[i * WARPS + warp] = mine;
    }
    __syncthreads();
  }
  std::uint16_t* channels = to.channels + static_cast<std::size_t>(r) * to.stride;
  float* values = to.values + static_cast<std::size_t>(r) * to.stride;
  int total = 0;
#pragma unroll
  for (int i = 0; i < FOURS; ++i) {
    int at = total, mine = 0;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const std::uint32_t marks = vote(is_outlier(i, k));
      at += count_bits(marks & below);
      mine += count_bits(marks);
    }
    if constexpr (WARPS > 1) {
      mine = 0;
#pragma unroll
      for (int w = 0; w < WARPS; ++w) {
        if (w < warp) at += counts[i * WARPS + w];
        mine += counts[i * WARPS + w];
      }
    }
    total += mine;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      if (!is_outlier(i, k)) continue;
      channels[at] = static_cast<std::uint16_t>(row.column(i) + k);
      values[at++] = row.part[i].v[k];
    }
  }
  if (row.thread == 0) to.count[r] = total;
}

/// Adds the outliers of an operand's row, which decode() leaves out.
template <int FOURS, int WARPS>
__device__ inline void add_outliers(const Outliers& from, Row<FOURS, WARPS>& row, int r) {
  const std::size_t begin = static_cast<std::size_t>(r) * from.stride;
  const int count = from.count[r];
  for (int o = 0; o < count; ++o) {
    const int channel = from.channels[begin + o];
    const float value = from.values[begin + o];
#pragma unroll
    for (int i = 0; i < FOURS; ++i) {
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        if (row.column(i) + k == channel) row.part[i].v[k] += value;
      }
    }
  }
}

/// Of all threads that hold a row.
template <int WARPS>
__device__ inline void sync_row() {
  if constexpr (WARPS > 1) {
    __syncthreads();
  } else {
    sync_warp();
  }
}

/// Codes go to their places in shared memory, where the row is put together, so that it leaves in whole 16
/// bytes; rows that are too long for that go straight to their places.
template <int FOURS, int WARPS>
__device__ inline void encode_segments(const Format& f, Row<FOURS, WARPS>& row, const Operand& to, int r) {
  std::int8_t* const codes = to.codes + static_cast<std::size_t>(r) * to.stride;
  const bool staged = to.stride <= longest_staged_row;
  unsigned char* const shared =
      shared_memory() +
      (WARPS > 1 ? reduction_bytes<FOURS, WARPS> : static_cast<int>(threadIdx.x) / warp_size * to.stride);
  std::int8_t* const together = staged ? reinterpret_cast<std::int8_t*>(shared) : codes;
  constexpr int threads = WARPS * warp_size;
  if (staged) {
    for (int i = 16 * row.thread; i < to.stride; i += 16 * threads)
      *reinterpret_cast<uint4*>(shared + i) = make_uint4(0, 0, 0, 0);
    sync_row<WARPS>();
  }
#pragma unroll
  for (int i = 0; i < FOURS; ++i) {
    const int c = row.column(i);
    if (c >= row.cols) continue;
    const FourPlaces places(to.place + c);
    const FourGrids grids(f, c);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      if (c + k >= row.cols) continue;
      const int place = places.v[k];
      float& v = row.part[i].v[k];
      if (place < 0) {
        to.kept[static_cast<std::size_t>(r) * to.kept_count + ~place] = v;
        continue;
      }
      const Grid g = grids.at(k);
      const float t = steps(g, v);
      v = t * g.scale;
      together[place] = signed_code(t + g.offset);
    }
  }
  if (!staged) return;
  sync_row<WARPS>();
  for (int i = 16 * row.thread; i < to.stride; i += 16 * threads)
    *reinterpret_cast<uint4*>(codes + i) = *reinterpret_cast<const uint4*>(shared + i);
}

/// Rounds the row to its site's grids and writes it in all forms that the target has.
template <int FOURS, int WARPS>
__device__ inline void encode(const Format& f, Row<FOURS, WARPS>& row, const Operand& to, int r) {
  if (to.codes_as == Operand::Codes::none) {
    round_trip(f, row);
  } else if (to.codes_as == Operand::Codes::segments) {
    encode_segments(f, row, to, r);
  } else {
    const bool rows = f.kind == FormatKind::rows;
    const Grid g = rows ? grid_of_row(f, row) : f.grid;
    if (to.outliers.count) list_outliers(f, row, to.outliers, r);
    if (rows && row.thread == 0) {
      to.row_scale[r] = g.scale;
      to.row_zero[r] = static_cast<std::int32_t>(g.offset);
    }
    encode_plane(f, g, row, to, r);
  }
  if (!to.real) return;
#pragma unroll
  for (int i = 0; i < FOURS; ++i) {
    const int c = row.column(i);
    if (c >= row.cols) continue;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      if (c + k >= row.cols) row.part[i].v[k] = 0.0f;
    }
    const std::size_t at = static_cast<std::size_t>(r) * to.real_stride + c;
    set_reals(to.real, to.type, at, row.part[i]);
    if (to.eight) {
      std::uint32_t word = 0;
#pragma unroll
      for (int k = 0; k < 4; ++k)
        word |= static_cast<std::uint32_t>(float_to_e4m3(row.part[i].v[k])) << (8 * k);
      *reinterpret_cast<std::uint32_t*>(to.eight + at) = word;
    }
  }
}

__device__ inline Four embedding_at(const Table& t, int index, int c) {
  const std::size_t at = static_cast<std::size_t>(index) * t.stride + c;
  if (!t.codes) return reals_at(t.values, t.type, at);
  const char4 x = *reinterpret_cast<const char4*>(t.codes + at);
  const float scale = t.scales[t.scale_per_row ? index : 0];
  return {{scale * static_cast<float>(x.x), scale * static_cast<float>(x.y), scale * static_cast<float>(x.z),
           scale * static_cast<float>(x.w)}};
}

__device__ inline Four load_source(const RowTask& task, int r, int c) {
  if (task.from == RowTask::From::reals)
    return reals_at(task.source, task.source_type, static_cast<std::size_t>(r) * task.source_stride + c);
  if (task.from == RowTask::From::operand) return decode(task.coded, task.coded_format, r, c, task.cols);
  const Four word = embedding_at(task.words, task.ids[r], c);
  const Four type = embedding_at(task.types, task.type_ids[r], c);
  const Four place = embedding_at(task.positions, task.position_ids[r], c);
  Four sum;
#pragma unroll
  for (int k = 0; k < 4; ++k) sum.v[k] = word.v[k] + type.v[k] + place.v[k];
  return sum;
}

/// v <- normal(v) * gain + bias.
template <int FOURS, int WARPS, typename Normal>
__device__ inline void scale_normal(const RowTask& task, Row<FOURS, WARPS>& row, Normal normal) {
#pragma unroll
  for (int i = 0; i < FOURS; ++i) {
    const int c = row.column(i);
    if (c >= row.cols) continue;
    const Four gain = reals_at(task.gain, RealType::float32, c),
               bias = reals_at(task.bias, RealType::float32, c);
#pragma unroll
    for (int k = 0; k < 4; ++k) row.part[i].v[k] = fmaf(normal(row.part[i].v[k]), gain.v[k], bias.v[k]);
  }
}

template <int FOURS, int WARPS>
__device__ inline void layer_norm(const RowTask& task, Row<FOURS, WARPS>& row) {
  float sum = 0.0f, squares = 0.0f;
  row.each([&](float& v, int) { sum += v; });
  const float mean = of_row<WARPS>(sum, Sum()) / static_cast<float>(task.cols);
  row.each([&](float& v, int) { squares = fmaf(v - mean, v - mean, squares); });
  const float variance = of_row<WARPS>(squares, Sum()) / static_cast<float>(task.cols);
  const float scale = 1.0f / sqrtf(variance + task.epsilon);
  scale_normal(task, row, [&](float v) { return (v - mean) * scale; });
}

/// The same of steps of a grid. Whole numbers of at most 8 bits, up to 4,096: their sum, that of their
/// squares and n v - sum are exact.
template <int FOURS, int WARPS>
__device__ inline void layer_norm_of_steps(const RowTask& task, const Grid& g, Row<FOURS, WARPS>& row) {
  static_assert(largest_row <= 4096 && 4 * FOURS * 255 * 255 < 1 << 24, "exact in float32");
  float sum = 0.0f, squares = 0.0f;
  row.each([&](float& v, int) {
    sum += v;
    squares = fmaf(v, v, squares);
  });
  const std::int32_t total = of_row<WARPS>(static_cast<std::int32_t>(sum), Sum());
  const std::int64_t spread =
      std::int64_t{task.cols} * of_row<WARPS>(static_cast<std::int32_t>(squares), Sum()) -
      std::int64_t{total} * total;
  const float n = static_cast<float>(task.cols), shift = -static_cast<float>(total);
  const float variance = static_cast<float>(spread) / (n * n) + task.epsilon * g.inverse * g.inverse;
  const float factor = spread > 0 ? 1.0f / (sqrtf(variance) * n) : 0.0f;
  scale_normal(task, row, [&](float v) { return fmaf(v, n, shift) * factor; });
}

template <int FOURS, int WARPS>
__device__ inline void show(Row<FOURS, WARPS>& row, float* to, int r, float unit = 1.0f) {
  if (!to) return;
  row.each([&](float& v, int c) { to[static_cast<std::size_t>(r) * row.cols + c] = v * unit; });
}

__device__ inline bool on_bytes(const Format& f) {
  return f.kind == FormatKind::tensor && f.bits <= 8;
}

template <int FOURS, int WARPS>
__global__ void rows_kernel(const RowTask task) {
  const int thread = static_cast<int>(threadIdx.x), block = static_cast<int>(blockIdx.x);
  const int r = WARPS > 1 ? block : block * rows_per_block + thread / warp_size;
  if (r >= task.rows) return;
  Row<FOURS, WARPS> row;
  row.cols = task.cols;
  row.thread = WARPS > 1 ? thread : thread % warp_size;
#pragma unroll
  for (int i = 0; i < FOURS; ++i) {
    if (row.column(i) < task.cols) row.part[i] = load_source(task, r, row.column(i));
  }
  if (task.map == RowTask::Map::gelu) row.each([](float& v, int) { v = gelu(v); });
  if (task.map == RowTask::Map::tanh) row.each([](float& v, int) { v = tanhf(v); });
  round_trip(task.first, row);
  show(row, task.seen_first, r);
  if (task.has_residual) {
#pragma unroll
    for (int i = 0; i < FOURS; ++i) {
      if (row.column(i) >= task.cols) continue;
      const Four other = decode(task.residual, task.residual_format, r, row.column(i), task.cols);
#pragma unroll
      for (int k = 0; k < 4; ++k) row.part[i].v[k] += other.v[k];
    }
    if (task.residual.outliers.count) add_outliers(task.residual.outliers, row, r);
  }
  if (task.gain && on_bytes(task.second) && on_bytes(task.target_format)) {
    row.each([&](float& v, int) { v = steps(task.second.grid, v); });
    show(row, task.seen_second, r, task.second.grid.scale);
    layer_norm_of_steps(task, task.second.grid, row);
  } else {
    round_trip(task.second, row);
    show(row, task.seen_second, r);
    if (task.gain) layer_norm(task, row);
  }
  encode(task.target_format, row, task.target, r);
  show(row, task.seen_target, r);
}

/// One block per row.
__global__ void gather_kernel(const Operand from, const Operand to, const std::int32_t* offsets) {
  const int e = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x),
            threads = static_cast<int>(blockDim.x);
  const std::size_t row = static_cast<std::size_t>(offsets[e]);
  const auto copy = [&](const auto* source, auto* target, std::size_t width) {
    if (!source) return;
    for (std::size_t i = thread; i < width; i += threads) target[e * width + i] = source[row * width + i];
  };
  copy(from.codes, to.codes, from.stride);
  copy(from.eight, to.eight, from.real_stride);
  copy(from.kept, to.kept, from.kept_count);
  copy(from.row_scale, to.row_scale, 1);
  copy(from.row_zero, to.row_zero, 1);
  copy(from.outliers.count, to.outliers.count, 1);
  if (from.outliers.count) {
    const std::size_t begin = row * from.outliers.stride,
                      target = static_cast<std::size_t>(e) * to.outliers.stride;
    for (int i = thread; i < from.outliers.count[row]; i += threads) {
      to.outliers.channels[target + i] = from.outliers.channels[begin + i];
      to.outliers.values[target + i] = from.outliers.values[begin + i];
    }
  }
  if (from.type == RealType::float32) {
    copy(static_cast<const float*>(from.real), static_cast<float*>(to.real), from.real_stride);
  } else {
    copy(static_cast<const std::uint16_t*>(from.real), static_cast<std::uint16_t*>(to.real),
         from.real_stride);
  }
}

__global__ void bias_kernel(void* values, RealType type, const float* bias, bool with_gelu, int cols,
                            int stride) {
  const int j = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (j >= cols) return;
  const std::size_t at = static_cast<std::size_t>(blockIdx.y) * stride + j;
  const float v = real_at(values, type, at) + bias[j];
  set_real(values, type, at, with_gelu ? gelu(v) : v);
}

template <int FOURS, int WARPS>
void start(const RowTask& task, Stream stream) {
  const int rows_here = WARPS > 1 ? 1 : rows_per_block;
  const auto blocks = static_cast<unsigned>((task.rows + rows_here - 1) / rows_here);
  const bool staged =
      task.target.codes_as == Operand::Codes::segments && task.target.stride <= longest_staged_row;
  const int bytes = reduction_bytes<FOURS, WARPS> + (staged ? rows_here * task.target.stride : 0);
  launch("rows_kernel", rows_kernel<FOURS, WARPS>, {blocks, 1, 1},
         (WARPS > 1 ? WARPS : rows_per_block) * warp_size, static_cast<std::size_t>(bytes), stream, task);
}

}  // namespace

std::size_t row_bytes(const Operand& operand, int cols) {
  const auto n = static_cast<std::size_t>(cols);
  std::size_t bytes = 0;
  if (operand.codes_as == Operand::Codes::plane) bytes += n;
  if (operand.codes_as == Operand::Codes::planes) bytes += 2 * n;
  if (operand.codes_as == Operand::Codes::segments) bytes += static_cast<std::size_t>(operand.stride);
  if (operand.kept) bytes += sizeof(float) * static_cast<std::size_t>(operand.kept_count);
  if (operand.row_scale) bytes += sizeof(float) + sizeof(std::int32_t);
  if (operand.outliers.count) bytes += sizeof(std::int32_t);
  if (operand.real) bytes += n * static_cast<std::size_t>(bytes_of(operand.type));
  if (operand.eight) bytes += n;
  return bytes;
}

/// Of what decode() reads: a row's codes where it has them, else its reals.
static std::size_t read_bytes(const Operand& from, int cols) {
  Operand read = from;
  read.eight = nullptr;
  if (read.codes_as != Operand::Codes::none) read.real = nullptr;
  return row_bytes(read, cols);
}

std::size_t memory_traffic(const RowTask& task) {
  const auto cols = static_cast<std::size_t>(task.cols);
  std::size_t row = row_bytes(task.target, task.cols);
  if (task.from == RowTask::From::embeddings) {
    row += task.words.codes ? cols : cols * static_cast<std::size_t>(bytes_of(task.words.type));
    if (task.words.scale_per_row) row += sizeof(float);
    row += sizeof(*task.ids) + sizeof(*task.type_ids) + sizeof(*task.position_ids);
  } else if (task.from == RowTask::From::operand) {
    row += read_bytes(task.coded, task.cols);
  } else {
    row += cols * static_cast<std::size_t>(bytes_of(task.source_type));
  }
  if (task.has_residual) row += read_bytes(task.residual, task.cols);
  return row * static_cast<std::size_t>(task.rows);
}

void run_rows(const RowTask& task, Stream stream) {
  if (task.rows == 0) return;
  const int fours = (task.cols + 127) / 128;
  if (fours <= 1) return start<1, 1>(task, stream);
  if (fours <= 3) return start<3, 1>(task, stream);
  if (fours <= 6) return start<6, 1>(task, stream);
  if (fours <= 8) return start<8, 1>(task, stream);
  if (fours <= 4 * warps_of_wide_row) return start<4, warps_of_wide_row>(task, stream);
  fail_expected("CUDA executor", "rows of at most " + std::to_string(largest_row) + " values",
                std::to_string(task.cols));
}

void add_bias(void* values, RealType type, const float* bias, bool with_gelu, int rows, int cols, int stride,
              Stream stream) {
  constexpr int most_rows = 65535;  // of a grid
  for (int r = 0; r < rows; r += most_rows) {
    const int here = rows - r < most_rows ? rows - r : most_rows;
    launch("bias_kernel", bias_kernel,
           {static_cast<unsigned>((cols + 127) / 128), static_cast<unsigned>(here), 1}, 128, 0, stream,
           static_cast<void*>(static_cast<char*>(values) +
                              static_cast<std::size_t>(r) * stride * bytes_of(type)),
           type, bias, with_gelu, cols, stride);
  }
}

void gather_rows(const Operand& from, const Operand& to, const std::int32_t* offsets, int examples,
                 Stream stream) {
  if (examples == 0) return;
  launch("gather_kernel", gather_kernel, {static_cast<unsigned>(examples), 1, 1}, 128, 0, stream, from, to,
         offsets);
}

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
