// The products of a BERT layer on one thread: the suite's float and int8 kernels of every instruction set
// that this CPU has, each beside the peak of that set, and oneDNN. The counter is operations (2 per
// multiply-add) per second; the bound is in bench/README.md.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <dnnl.hpp>
#include <string>
#include <vector>

#include "bounds.h"
#include "core/isa.h"
#include "core/matrix.h"
#include "core/random.h"
#include "engine/cpu/bf16_gemm.h"
#include "engine/cpu/int8_gemm.h"
#include "engine/cpu/left_buffer.h"
#include "engine/cpu/packed_linear.h"
#include "engine/cpu/peak.h"
#include "engine/cpu/site_rows.h"
#include "kernels/kernels.h"
#include "program.h"

namespace outlierlab {
namespace {

struct ProductShape {
  const char* name;
  std::size_t rows, depth, cols;
  bool head = false;  ///< of attention: the right side is packed anew each time
};

// MiniLM (384 wide), BERT-base (768) and one attention head of each product.
const ProductShape shapes[] = {
    {"minilm_qkv", 128, 384, 384},         {"minilm_ffn1", 128, 384, 1536},
    {"minilm_ffn2", 128, 1536, 384},       {"base_qkv", 128, 768, 768},
    {"base_ffn1", 128, 768, 3072},         {"base_ffn2", 128, 3072, 768},
    {"scores_64x32", 64, 32, 64, true},    {"context_64x32", 64, 64, 32, true},
    {"scores_128x64", 128, 64, 128, true}, {"context_128x64", 128, 128, 64, true},
};

/// `loop`: the fastest multiply-add for such operands within the kernel's own instruction set.
void count(benchmark::State& state, const ProductShape& s, const engine::PeakLoop& loop) {
  count_operations(state, 2.0 * static_cast<double>(s.rows * s.depth * s.cols), loop);
}

template <typename T>
AlignedVector<T> random_values(std::size_t n, int low, int high) {
  Random random(7);
  AlignedVector<T> values(n);
  for (T& v : values)
    v = static_cast<T>(low + static_cast<int>(random.below(static_cast<std::uint64_t>(high - low + 1))));
  return values;
}

enum class WeightScale { tensor, column };

/// Codes as a trained weight has them: bell-shaped, with a standard deviation of about 21 where a tensor has
/// one scale, of about 42 where every column has its own, and a few at the ends.
AlignedVector<std::int8_t> weight_codes(std::size_t n, WeightScale scale) {
  Random random(11);
  AlignedVector<std::int8_t> values(n);
  for (std::int8_t& v : values) {
    int sum = 0;
    for (int i = 0; i < 12; ++i) sum += static_cast<int>(random.below(255)) - 127;
    v = static_cast<std::int8_t>(std::clamp(sum / (scale == WeightScale::tensor ? 12 : 6), -127, 127));
  }
  values[n / 2] = 127;
  values[n / 3] = -127;
  return values;
}

void float_product(benchmark::State& state, const ModelKernels* kernels, const engine::PeakLoop* peak,
                   ProductShape s) {
  const auto a = random_values<float>(s.rows * s.depth, -8, 8),
             w = random_values<float>(s.cols * s.depth, -8, 8);
  AlignedVector<float> packed(packed_size(s.cols, s.depth)), c(s.rows * s.cols);
  pack_transposed(w.data(), s.depth, s.cols, s.depth, packed.data());
  for (auto _ : state) {
    kernels->gemm(a.data(), s.depth, s.rows, s.depth, packed.data(), s.cols, nullptr, 1.0f, c.data(), s.cols);
    benchmark::ClobberMemory();
  }
  count(state, s, *peak);
}

/// What a product with a weight is made of, and into.
struct WeightProduct {
  engine::Finish finish;
  WeightScale scale = WeightScale::tensor;
  bool onto_partial = false;  ///< adds to the floats that are there
  bool per_token = false;     ///< rows have grids of their own
};

/// What a product's description says of its rows and columns: all rows on one static grid, or on their own.
struct RowsAndColumns {
  AlignedVector<float> row_scale, col_scale, col_rest, bias;
  AlignedVector<std::int32_t> row_zero, col_sum, col_shift;
  AlignedVector<double> col_factor, col_addend;

