#include "engine/cpu/cpu_executor.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <exception>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/isa.h"
#include "core/parallel.h"
#include "engine/cpu/attention.h"
#include "engine/cpu/bf16_gemm.h"
#include "engine/cpu/groups.h"
#include "engine/cpu/left_buffer.h"
#include "engine/cpu/packed_linear.h"
#include "engine/cpu/team.h"
#include "engine/refusal.h"
#include "kernels/kernels.h"

namespace outlierlab::engine {

namespace {

using Kind = SiteFormat::Kind;
using Clock = std::chrono::steady_clock;

/// Rows that row kernels take at once, so that a row is still in the first-level cache for the next kernel.
constexpr std::size_t row_block = 8;

template <typename Body>
double seconds_of(const Body& body) {
  const auto start = Clock::now();
  body();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The form in which the products after a site take its values.
Form common_form(const SiteFormat& site, std::initializer_list<const Weight*> weights) {
  for (const Weight* weight : weights) {
    const Form form = form_of(site, *weight);
    if (form != Form::real) return form;
  }
  return Form::real;
}

/// A site whose values feed products.
struct InputSite {
  SiteRows rows;
  Form form = Form::real;
  SegmentOrder order;
  bool keeps_outliers = false;

  InputSite() = default;
  InputSite(const SiteFormat& site, std::initializer_list<const Weight*> weights)
      : rows(site), form(common_form(site, weights)) {
    if (form == Form::segments) order = SegmentOrder(site);
    keeps_outliers = site.keeps_outliers();
  }
  void reserve(LeftBuffer& buffer, std::size_t count, std::size_t cols) const {
    buffer.reserve(count, cols, form, order, keeps_outliers);
  }
};

/// A LayerNorm and what stands between it and the last product: the product's grid, the sum with the residual
/// and its grid.
struct NormPlan {
  const RowFormat *product = nullptr, *sum = nullptr;
  const InputSite* site = nullptr;  ///< the norm's
  const LayerNorm* norm = nullptr;
  std::size_t sum_index = 0;  ///< number of the sum's site, between the product's (if not 0) and the norm's
  bool is_static = false;     ///< one kernel does it all

  NormPlan() = default;
  NormPlan(const RowFormat& product_site, const RowFormat& sum_site, const InputSite& norm_site,
           const LayerNorm& the_norm, std::size_t index)
      : product(&product_site),
        sum(&sum_site),
        site(&norm_site),
        norm(&the_norm),
        sum_index(index),
        is_static(norm_site.form == Form::codes &&
                  StaticNorm::fits(product_site, sum_site, norm_site.rows.format(), the_norm.gain.size())) {}
};

/// What it works on: row 0 of [rows, hidden].
struct NormRows {
  float* values;                ///< the product, then the sum
  const std::uint8_t* product;  ///< the product's codes; null: it is in `values`
  const float* residual;        ///< null: none
  float* out;                   ///< dequantized
  LeftBuffer& left;             ///< codes
};

struct LayerPlan {
  PackedLinear query, key, value, attention_output, ffn_hidden, ffn_output;
  std::array<SiteRows, layer_sites> sites;
  InputSite context, ffn_input, ffn_hidden_site, output;
  AttentionPlan attention;
  bool fuse_context = false;  ///< the context is stored as codes at once
  NormPlan attention_norm, output_norm;
};

/// Activations of one group of rows.
struct Workspace {
  AlignedVector<float> hidden, ffn_input, products, wide, context;
  AlignedVector<float> query, key, value;
  AlignedVector<std::uint8_t> query_codes, key_codes, value_codes, product_codes;
  AlignedVector<float> query_scale, key_scale, value_scale;
  AlignedVector<std::int32_t> query_zero, key_zero, value_zero;
  LeftBuffer left_hidden, left_context, left_ffn_input, left_ffn_hidden;
};

/// The seconds of one thread; padded, so that threads do not share cache lines.
struct alignas(64) ThreadProfile {
  Profile seconds;
};

}  // namespace

struct CpuExecutor::Network {
  std::shared_ptr<const Model> model;
  CpuOptions options;
  std::vector<LayerPlan> layers;
  SiteRows embeddings_sum;
  InputSite embeddings_norm, pooler_site;
  NormPlan embeddings_plan;
  PackedLinear pooler, classifier;
  std::vector<Workspace> workspaces;
  std::vector<AttentionScratch> scratch;
  std::vector<ThreadProfile> profiles;
  std::size_t max_rows = 0;

