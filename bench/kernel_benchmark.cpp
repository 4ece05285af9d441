// What stands between the products, on one thread, beside a measured bound: kernels that stream values beside
// the bandwidth of a triad over as many bytes (so of the cache that holds them), attention beside the peak of
// the multiply-add instruction of its products. `share_of_bound` is 1 where nothing is left.
//
// OUTLIERLAB_ISA=avx2 (avx512, vnni, ...) chooses the kernels of another instruction set.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "bounds.h"
#include "core/isa.h"
#include "core/matrix.h"
#include "core/random.h"
#include "engine/cpu/attention.h"
#include "engine/cpu/bf16_gemm.h"
#include "engine/cpu/int8_gemm.h"
#include "engine/cpu/left_buffer.h"
#include "engine/cpu/peak.h"
#include "engine/cpu/row_kernels.h"
#include "engine/cpu/site_rows.h"
#include "kernels/kernels.h"
#include "program.h"
#include "round_bf16.h"

namespace outlierlab {
namespace {

using engine::FormatKind;
using engine::RowFormat;
using engine::SiteFormat;
using engine::SiteRows;

/// As the executor calls them: a few rows at once.
constexpr std::size_t rows = 8;

AlignedVector<float> random_floats(std::size_t count) {
  Random random(3);
  AlignedVector<float> values(count);
  for (float& v : values) v = static_cast<float>(4 * random.uniform() - 2);
  return values;
}

AlignedVector<std::uint8_t> random_codes(std::size_t count) {
  Random random(5);
  AlignedVector<std::uint8_t> codes(count);
  for (std::uint8_t& code : codes) code = static_cast<std::uint8_t>(random.below(256));
  return codes;
}

SiteFormat format_of(FormatKind kind, std::size_t channels) {
  SiteFormat format;
  format.kind = kind;
  if (kind == FormatKind::real) return format;
  format.bits = 8;
  const std::size_t grids = kind == FormatKind::tensor ? 1 : kind == FormatKind::columns ? channels : 0;
  format.scale.assign(grids, 4.0f / 255);
  format.zero.assign(grids, 128);
  return format;
}

/// A site's rows to codes; with `threshold`, values above it stay in float.
void encode(benchmark::State& state, FormatKind kind, std::size_t cols, float threshold) {
  SiteFormat format = format_of(kind, cols);
  if (threshold > 0) format.outlier_threshold = threshold;
  const SiteRows site(format);
  AlignedVector<float> values = random_floats(rows * cols), scale(rows);
  AlignedVector<std::uint8_t> codes(rows * cols + 64);
  AlignedVector<std::int32_t> zero(rows);
  AlignedVector<std::uint16_t> outliers(rows * engine::outlier_words(cols));
  for (auto _ : state) {
    engine::row_kernels().encode(site.format(), values.data(), rows, cols, cols,
                                 {codes.data(), nullptr, cols, scale.data(), zero.data(), outliers.data()});
    benchmark::ClobberMemory();
  }
  count_bytes(state, 9 * rows * cols, 5 * rows * cols);
}

/// Codes of 16 bits, in two planes.
void encode_wide(benchmark::State& state, std::size_t cols) {
  SiteFormat format = format_of(FormatKind::tensor, cols);
  format.bits = 16;
  format.scale[0] = 4.0f / 65535;
  format.zero[0] = 32768;
  const SiteRows site(format);
  AlignedVector<float> values = random_floats(rows * cols), scale(rows);
  AlignedVector<std::uint8_t> low(rows * cols + 64), high(rows * cols + 64);
  AlignedVector<std::int32_t> zero(rows);
  for (auto _ : state) {
    engine::row_kernels().encode(site.format(), values.data(), rows, cols, cols,
                                 {low.data(), high.data(), cols, scale.data(), zero.data(), nullptr});
    benchmark::ClobberMemory();
  }
  count_bytes(state, 10 * rows * cols, 6 * rows * cols);
}

/// Codes of six grids (PEG's groups, scattered over the channels), sorted by grid.
void encode_segments(benchmark::State& state, std::size_t cols) {
  SiteFormat format = format_of(FormatKind::columns, cols);
  for (std::size_t c = 0; c < cols; ++c) format.scale[c] *= 1 + 0.125f * static_cast<float>(c % 6);
  const SiteRows site(format);
  const engine::SegmentOrder order(format);
  engine::LeftBuffer buffer;
  buffer.reserve(rows, cols, engine::Form::segments, order);
  AlignedVector<float> values = random_floats(rows * cols);
  for (auto _ : state) {
    buffer.encode(site.format(), values.data(), 0, rows);
    benchmark::ClobberMemory();
  }
  count_bytes(state, 9 * rows * cols, 5 * rows * cols);
}

void round_trip(benchmark::State& state, FormatKind kind, std::size_t cols) {
  const SiteRows site(format_of(kind, cols));
  AlignedVector<float> values = random_floats(rows * cols);
  for (auto _ : state) {
    engine::row_kernels().round_trip(site.format(), values.data(), rows, cols, cols);
    benchmark::ClobberMemory();
  }
  count_bytes(state, 8 * rows * cols, 4 * rows * cols);
}

void residual_norm(benchmark::State& state, FormatKind kind, std::size_t cols) {
  const SiteRows site(format_of(kind, cols));
  AlignedVector<float> values = random_floats(rows * cols), residual = values, out(rows * cols);
  const AlignedVector<float> gain(cols, 1.0f), bias(cols, 0.0f);
  for (auto _ : state) {
    engine::row_kernels().residual_norm(site.format(), site.format(), values.data(), residual.data(),
                                        out.data(), rows, cols, gain.data(), bias.data(), 1e-12f);
    benchmark::ClobberMemory();
  }
  count_bytes(state, 16 * rows * cols, 12 * rows * cols);
}

void static_norm(benchmark::State& state, std::size_t cols) {
  const SiteRows site(format_of(FormatKind::tensor, cols));
  AlignedVector<float> values(rows * cols), out(rows * cols);
  const AlignedVector<float> residual = random_floats(rows * cols), gain(cols, 1.0f), bias(cols, 0.0f);
  const AlignedVector<std::uint8_t> product(rows * cols, 113);
  AlignedVector<std::uint8_t> codes(rows * cols);
  engine::StaticNorm norm;
  norm.product_site = norm.sum_site = norm.norm_site = &site.format();
  norm.values = values.data();
  norm.product = product.data();
  norm.residual = residual.data();
  norm.gain = gain.data();
  norm.bias = bias.data();
  norm.epsilon = 1e-12f;
  norm.out = out.data();
  norm.codes = codes.data();
  norm.stride = cols;
  for (auto _ : state) {
    engine::row_kernels().static_norm(norm, rows, cols);
    benchmark::ClobberMemory();
  }
  // Product and codes of a byte; residual, steps and result of four.
  count_bytes(state, 14 * rows * cols, 14 * rows * cols);
}

void layer_norm(benchmark::State& state, std::size_t cols) {
  const AlignedVector<float> values = random_floats(rows * cols), gain(cols, 1.0f), bias(cols, 0.0f);
  AlignedVector<float> out(rows * cols);
  for (auto _ : state) {
    model_kernels().layer_norm(values.data(), out.data(), rows, cols, gain.data(), bias.data(), 1e-12f);
    benchmark::ClobberMemory();
  }
  count_bytes(state, 8 * rows * cols, 8 * rows * cols);
}

/// Scores of one head for `length` tokens, rounded, through softmax to codes.
void softmax_codes(benchmark::State& state, std::size_t length) {
  const SiteRows site(format_of(FormatKind::tensor, 1));
  const AlignedVector<float> source = random_floats(length * length);
  AlignedVector<float> scores = source;
  AlignedVector<std::uint8_t> codes(length * length + 64);
  for (auto _ : state) {
    engine::row_kernels().softmax_codes(site.format(), site.format(), scores.data(), length, length, length,
                                        codes.data(), length);
    benchmark::ClobberMemory();
  }
  count_bytes(state, 9 * length * length, 5 * length * length);
}

/// Kernels of floats in place, which stay among ordinary values however often they are repeated.
void softmax(benchmark::State& state, std::size_t length) {
  AlignedVector<float> scores = random_floats(length * length);
  for (auto _ : state) {
    model_kernels().softmax(scores.data(), length, length, length);
    benchmark::ClobberMemory();
  }
  count_bytes(state, 8 * length * length, 4 * length * length);
}

/// The pooler's: a row per example.
void tanh(benchmark::State& state, std::size_t cols) {
  AlignedVector<float> values = random_floats(rows * cols);
  for (auto _ : state) {
    model_kernels().tanh(values.data(), values.size());
    benchmark::ClobberMemory();
  }
  count_bytes(state, 8 * rows * cols, 4 * rows * cols);
}

/// The residual sum.
void add_rows(benchmark::State& state, std::size_t cols) {
  const AlignedVector<float> a = random_floats(rows * cols), b = a;
  AlignedVector<float> c(rows * cols);
  for (auto _ : state) {
    model_kernels().add(a.data(), b.data(), c.data(), c.size());
    benchmark::ClobberMemory();
  }
  count_bytes(state, 12 * rows * cols, 12 * rows * cols);
}

/// The left side of a product of bfloat16.
void round_rows_bf16(benchmark::State& state, std::size_t cols) {
  const AlignedVector<float> values = random_floats(rows * cols);
  AlignedVector<std::uint16_t> out(rows * cols);
  for (auto _ : state) {
    round_to_bf16(values.data(), rows, cols, out.data());
    benchmark::ClobberMemory();
  }
  count_bytes(state, 6 * rows * cols, 6 * rows * cols);
}

/// With a table (`fused`, as the integer engine has it) or with the exact error function.
void gelu(benchmark::State& state, bool fused, std::size_t cols) {
  // A fresh copy each time: GELU of its own results runs into denormals.
  const AlignedVector<float> source = random_floats(rows * cols);
  AlignedVector<float> values = source;
  for (auto _ : state) {
    std::copy(source.begin(), source.end(), values.begin());
    (fused ? engine::row_kernels().gelu : model_kernels().gelu)(values.data(), values.size());
    benchmark::ClobberMemory();
  }
  count_bytes(state, 16 * rows * cols, 8 * rows * cols);
}

/// An outlier of LLM.int8() times its column of the weight.
void add_column(benchmark::State& state, std::size_t cols) {
  AlignedVector<float> out = random_floats(cols);
  const AlignedVector<float> scale(cols, 0.01f);
  const AlignedVector<std::uint8_t> codes = random_codes(cols);
  for (auto _ : state) {
    engine::row_kernels().add_column(out.data(), codes.data(), scale.data(), 1e-3f, cols);
    benchmark::ClobberMemory();
  }
  count_bytes(state, 13 * cols, 9 * cols);
}

/// Keys (transposed) or values (as they stand) of one head into the panels of a product.
void pack_head(benchmark::State& state, bool transposed, std::size_t length, std::size_t depth) {
  const std::size_t hidden = 12 * depth;
  const AlignedVector<std::uint8_t> source = random_codes(length * hidden);
  const auto* codes = reinterpret_cast<const std::int8_t*>(source.data());
  const engine::Int8Kernels& kernels = engine::int8_kernels();
  AlignedVector<char> panels(
      std::max(kernels.packed_bytes(depth, length), kernels.packed_bytes(length, depth)));
  for (auto _ : state) {
    if (transposed) {
      kernels.pack_transposed(codes, hidden, length, depth, 128, panels.data());
    } else {
      kernels.pack_rows(codes, hidden, depth, length, 128, panels.data());
    }
    benchmark::ClobberMemory();
  }
  count_bytes(state, 2 * length * depth, 2 * length * depth);
}

void pack_weight(benchmark::State& state, std::size_t depth, std::size_t cols) {
  const AlignedVector<std::uint8_t> source = random_codes(depth * cols);
  AlignedVector<std::int8_t> codes(depth * cols);
  for (std::size_t i = 0; i < codes.size(); ++i)
    codes[i] = static_cast<std::int8_t>(source[i] == 128 ? 0 : static_cast<int>(source[i]) - 128);
  const engine::Int8Kernels& kernels = engine::int8_kernels();
  AlignedVector<char> panels(kernels.weight_bytes(depth, cols));
  for (auto _ : state) {
    kernels.pack_weight(codes.data(), depth, cols, depth, 0, panels.data());
    benchmark::ClobberMemory();
  }
  count_bytes(state, 2 * depth * cols, 2 * depth * cols);
}

/// The same in float.
void pack_head_float(benchmark::State& state, bool transposed, std::size_t length, std::size_t depth) {
  const std::size_t hidden = 12 * depth;
  const AlignedVector<float> source = random_floats(length * hidden);
  AlignedVector<float> panels(std::max(packed_size(depth, length), packed_size(length, depth)));
  for (auto _ : state) {
    if (transposed) {
      pack_transposed(source.data(), hidden, length, depth, panels.data());
    } else {
      pack_rows(source.data(), hidden, depth, length, panels.data());
    }
    benchmark::ClobberMemory();
  }
  count_bytes(state, 8 * length * depth, 8 * length * depth);
}

void pack_weight_float(benchmark::State& state, std::size_t depth, std::size_t cols) {
  const AlignedVector<float> weight = random_floats(depth * cols);
  AlignedVector<float> panels(packed_size(cols, depth));
  for (auto _ : state) {
    pack_transposed(weight.data(), depth, cols, depth, panels.data());
    benchmark::ClobberMemory();
  }
  count_bytes(state, 8 * depth * cols, 8 * depth * cols);
}

void pack_weight_bf16(benchmark::State& state, std::size_t depth, std::size_t cols) {
  const engine::Bf16Kernels& kernels = engine::bf16_kernels();
  const AlignedVector<float> weight = random_floats(depth * cols);
  AlignedVector<char> panels(kernels.packed_bytes(depth, cols));
  for (auto _ : state) {
    kernels.pack_transposed(weight.data(), depth, cols, depth, panels.data());
    benchmark::ClobberMemory();
  }
  const std::size_t bytes = 4 * depth * cols + panels.size();
  count_bytes(state, bytes, bytes);
}

/// One head: scores, softmax, context, with all that the executor does in between.
void attention(benchmark::State& state, bool integer, std::size_t length, std::size_t depth) {
  const std::size_t hidden = 12 * depth;
  const SiteRows site(format_of(integer ? FormatKind::tensor : FormatKind::real, 1));
  const AlignedVector<std::uint8_t> codes = random_codes(length * hidden + 64);
  const AlignedVector<float> values = random_floats(length * hidden), scale(length, 0.02f);
  const AlignedVector<std::int32_t> zero(length, 128);
  AlignedVector<std::uint8_t> context_codes(length * hidden + 64);
  AlignedVector<float> context(length * hidden);
  engine::AttentionPlan plan;
  plan.hidden = hidden;
  plan.depth = depth;
  plan.integer_scores = plan.integer_context = integer;
  plan.query = plan.key = plan.value = plan.scores = plan.probs = &site;
  if (integer) plan.context_codes = &site.format();
  engine::AttentionTask task;
  task.length = task.queries = length;
  task.head = 3;
  task.query = task.key = task.value = {codes.data(), values.data(), scale.data(), zero.data()};
  task.context_codes = context_codes.data();
  task.context_stride = hidden;
  task.context_values = context.data();
  engine::AttentionScratch scratch;
  scratch.reserve(length, depth);
  for (auto _ : state) {
    engine::attend(plan, task, scratch);
    benchmark::ClobberMemory();
  }
  count_operations(state, 4.0 * static_cast<double>(length * length * depth),
                   engine::best_peak_loop(integer ? engine::PeakKind::int8 : engine::PeakKind::float32));
}

template <typename Function, typename... Arguments>
void add(const std::string& name, Function function, Arguments... arguments) {
  benchmark::RegisterBenchmark(name.c_str(), function, arguments...)->UseRealTime();
}

void register_all() {
  const std::pair<const char*, FormatKind> kinds[] = {
      {"tensor", FormatKind::tensor}, {"columns", FormatKind::columns}, {"rows", FormatKind::rows}};
  // The widths of MiniLM and BERT-base and of their feed-forward networks.
  for (const std::size_t cols : {384u, 768u, 1536u, 3072u}) {
    const std::string at = "/" + std::to_string(cols);
    for (const auto& [name, kind] : kinds) {
      add("encode_" + std::string(name) + at, encode, kind, cols, 0.0f);
      add("round_trip_" + std::string(name) + at, round_trip, kind, cols);
    }
    add("encode_outliers" + at, encode, FormatKind::rows, cols, 1.9f);
    add("encode_wide" + at, encode_wide, cols);
    add("encode_segments" + at, encode_segments, cols);
    add("gelu" + at, gelu, true, cols);
    add("gelu_float" + at, gelu, false, cols);
    add("add_column" + at, add_column, cols);
    if (has_bf16()) add("round_bf16" + at, round_rows_bf16, cols);
    if (cols > 1000) continue;
    add("residual_norm_real" + at, residual_norm, FormatKind::real, cols);
    add("residual_norm_tensor" + at, residual_norm, FormatKind::tensor, cols);
    add("residual_norm_columns" + at, residual_norm, FormatKind::columns, cols);
    add("residual_norm_rows" + at, residual_norm, FormatKind::rows, cols);
    add("static_norm" + at, static_norm, cols);
    add("layer_norm" + at, layer_norm, cols);
    add("add" + at, add_rows, cols);
    add("tanh" + at, tanh, cols);
    const std::string weight = at + "x" + std::to_string(4 * cols);
    add("pack_weight" + weight, pack_weight, cols, 4 * cols);
    add("pack_weight_float" + weight, pack_weight_float, cols, 4 * cols);
    add("pack_weight_bf16" + weight, pack_weight_bf16, cols, 4 * cols);
  }
  for (const std::size_t length : {32u, 128u, 512u}) {
    const std::string at = "/" + std::to_string(length);
    add("softmax_codes" + at, softmax_codes, length);
    add("softmax_float" + at, softmax, length);
    for (const std::size_t depth : {32u, 64u}) {
      const std::string of = at + "x" + std::to_string(depth);
      add("pack_keys" + of, pack_head, true, length, depth);
      add("pack_values" + of, pack_head, false, length, depth);
      add("pack_keys_float" + of, pack_head_float, true, length, depth);
      add("pack_values_float" + of, pack_head_float, false, length, depth);
      add("attention_float" + of, attention, false, length, depth);
      add("attention_int8" + of, attention, true, length, depth);
    }
  }
}

}  // namespace
}  // namespace outlierlab

int main(int argc, char** argv) {
  outlierlab::register_all();
  return outlierlab::run_benchmarks(argc, argv);
}