  explicit RowsAndColumns(const ProductShape& s)
      : row_scale(s.rows, 0.01f),
        col_scale(s.cols, 1e-4f),
        col_rest(s.cols, 1e-12f),
        bias(s.cols, 1.0f),
        row_zero(s.rows, 113),
        col_sum(s.cols, 5),
        col_shift(s.cols, -565),
        col_factor(s.cols, 1e-5),
        col_addend(s.cols, 0.1) {}
  void describe(engine::Int8Product& p, bool per_token) const {
    p.col_scale = col_scale.data();
    p.bias = bias.data();
    if (per_token) {
      p.row_scale = row_scale.data();
      p.row_zero = row_zero.data();
      p.col_sum = col_sum.data();
      return;
    }
    p.col_rest = col_rest.data();
    p.col_shift = col_shift.data();
    p.col_factor = col_factor.data();
    p.col_addend = col_addend.data();
  }
};

void int8_product(benchmark::State& state, const engine::Int8Kernels* kernels, const engine::PeakLoop* peak,
                  ProductShape s, WeightProduct what) {
  const auto a = random_values<std::uint8_t>(s.rows * s.depth + 64, 0, 255);
  const AlignedVector<std::int8_t> w = weight_codes(s.cols * s.depth, what.scale);
  AlignedVector<char> packed(kernels->weight_bytes(s.depth, s.cols));
  kernels->pack_weight(w.data(), s.depth, s.cols, s.depth, 0, packed.data());
  const RowsAndColumns all(s);
  AlignedVector<float> c(s.rows * s.cols);
  engine::Int8Product p;
  p.a = a.data();
  p.lda = p.depth = s.depth;
  p.rows = s.rows;
  p.cols = p.ldc = s.cols;
  p.b = packed.data();
  all.describe(p, what.per_token);
  if (what.onto_partial) p.partial = c.data();
  p.partial_stride = s.cols;
  p.finish = what.finish;
  p.c = c.data();
  p.inverse = 0.1f;
  p.low = 0;
  p.high = 255;
  for (auto _ : state) {
    kernels->multiply_weight(p);
    benchmark::ClobberMemory();
  }
  count(state, s, *peak);
}

engine::Linear linear_of(const ProductShape& s) {
  const AlignedVector<std::int8_t> codes = weight_codes(s.cols * s.depth, WeightScale::tensor);
  engine::Linear linear;
  linear.weight.rows = s.cols;
  linear.weight.cols = s.depth;
  linear.weight.bits = 8;
  linear.weight.codes = std::vector<std::int8_t>(codes.begin(), codes.end());
  linear.weight.scales = std::vector<float>{0.001f};
  linear.bias = std::vector<float>(s.cols, 1.0f);
  return linear;
}

/// Channels on six grids, as PEG scatters its groups over them.
engine::SiteFormat six_grids(std::size_t channels) {
  engine::SiteFormat site;
  site.kind = engine::FormatKind::columns;
  site.bits = 8;
  for (std::size_t c = 0; c < channels; ++c)
    site.scale.push_back(16.0f / 255 * (1 + 0.125f * static_cast<float>(c % 6)));
  site.zero.assign(channels, 128);
  return site;
}

/// A product of several terms, one for each grid of the left side's channels, as the executor runs it: to
/// codes of one grid.
void segments_product(benchmark::State& state, ProductShape s) {
  const engine::SiteFormat site = six_grids(s.depth);
  engine::SiteFormat next;
  next.kind = engine::FormatKind::tensor;
  next.bits = 8;
  next.scale = {0.05f};
  next.zero = {128};
  const engine::SiteRows left_rows(site), next_rows(next);
  const engine::PackedLinear packed(linear_of(s), site, engine::RealPrecision::float32,
                                    {engine::Finish::codes, &next_rows.format()});
  const engine::SegmentOrder order(site);
  engine::LeftBuffer left;
  left.reserve(s.rows, s.depth, packed.form(), order);
  auto values = random_values<float>(s.rows * s.depth, -8, 8);
  left.encode(left_rows.format(), values.data(), 0, s.rows);
  AlignedVector<std::uint8_t> c(s.rows * s.cols);
  for (auto _ : state) {
    packed.apply(left.rows(values.data()), s.rows, 0, s.cols, {c.data(), s.cols});
    benchmark::ClobberMemory();
  }
  count(state, s, engine::best_peak_loop(engine::PeakKind::int8));
}

/// A product of attention, whose right side is not worth the packing of a weight and has zero points as well.
void int8_head_product(benchmark::State& state, const engine::Int8Kernels* kernels,
                       const engine::PeakLoop* peak, ProductShape s) {
  const auto a = random_values<std::uint8_t>(s.rows * s.depth + 64, 0, 255),
             b = random_values<std::uint8_t>(s.cols * s.depth, 0, 255);
  AlignedVector<char> packed(kernels->packed_bytes(s.depth, s.cols));
  kernels->pack_transposed(reinterpret_cast<const std::int8_t*>(b.data()), s.depth, s.cols, s.depth, 128,
                           packed.data());
  const AlignedVector<float> row_scale(s.rows, 0.01f), col_scale(s.cols, 0.01f);
  const AlignedVector<std::int32_t> row_zero(s.rows, 113), col_sum(s.cols, 5), row_sum(s.rows, 7),
      col_zero(s.cols, 3);
  AlignedVector<float> c(s.rows * s.cols);
  engine::Int8Product p;
  p.a = a.data();
  p.lda = p.depth = s.depth;
  p.rows = s.rows;
  p.cols = p.ldc = s.cols;
  p.b = packed.data();
  p.row_scale = row_scale.data();
  p.row_zero = row_zero.data();
  p.col_scale = col_scale.data();
  p.col_sum = col_sum.data();
  p.row_sum = row_sum.data();
  p.col_zero = col_zero.data();
  p.c = c.data();
  for (auto _ : state) {
    kernels->multiply(p);
    benchmark::ClobberMemory();
  }
  count(state, s, *peak);
}

void bf16_product(benchmark::State& state, const engine::Bf16Kernels* kernels, const engine::PeakLoop* peak,
                  ProductShape s) {
  const auto a = random_values<float>(s.rows * s.depth, -8, 8),
             w = random_values<float>(s.cols * s.depth, -8, 8);
  AlignedVector<char> packed(kernels->packed_bytes(s.depth, s.cols));
  AlignedVector<std::uint16_t> scratch(kernels->scratch_size(s.rows, s.depth));
  AlignedVector<float> c(s.rows * s.cols);
  kernels->pack_transposed(w.data(), s.depth, s.cols, s.depth, packed.data());
  for (auto _ : state) {
    kernels->multiply(a.data(), s.depth, s.rows, s.depth, packed.data(), s.cols, nullptr, c.data(), s.cols,
                      scratch.data());
    benchmark::ClobberMemory();
  }
  count(state, s, *peak);
}

template <typename Values>
void copy_into(const dnnl::memory& part, const Values& values) {
  std::memcpy(part.get_data_handle(), values.data(), values.size() * sizeof(values[0]));
}

/// With values as the suite's own products get.
void fill(const dnnl::memory& part, dnnl::memory::data_type type) {
  const auto dims = part.get_desc().dims();
  const std::size_t n = static_cast<std::size_t>(dims[0] * dims[1]);
  using T = dnnl::memory::data_type;
  if (type == T::u8) return copy_into(part, random_values<std::uint8_t>(n, 0, 255));
  if (type == T::s8) return copy_into(part, weight_codes(n, WeightScale::tensor));
  const AlignedVector<float> values = random_values<float>(n, -8, 8);
  if (type == T::f32) return copy_into(part, values);
  // Whole numbers this small are bfloat16 as they stand: the upper half.
  AlignedVector<std::uint16_t> halves(n);
  for (std::size_t i = 0; i < n; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, &values[i], sizeof bits);
    halves[i] = static_cast<std::uint16_t>(bits >> 16);
  }
  copy_into(part, halves);
}

void onednn_product(benchmark::State& state, ProductShape s, dnnl::memory::data_type a_type,
                    dnnl::memory::data_type b_type, dnnl::memory::data_type c_type) {
  using dnnl::memory;
  const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(cpu);
  const auto m = static_cast<memory::dim>(s.rows), k = static_cast<memory::dim>(s.depth),
             n = static_cast<memory::dim>(s.cols);
  const memory::desc a({m, k}, a_type, memory::format_tag::ab), b({k, n}, b_type, memory::format_tag::any),
      c({m, n}, c_type, memory::format_tag::ab);
  const dnnl::matmul::primitive_desc primitive(dnnl::matmul::desc(a, b, c), cpu);
  dnnl::matmul product(primitive);
  memory left(primitive.src_desc(), cpu), right(primitive.weights_desc(), cpu),
      out(primitive.dst_desc(), cpu);
  // The values of the other products; a weight lies [cols, depth] and is packed by oneDNN.
  memory weight(memory::desc({k, n}, b_type, memory::format_tag::ba), cpu);
  fill(left, a_type);
  fill(weight, b_type);
  dnnl::reorder(weight, right).execute(stream, weight, right);
  stream.wait();
  for (auto _ : state) {
    product.execute(stream, {{DNNL_ARG_SRC, left}, {DNNL_ARG_WEIGHTS, right}, {DNNL_ARG_DST, out}});
    stream.wait();
  }
  // It takes the best instructions that it may.
  count(state, s,
        engine::best_peak_loop(a_type == memory::data_type::f32    ? engine::PeakKind::float32
                               : a_type == memory::data_type::bf16 ? engine::PeakKind::bfloat16
                                                                   : engine::PeakKind::int8));
}

void register_all() {
  using type = dnnl::memory::data_type;
  for (const ProductShape& s : shapes) {
    const std::string name = s.name;
    const auto add = [&](const std::string& what, auto&&... arguments) {
      benchmark::RegisterBenchmark((name + "/" + what).c_str(), arguments...)->UseRealTime();
    };
    const auto add_float = [&](const std::string& set, const ModelKernels& kernels,
                               const engine::PeakLoop& peak) {
      add("float_" + set, float_product, &kernels, &peak, s);
    };
    if (isa() == Isa::portable) add_float("portable", portable::model_kernels, engine::portable::float_loop);
    if (isa() >= Isa::avx2) add_float("avx2", avx2::model_kernels, engine::avx2::float_loop);
    if (isa() == Isa::avx512) add_float("avx512", avx512::model_kernels, engine::avx512::float_loop);
    using engine::Finish;
    const auto add_int8 = [&](const std::string& set, const engine::Int8Kernels& kernels,
                              const engine::PeakLoop& peak, bool every_finish) {
      const std::string what = "int8_" + set;
      const auto add_weight = [&](const char* suffix, const WeightProduct& product) {
        add(what + suffix, int8_product, &kernels, &peak, s, product);
      };
      add_weight("_codes", {Finish::codes});
      // Only kernels whose product of bytes saturates see what the weights are.
      if (set == "avx2" || set == "avx512")
        add_weight("_column_scales", {Finish::codes, WeightScale::column});
      // Rows on grids of their own end as floats: the next site's grids depend on them.
      add_weight("_real_token", {Finish::real, WeightScale::tensor, false, true});
      if (s.head) add(what + "_head", int8_head_product, &kernels, &peak, s);
      if (!every_finish) return;
      add_weight("_sums", {Finish::sums});
      add_weight("_real", {Finish::real});
      add_weight("_accumulate", {Finish::real, WeightScale::tensor, true});
      add_weight("_gelu_codes", {Finish::gelu_codes});
    };
    if (isa() == Isa::portable)
      add_int8("portable", engine::portable::int8_kernels, engine::portable::int8_loop, false);
    if (isa() >= Isa::avx2) add_int8("avx2", engine::avx2::int8_kernels, engine::avx2::int8_loop, false);
    if (isa() == Isa::avx512)
      add_int8("avx512", engine::avx512::int8_kernels, engine::avx512::int8_loop, false);
    if (has_vnni()) add_int8("vnni", engine::vnni::int8_kernels, engine::vnni::int8_loop, true);
    if (has_amx()) add_int8("amx", engine::amx::int8_kernels, engine::amx::int8_loop, true);
    // By the kernels that the executor chooses; attention has no channels on several grids.
    if (!s.head) add("int8_segments_codes", segments_product, s);
    // Emulated, it is the float product of this process's best set.
    add("bf16_emulated", bf16_product, &engine::emulated::bf16_kernels,
        &engine::best_peak_loop(engine::PeakKind::float32), s);
    if (has_bf16())
      add("bf16_avx512", bf16_product, &engine::bf16::bf16_kernels, &engine::bf16::bf16_loop, s);
    if (has_amx()) add("bf16_amx", bf16_product, &engine::amx::bf16_kernels, &engine::amx::bf16_loop, s);
    add("onednn_float", onednn_product, s, type::f32, type::f32, type::f32);
    add("onednn_int8_s32", onednn_product, s, type::u8, type::s8, type::s32);
    add("onednn_int8_u8", onednn_product, s, type::u8, type::s8, type::u8);
    if (has_bf16()) add("onednn_bf16", onednn_product, s, type::bf16, type::bf16, type::f32);
  }
}

/// OUTLIERLAB_ISA holds for oneDNN, too, whose rows stand beside the same bounds.
void cap_onednn() {
  if (!std::getenv("OUTLIERLAB_ISA") || has_amx()) return;
  using dnnl::cpu_isa;
  dnnl::set_max_cpu_isa(has_vnni() ? cpu_isa::avx512_core_bf16
                                   : dispatch(cpu_isa::sse41, cpu_isa::avx2, cpu_isa::avx512_core));
}

}  // namespace
}  // namespace outlierlab

int main(int argc, char** argv) {
  outlierlab::cap_onednn();
  outlierlab::register_all();
  return outlierlab::run_benchmarks(argc, argv);
}