  Network(std::shared_ptr<const Model> the_model, const CpuOptions& the_options);

  const Shape& shape() const { return model->shape; }
  void check(const Tokens& tokens) const;
  void reserve(int threads, std::size_t rows, std::size_t longest);
  void run_group(const Tokens& tokens, std::size_t first, std::size_t last, Workspace& w, Member member,
                 int thread, LeftBuffer& first_tokens, AlignedVector<float>& first_values);
  void embed(const Tokens& tokens, std::size_t begin, std::size_t count, Workspace& w, Member member,
             int thread);
  /// Queries, keys or values, as `sites` says.
  void project(std::size_t layer, std::initializer_list<LayerSite> sites, std::size_t rows, std::size_t row0,
               Workspace& w, Member member, int thread);
  /// `first_alone`: of each example the first query alone, which are the workspace's.
  void attend_all(std::size_t layer, const Tokens& tokens, std::size_t first, std::size_t last,
                  bool first_alone, Workspace& w, Member member, int thread);
  void feed_forward(std::size_t layer, std::size_t rows, std::size_t row0, Workspace& w, Member member,
                    int thread);
  void classify(std::size_t examples, LeftBuffer& left, AlignedVector<float>& values, float* logits);

  void observe(std::size_t site, const float* values, std::size_t row0, std::size_t first, std::size_t count,
               std::size_t cols) const {
    if (options.observer)
      options.observer->visit(site, values + first * cols, row0 + first, count, cols, cols, -1);
  }

  /// Shows the observer what codes [rows, stride] of one grid stand for.
  void observe_codes(std::size_t site, const RowFormat& grid, const std::uint8_t* codes, std::size_t stride,
                     std::size_t row0, std::size_t rows, std::size_t cols) const {
    if (!options.observer) return;
    std::vector<float> values(rows * cols);
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t j = 0; j < cols; ++j) values[r * cols + j] = grid.value(codes[r * stride + j]);
    }
    observe(site, values.data(), row0, 0, rows, cols);
  }

  void norm_rows(const NormPlan& plan, const NormRows& group, std::size_t row0, std::size_t r, std::size_t n,
                 int thread);
  static const std::uint8_t* product_codes(const PackedLinear& linear, const Workspace& w) {
    return linear.gives_codes() ? w.product_codes.data() : nullptr;
  }
  static Target product_target(const PackedLinear& linear, Workspace& w) {
    return {linear.gives_codes() ? static_cast<void*>(w.product_codes.data()) : w.products.data(),
            linear.out()};
  }

  /// Runs body and books its time.
  template <typename Body>
  void timed(double Profile::*part, int thread, Body body) {
    if (!options.profile) return body();
    profiles[static_cast<std::size_t>(thread)].seconds.*part += seconds_of(body);
  }
  void multiply(const PackedLinear& linear, const LeftRows& left, std::size_t rows, Member member,
                const Target& target, int thread) {
    const auto [begin, end] = member.share(linear.out(), column_unit);
    if (!options.profile) return linear.apply(left, rows, begin, end, target);
    const auto apply = [&, b = begin, e = end] { linear.apply(left, rows, b, e, target); };
    Profile& profile = profiles[static_cast<std::size_t>(thread)].seconds;
    const double whole = seconds_of(apply);
    double products = 1;
    if (linear.form() != Form::real && begin < end) {
      // The first pass has fetched the weight, so that these two differ in the finishing alone.
      const double bare = seconds_of([&, b = begin, e = end] { linear.apply_bare(left, rows, b, e); });
      const double again = seconds_of(apply);
      products = std::min(1.0, bare / again);
      profile.repeated += bare + again;
    }
    profile.gemm += whole * products;
    profile.dequantize += whole * (1 - products);
  }
  /// Calls body(first row, rows) over this member's rows, a few at a time.
  template <typename Body>
  void over_rows(std::size_t rows, Member member, Body body) {
    const auto [begin, end] = member.share(rows, 1);
    for (std::size_t r = begin; r < end; r += row_block) body(r, std::min(row_block, end - r));
  }
};

CpuExecutor::Network::Network(std::shared_ptr<const Model> the_model, const CpuOptions& the_options)
    : model(std::move(the_model)), options(the_options) {
  if (options.real != RealPrecision::float32 && options.real != RealPrecision::bfloat16)
    refuse("CPU executor", "float32 or bfloat16 for real products",
           options.real == RealPrecision::float16 ? "float16" : "float8");
  model->check();
  const Shape& s = shape();
  max_rows = std::max(group_rows, s.positions);
  embeddings_sum = SiteRows(model->embeddings_sum_site);
  const auto linear = [&](const Linear& weights, const SiteFormat& left, const Result& result = {}) {
    return PackedLinear(weights, left, options.real, result);
  };
  /// Codes of a static grid at once, where they are wanted and that can be.
  const auto fused = [&](bool wanted, Finish finish, const Linear& weights, const SiteFormat& left,
                         const RowFormat& grid) {
    const bool fuse = wanted && grid.kind == Kind::tensor && can_fuse(left, weights.weight);
    return linear(weights, left, fuse ? Result{finish, &grid} : Result{});
  };
  const auto inputs_of = [&](std::size_t i, const SiteFormat& site) {
    if (i == s.layers) return InputSite(site, {&model->pooler.weight});
    const Layer& next = model->layers[i];
    return InputSite(site, {&next.query.weight, &next.key.weight, &next.value.weight});
  };
  embeddings_norm = inputs_of(0, model->embeddings_norm_site);
  static const RowFormat no_product;
  embeddings_plan = NormPlan(no_product, embeddings_sum.format(), embeddings_norm, model->embeddings_norm, 0);
  layers.resize(s.layers);
  for (std::size_t i = 0; i < s.layers; ++i) {
    const Layer& from = model->layers[i];
    LayerPlan& plan = layers[i];
    const SiteFormat& input = i == 0 ? model->embeddings_norm_site : model->layers[i - 1].sites[output];
    for (std::size_t k = 0; k < layer_sites; ++k) plan.sites[k] = SiteRows(from.sites[k]);
    plan.context = InputSite(from.sites[context], {&from.attention_output.weight});
    plan.ffn_input = InputSite(from.sites[ffn_input], {&from.ffn_hidden.weight});
    plan.ffn_hidden_site = InputSite(from.sites[ffn_hidden], {&from.ffn_output.weight});
    plan.output = inputs_of(i + 1, from.sites[output]);

    AttentionPlan& attention = plan.attention;
    attention.hidden = s.hidden;
    attention.depth = s.head_size();
    attention.integer_scores = from.integer_scores();
    attention.integer_context = from.integer_context();
    attention.query = &plan.sites[query];
    attention.key = &plan.sites[key];
    attention.value = &plan.sites[value];
    attention.scores = &plan.sites[scores];
    attention.probs = &plan.sites[probs];
    plan.fuse_context = plan.context.form == Form::codes && from.sites[context].kind == Kind::tensor;
    if (plan.fuse_context) attention.context_codes = &plan.context.rows.format();

    const auto projection = [&](const Linear& weights, LayerSite site, bool as_codes) {
      return fused(as_codes, Finish::codes, weights, input, plan.sites[site].format());
    };
    plan.query = projection(from.query, query, attention.integer_scores);
    plan.key = projection(from.key, key, attention.integer_scores);
    plan.value = projection(from.value, value, attention.integer_context);
    const auto norm_plan = [&](LayerSite product, LayerSite sum, const InputSite& site,
                               const LayerNorm& norm) {
      return NormPlan(plan.sites[product].format(), plan.sites[sum].format(), site, norm,
                      model->site_index(i, sum));
    };
    plan.attention_norm =
        norm_plan(attention_output, attention_residual, plan.ffn_input, from.attention_norm);
    plan.output_norm = norm_plan(ffn_output, ffn_residual, plan.output, from.output_norm);
    const auto before_norm = [&](const Linear& weights, LayerSite left, LayerSite site,
                                 const NormPlan& norm) {
      return fused(norm.is_static && from.sites[site].bits <= 8, Finish::codes, weights, from.sites[left],
                   plan.sites[site].format());
    };
    plan.attention_output =
        before_norm(from.attention_output, context, attention_output, plan.attention_norm);
    plan.ffn_hidden = fused(plan.ffn_hidden_site.form == Form::codes, Finish::gelu_codes, from.ffn_hidden,
                            from.sites[ffn_input], plan.ffn_hidden_site.rows.format());
    plan.ffn_output = before_norm(from.ffn_output, ffn_hidden, ffn_output, plan.output_norm);
  }
  pooler =
      linear(model->pooler, s.layers == 0 ? model->embeddings_norm_site : model->layers.back().sites[output]);
  pooler_site = InputSite(model->pooler_site, {&model->classifier.weight});
  classifier = linear(model->classifier, model->pooler_site);
}

void CpuExecutor::Network::check(const Tokens& tokens) const {
  for (std::size_t e = 0; e < tokens.examples; ++e) {
    if (tokens.length(e) == 0) fail_expected("example " + std::to_string(e), "at least one token", "none");
    for (std::size_t t = tokens.offsets[e]; t < tokens.offsets[e + 1]; ++t) {
      const auto inside = [&](const char* what, long long value, std::size_t limit) {
        if (value < 0 || static_cast<std::size_t>(value) >= limit) {
          fail_expected("example " + std::to_string(e) + ", token " + std::to_string(t - tokens.offsets[e]),
                        std::string("a ") + what + " below " + std::to_string(limit), std::to_string(value));
        }
      };
      inside("token id", tokens.ids[t], shape().vocabulary);
      inside("position", tokens.positions[t], shape().positions);
      inside("token type", tokens.types[t], shape().token_types);
    }
    if (tokens.length(e) > shape().positions)
      fail_expected("example " + std::to_string(e),
                    "at most " + std::to_string(shape().positions) + " tokens",
                    std::to_string(tokens.length(e)));
  }
}

void CpuExecutor::Network::reserve(int threads, std::size_t rows, std::size_t longest) {
  const Shape& s = shape();
  const auto count = static_cast<std::size_t>(threads);
  if (workspaces.size() < count) workspaces.resize(count);
  if (scratch.size() < count) scratch.resize(count);
  if (profiles.size() < count) profiles.resize(count);
  constexpr std::size_t slack = 64;
  for (std::size_t t = 0; t < count; ++t) {
    Workspace& w = workspaces[t];
    scratch[t].reserve(longest, s.head_size());
    for (AlignedVector<float>* v :
         {&w.hidden, &w.ffn_input, &w.products, &w.context, &w.query, &w.key, &w.value})
      if (v->size() < rows * s.hidden) v->resize(rows * s.hidden);
    if (w.wide.size() < rows * s.intermediate) w.wide.resize(rows * s.intermediate);
    for (AlignedVector<std::uint8_t>* v : {&w.query_codes, &w.key_codes, &w.value_codes, &w.product_codes})
      if (v->size() < rows * s.hidden + slack) v->resize(rows * s.hidden + slack);
    for (AlignedVector<float>* v : {&w.query_scale, &w.key_scale, &w.value_scale})
      if (v->size() < rows) v->resize(rows);
    for (AlignedVector<std::int32_t>* v : {&w.query_zero, &w.key_zero, &w.value_zero})
      if (v->size() < rows) v->resize(rows);
  }
}

void CpuExecutor::Network::embed(const Tokens& tokens, std::size_t begin, std::size_t count, Workspace& w,
                                 Member member, int thread) {
  const std::size_t hidden = shape().hidden;
  const Weight &words = model->word_embeddings, &types = model->token_type_embeddings,
               &places = model->position_embeddings;
  const auto add_row = [hidden](const Weight& table, std::size_t row, float* out, bool first) {
    if (table.is_integer()) {
      const std::int8_t* codes = table.codes.data() + row * hidden;
      const float scale = table.scale(row);
      if (first) {
        for (std::size_t j = 0; j < hidden; ++j) out[j] = scale * static_cast<float>(codes[j]);
      } else {
        for (std::size_t j = 0; j < hidden; ++j) out[j] += scale * static_cast<float>(codes[j]);
      }
      return;
    }
    const float* values = table.values.data() + row * hidden;
    if (first) {
      std::copy_n(values, hidden, out);
    } else {
      for (std::size_t j = 0; j < hidden; ++j) out[j] += values[j];
    }
  };
  if (member.rank == 0) embeddings_norm.reserve(w.left_hidden, count, hidden);
  member.wait();
  over_rows(count, member, [&](std::size_t r, std::size_t n) {
    float* rows = w.products.data() + r * hidden;
    timed(&Profile::rest, thread, [&] {
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t t = begin + r + i;
        add_row(words, static_cast<std::size_t>(tokens.ids[t]), rows + i * hidden, true);
        add_row(types, tokens.types[t], rows + i * hidden, false);
        add_row(places, static_cast<std::size_t>(tokens.positions[t]), rows + i * hidden, false);
      }
    });
    norm_rows(embeddings_plan, {w.products.data(), nullptr, nullptr, w.hidden.data(), w.left_hidden}, begin,
              r, n, thread);
  });
  member.wait();
}

void CpuExecutor::Network::norm_rows(const NormPlan& plan, const NormRows& group, std::size_t row0,
                                     std::size_t r, std::size_t n, int thread) {
  const std::size_t hidden = shape().hidden, at = r * hidden;
  float *values = group.values + at, *out = group.out + at;
  const std::uint8_t* product = group.product ? group.product + at : nullptr;
  const float* residual = group.residual ? group.residual + at : nullptr;
  const RowFormat& format = plan.site->rows.format();
  if (options.observer && plan.sum_index > 0) {
    if (product) {
      observe_codes(plan.sum_index - 1, *plan.product, product, hidden, row0 + r, n, hidden);
    } else {
      std::vector<float> seen(values, values + n * hidden);
      row_kernels().round_trip(*plan.product, seen.data(), n, hidden, hidden);
      observe(plan.sum_index - 1, seen.data(), row0 + r, 0, n, hidden);
    }
  }
  if (plan.is_static) {
    timed(&Profile::rest, thread, [&] {
      StaticNorm norm;
      norm.product_site = plan.product;
      norm.sum_site = plan.sum;
      norm.norm_site = &format;
      norm.values = values;
      norm.product = product;
      norm.residual = residual;
      norm.gain = plan.norm->gain.data();
      norm.bias = plan.norm->bias.data();
      norm.epsilon = shape().epsilon;
      norm.out = out;
      norm.stride = group.left.stride();
      norm.codes = group.left.low() + r * norm.stride;
      row_kernels().static_norm(norm, n, hidden);
    });
  } else {
    timed(&Profile::rest, thread, [&] {
      row_kernels().residual_norm(*plan.product, *plan.sum, values, residual, out, n, hidden,
                                  plan.norm->gain.data(), plan.norm->bias.data(), shape().epsilon);
    });
    timed(&Profile::quantize, thread, [&] { group.left.encode(format, group.out, r, n); });
  }
  if (options.observer) {
    std::vector<float> sum(values, values + n * hidden);
    for (float& v : sum) v *= plan.is_static ? plan.sum->scale : 1.0f;  // of steps
    observe(plan.sum_index, sum.data(), row0 + r, 0, n, hidden);
    observe(plan.sum_index + 1, out, row0 + r, 0, n, hidden);
  }
}

void CpuExecutor::Network::project(std::size_t layer, std::initializer_list<LayerSite> sites,
                                   std::size_t rows, std::size_t row0, Workspace& w, Member member,
                                   int thread) {
  const LayerPlan& plan = layers[layer];
  const std::size_t hidden = shape().hidden;
  const LeftRows left = w.left_hidden.rows(w.hidden.data());
  struct Part {
    const PackedLinear& linear;
    LayerSite site;
    float* values;
    std::uint8_t* codes;
    float* scale;
    std::int32_t* zero;
    bool as_codes;
  };
  const Part parts[] = {
      {plan.query, query, w.query.data(), w.query_codes.data(), w.query_scale.data(), w.query_zero.data(),
       plan.attention.integer_scores},
      {plan.key, key, w.key.data(), w.key_codes.data(), w.key_scale.data(), w.key_zero.data(),
       plan.attention.integer_scores},
      {plan.value, value, w.value.data(), w.value_codes.data(), w.value_scale.data(), w.value_zero.data(),
       plan.attention.integer_context},
  };
  static_assert(key == query + 1 && value == query + 2, "in the order of the sites");
  for (const LayerSite site : sites) {
    const Part& part = parts[site - query];
    const RowFormat& format = plan.sites[part.site].format();
    void* const target = part.linear.gives_codes() ? static_cast<void*>(part.codes) : part.values;
    multiply(part.linear, left, rows, member, {target, hidden}, thread);
    if (member.rank == 0 && part.as_codes && format.kind == Kind::tensor) {
      std::fill_n(part.scale, rows, format.scale);
      std::fill_n(part.zero, rows, static_cast<std::int32_t>(format.offset));
    }
  }
  member.wait();
  bool any = false;
  for (const LayerSite site : sites) {
    const Part& part = parts[site - query];
    const RowFormat& format = plan.sites[part.site].format();
    if (part.linear.gives_codes()) {
      if (member.rank == 0)
        observe_codes(model->site_index(layer, part.site), format, part.codes, hidden, row0, rows, hidden);
      continue;
    }
    any = true;
    over_rows(rows, member, [&](std::size_t r, std::size_t n) {
      timed(&Profile::quantize, thread, [&] {
        float* values = part.values + r * hidden;
        if (part.as_codes) {
          row_kernels().encode(format, values, n, hidden, hidden,
                               {part.codes + r * hidden, nullptr, hidden, part.scale + r, part.zero + r});
        } else {
          row_kernels().round_trip(format, values, n, hidden, hidden);
        }
      });
      observe(model->site_index(layer, part.site), part.values, row0, r, n, hidden);
    });
  }
  if (any) member.wait();
}

void CpuExecutor::Network::attend_all(std::size_t layer, const Tokens& tokens, std::size_t first,
                                      std::size_t last, bool first_alone, Workspace& w, Member member,
                                      int thread) {
  const LayerPlan& plan = layers[layer];
  const std::size_t hidden = shape().hidden, begin = tokens.offsets[first],
                    rows = first_alone ? last - first : tokens.offsets[last] - begin;
  if (member.rank == 0) plan.context.reserve(w.left_context, rows, hidden);
  member.wait();
  const auto task_of = [&](std::size_t example, std::size_t head) {
    AttentionTask task;
    task.first = tokens.offsets[example] - begin;
    task.length = tokens.length(example);
    task.first_query = first_alone ? example - first : task.first;
    task.queries = first_alone ? 1 : task.length;
    task.head = head;
    task.query = {w.query_codes.data(), w.query.data(), w.query_scale.data(), w.query_zero.data()};
    task.key = {w.key_codes.data(), w.key.data(), w.key_scale.data(), w.key_zero.data()};
    task.value = {w.value_codes.data(), w.value.data(), w.value_scale.data(), w.value_zero.data()};
    task.context_codes = w.left_context.low();
    task.context_stride = w.left_context.stride();
    task.context_values = w.context.data();
    task.observer = options.observer;
    task.scores_site = model->site_index(layer, scores);
    task.observer_row = tokens.offsets[example];
    if (options.profile) task.profile = &profiles[static_cast<std::size_t>(thread)].seconds;
    return task;
  };
  const auto [from, to] = member.share((last - first) * shape().heads, 1);
  for (std::size_t i = from; i < to; ++i) {
    attend(plan.attention, task_of(first + i / shape().heads, i % shape().heads),
           scratch[static_cast<std::size_t>(thread)]);
  }
  member.wait();
  if (plan.fuse_context) {
    if (member.rank == 0)
      observe_codes(model->site_index(layer, context), plan.context.rows.format(), w.left_context.low(),
                    w.left_context.stride(), begin, rows, hidden);
    return;
  }
  over_rows(rows, member, [&](std::size_t r, std::size_t n) {
    timed(&Profile::quantize, thread,
          [&] { w.left_context.encode(plan.context.rows.format(), w.context.data(), r, n); });
    observe(model->site_index(layer, context), w.context.data(), begin, r, n, hidden);
  });
  member.wait();
}

void CpuExecutor::Network::feed_forward(std::size_t layer, std::size_t rows, std::size_t row0, Workspace& w,
                                        Member member, int thread) {
  const LayerPlan& plan = layers[layer];
  const std::size_t hidden = shape().hidden, wide = shape().intermediate;
  multiply(plan.attention_output, w.left_context.rows(w.context.data()), rows, member,
           product_target(plan.attention_output, w), thread);
  if (member.rank == 0) {
    plan.ffn_input.reserve(w.left_ffn_input, rows, hidden);
    plan.ffn_hidden_site.reserve(w.left_ffn_hidden, rows, wide);
  }
  member.wait();

  over_rows(rows, member, [&](std::size_t r, std::size_t n) {
    norm_rows(plan.attention_norm,
              {w.products.data(), product_codes(plan.attention_output, w), w.hidden.data(),
               w.ffn_input.data(), w.left_ffn_input},
              row0, r, n, thread);
  });
  member.wait();

  const LeftRows left = w.left_ffn_input.rows(w.ffn_input.data());
  if (plan.ffn_hidden.gives_codes()) {
    multiply(plan.ffn_hidden, left, rows, member, {w.left_ffn_hidden.low(), w.left_ffn_hidden.stride()},
             thread);
  } else {
    multiply(plan.ffn_hidden, left, rows, member, {w.wide.data(), wide}, thread);
    member.wait();
    over_rows(rows, member, [&](std::size_t r, std::size_t n) {
      timed(&Profile::rest, thread, [&] { row_kernels().gelu(w.wide.data() + r * wide, n * wide); });
      timed(&Profile::quantize, thread,
            [&] { w.left_ffn_hidden.encode(plan.ffn_hidden_site.rows.format(), w.wide.data(), r, n); });
      observe(model->site_index(layer, ffn_hidden), w.wide.data(), row0, r, n, wide);
    });
  }
  member.wait();
  if (plan.ffn_hidden.gives_codes() && member.rank == 0)
    observe_codes(model->site_index(layer, ffn_hidden), plan.ffn_hidden_site.rows.format(),
                  w.left_ffn_hidden.low(), w.left_ffn_hidden.stride(), row0, rows, wide);
  multiply(plan.ffn_output, w.left_ffn_hidden.rows(w.wide.data()), rows, member,
           product_target(plan.ffn_output, w), thread);
  if (member.rank == 0) plan.output.reserve(w.left_hidden, rows, hidden);
  member.wait();
  over_rows(rows, member, [&](std::size_t r, std::size_t n) {
    norm_rows(plan.output_norm,
              {w.products.data(), product_codes(plan.ffn_output, w), w.ffn_input.data(), w.hidden.data(),
               w.left_hidden},
              row0, r, n, thread);
  });
  member.wait();
}

void CpuExecutor::Network::run_group(const Tokens& tokens, std::size_t first, std::size_t last, Workspace& w,
                                     Member member, int thread, LeftBuffer& first_tokens,
                                     AlignedVector<float>& first_values) {
  const std::size_t begin = tokens.offsets[first], rows = tokens.offsets[last] - begin,
                    hidden = shape().hidden;
  // No logit depends on what the last layer makes of other tokens than each example's first; an observer sees
  // them all.
  const std::size_t short_layer = options.observer ? layers.size() : layers.size() - 1;
  embed(tokens, begin, rows, w, member, thread);
  bool first_alone = false;
  const auto keep_first = [&] {
    if (member.rank == 0) {
      for (std::size_t e = first; e < last; ++e) {
        const std::size_t row = tokens.offsets[e] - begin;
        w.left_hidden.copy_row(w.left_hidden, row, e - first);
        std::copy_n(w.hidden.data() + row * hidden, hidden, w.hidden.data() + (e - first) * hidden);
      }
    }
    first_alone = true;
    member.wait();
  };
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (i == short_layer) {
      project(i, {key, value}, rows, begin, w, member, thread);
      keep_first();
      project(i, {query}, last - first, begin, w, member, thread);
    } else {
      project(i, {query, key, value}, rows, begin, w, member, thread);
    }
    attend_all(i, tokens, first, last, first_alone, w, member, thread);
    feed_forward(i, first_alone ? last - first : rows, begin, w, member, thread);
  }
  if (!first_alone) keep_first();
  if (member.rank == 0) {
    for (std::size_t e = first; e < last; ++e) {
      first_tokens.copy_row(w.left_hidden, e - first, e);
      std::copy_n(w.hidden.data() + (e - first) * hidden, hidden, first_values.data() + e * hidden);
    }
  }
  member.wait();
}

void CpuExecutor::Network::classify(std::size_t examples, LeftBuffer& left, AlignedVector<float>& values,
                                    float* logits) {
  const std::size_t hidden = shape().hidden;
  AlignedVector<float> pooled(examples * hidden);
  LeftBuffer pooled_left;
  pooler_site.reserve(pooled_left, examples, hidden);
  pooler.apply(left.rows(values.data()), examples, 0, hidden, {pooled.data(), hidden});
  model_kernels().tanh(pooled.data(), examples * hidden);
  pooled_left.encode(pooler_site.rows.format(), pooled.data(), 0, examples);
  observe(model->site_count() - 1, pooled.data(), 0, 0, examples, hidden);
  classifier.apply(pooled_left.rows(pooled.data()), examples, 0, shape().labels, {logits, shape().labels});
}

CpuExecutor::CpuExecutor(std::shared_ptr<const Model> model, const CpuOptions& options)
    : network_(std::make_unique<Network>(std::move(model), options)) {}
CpuExecutor::~CpuExecutor() = default;

void CpuExecutor::logits(const Tokens& tokens, float* logits) {
  Network& net = *network_;
  if (tokens.examples == 0) return;
  net.check(tokens);
  const int threads = net.options.threads > 0 ? net.options.threads : outlierlab::threads();
  const auto width = static_cast<std::size_t>(threads);

  // Whole examples, about as many rows in each group, a multiple of the threads in number.
  const std::size_t aim = rows_per_group(tokens.count(), width);
  std::vector<std::size_t> starts = {0};
  std::size_t longest = 0, most_rows = 0;
  for (std::size_t e = 0; e < tokens.examples; ++e) {
    longest = std::max(longest, tokens.length(e));
    const std::size_t rows = tokens.offsets[e + 1] - tokens.offsets[starts.back()];
    if (rows > std::min(net.max_rows, aim + tokens.length(e) / 2) && e > starts.back()) starts.push_back(e);
    most_rows = std::max(most_rows, tokens.offsets[e + 1] - tokens.offsets[starts.back()]);
  }
  starts.push_back(tokens.examples);
  const std::size_t groups = starts.size() - 1;
  const bool one_team = groups < width;
  net.reserve(threads, most_rows, longest);

  const InputSite& last_site = net.layers.empty() ? net.embeddings_norm : net.layers.back().output;
  LeftBuffer first_tokens;
  last_site.reserve(first_tokens, tokens.examples, net.shape().hidden);
  AlignedVector<float> first_values(tokens.examples * net.shape().hidden);

  const auto run = [&](std::size_t g, Workspace& w, Member member, int thread) {
    net.run_group(tokens, starts[g], starts[g + 1], w, member, thread, first_tokens, first_values);
  };
  if (threads == 1 || omp_in_parallel()) {
    Team alone(1);
    for (std::size_t g = 0; g < groups; ++g) run(g, net.workspaces[0], {&alone, 0}, 0);
  } else {
    Team all(threads);
    std::atomic<std::size_t> next{0};
#pragma omp parallel num_threads(threads)
    {
      const int thread = omp_get_thread_num();
      if (one_team && omp_get_num_threads() == threads) {
        for (std::size_t g = 0; g < groups; ++g) run(g, net.workspaces[0], {&all, thread}, thread);
      } else {
        Team alone(1);
        for (std::size_t g = next++; g < groups; g = next++) {
          run(g, net.workspaces[static_cast<std::size_t>(thread)], {&alone, 0}, thread);
        }
      }
    }
  }
  net.classify(tokens.examples, first_tokens, first_values, logits);
}

const Shape& CpuExecutor::shape() const {
  return network_->shape();
}

std::string CpuExecutor::description() const {
  std::string text = std::string("cpu ") + int8_kernels().name;
  if (network_->options.real == RealPrecision::bfloat16) text += std::string(", ") + bf16_kernels().name;
  return text;
}

std::size_t CpuExecutor::bytes() const {
  const Network& net = *network_;
  std::size_t bytes = net.pooler.bytes() + net.classifier.bytes();
  for (const LayerPlan& plan : net.layers) {
    for (const PackedLinear* linear :
         {&plan.query, &plan.key, &plan.value, &plan.attention_output, &plan.ffn_hidden, &plan.ffn_output}) {
      bytes += linear->bytes();
    }
  }
  for (const Weight* table :
       {&net.model->word_embeddings, &net.model->position_embeddings, &net.model->token_type_embeddings}) {
    bytes += table->codes.size() + table->values.size() * sizeof(float);
  }
  for (const Workspace& w : net.workspaces) {
    for (const AlignedVector<float>* v :
         {&w.hidden, &w.ffn_input, &w.products, &w.wide, &w.context, &w.query, &w.key, &w.value})
      bytes += v->size() * sizeof(float);
    for (const LeftBuffer* left : {&w.left_hidden, &w.left_context, &w.left_ffn_input, &w.left_ffn_hidden})
      bytes += left->bytes();
    bytes += w.query_codes.size() + w.key_codes.size() + w.value_codes.size() + w.product_codes.size();
  }
  return bytes;
}

Profile CpuExecutor::take_profile() {
  Profile sum;
  for (ThreadProfile& part : network_->profiles) {
    for (double Profile::*field :
         {&Profile::quantize, &Profile::gemm, &Profile::dequantize, &Profile::rest, &Profile::repeated})
      sum.*field += part.seconds.*field;
    part = ThreadProfile();
  }
  return sum;
}

}  // namespace outlierlab::engine
