#include "model/runner.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/parallel.h"
#include "kernels/kernels.h"

namespace outlierlab {

namespace {

/// A weight in the panels that the product reads, with its bias.
struct PackedLinear {
  std::size_t in = 0, out = 0;
  AlignedVector<float> panels, bias;

  PackedLinear() = default;
  explicit PackedLinear(const Linear& linear)
      : in(linear.weight.cols()),
        out(linear.weight.rows()),
        panels(packed_size(out, in)),
        bias(linear.bias.begin(), linear.bias.end()) {
    parallel_chunks(out, 16 * panel_width, [&](std::size_t begin, std::size_t end, int) {
      pack_transposed(linear.weight.row(begin), in, end - begin, in, panels.data() + begin * in);
    });
  }

  /// Rows of a and c are `lda` and `ldc` apart.
  void apply(const ModelKernels& kernels, const float* a, std::size_t lda, std::size_t rows, float* c,
             std::size_t ldc) const {
    kernels.gemm(a, lda, rows, in, panels.data(), out, bias.empty() ? nullptr : bias.data(), 1.0f, c, ldc);
  }
};

struct PackedLayer {
  PackedLinear query, key, value, attention_output, ffn_hidden, ffn_output;
  LayerNormWeights attention_norm, output_norm;
};

/// Per-thread memory that grows to what the largest tile needs and is then re-used.
struct Scratch {
  AlignedVector<float> keys, values, scores;
  SpreadMatrix tile, hidden;
  static float* at_least(AlignedVector<float>& buffer, std::size_t count) {
    if (buffer.size() < count) buffer.resize(count);
    return buffer.data();
  }
};

Scratch& scratch() {
  thread_local Scratch memory;
  return memory;
}

/// Rows per work item: a few register tiles (or what a hook would rather see), and as many items for each
/// thread as for the others.
std::size_t rows_per_chunk(std::size_t rows, const SiteHook* hook) {
  const std::size_t most = std::max<std::size_t>(56, hook ? hook->preferred_rows() : 0);
  const auto width = static_cast<std::size_t>(threads());
  const std::size_t share = (rows + width - 1) / width;
  const std::size_t chunks = std::max<std::size_t>(1, (share + most - 1) / most);
  return std::max(model_kernels().row_tile, (share + chunks - 1) / chunks);
}

/// Rows that one thread works on.
struct Rows {
  std::size_t begin, end;
  int thread;
  std::size_t count() const { return end - begin; }
};
using RowsBody = std::function<void(Rows)>;

/// The rows of a layer's queries, and so of all that follows them in it: every token's, or each example's
/// first alone.
class QueryRows {
 public:
  QueryRows(const Batch& batch, bool first_alone) : batch_(batch), first_alone_(first_alone) {
    if (!first_alone) return;
    for (std::size_t e = 0; e < batch.size(); ++e) first_tokens_.push_back(batch.tokens[batch.offsets[e]]);
  }
  bool first_alone() const { return first_alone_; }
  std::size_t count() const { return first_alone_ ? batch_.size() : batch_.token_count(); }
  /// Of one example.
  std::size_t begin(std::size_t example) const { return first_alone_ ? example : batch_.offsets[example]; }
  std::size_t count(std::size_t example) const { return first_alone_ ? 1 : batch_.length(example); }
  const TokenId* tokens(std::size_t row) const {
    return (first_alone_ ? first_tokens_ : batch_.tokens).data() + row;
  }

 private:
  const Batch& batch_;
  bool first_alone_;
  std::vector<TokenId> first_tokens_;
};

/// Of hidden states [tokens, hidden] each example's first.
void first_rows(const Batch& batch, const Matrix& hidden, Matrix& out) {
  out.resize(batch.size(), hidden.cols());
  for (std::size_t e = 0; e < batch.size(); ++e)
    std::copy_n(hidden.row(batch.offsets[e]), hidden.cols(), out.row(e));
}

/// Takes every row through the phases. A chunk goes through all of them at once, unless a hook would rather
/// see many rows: then a thread's chunks go through one phase after the other, so that the phase's weights
/// and what the hook keeps of its sites are not pushed out of the caches by those of the others.
void in_phases(std::size_t rows, const SiteHook* hook, const std::vector<RowsBody>& phases) {
  const std::size_t chunk = rows_per_chunk(rows, hook);
  if (hook && hook->preferred_rows() > 0) {
    std::vector<ChunkBody> bodies;
    for (const RowsBody& phase : phases) {
      bodies.push_back([&](std::size_t begin, std::size_t end, int thread) { phase({begin, end, thread}); });
    }
    parallel_phases(rows, chunk, bodies);
  } else {
    parallel_chunks(rows, chunk, [&](std::size_t begin, std::size_t end, int thread) {
      for (const RowsBody& phase : phases) phase({begin, end, thread});
    });
  }
}

/// Calls body(rows) a register tile at a time (or what a hook would rather see), so that what happens to the
/// rows one after the other stays in the cache.
template <typename Body>
void in_tiles(Rows rows, const SiteHook* hook, const Body& body) {
  const std::size_t height = std::max(model_kernels().row_tile, hook ? hook->preferred_rows() : 0);
  for (std::size_t r = rows.begin; r < rows.end; r += height) {
    body(Rows{r, std::min(r + height, rows.end), rows.thread});
  }
}

}  // namespace

struct BertRunner::Packed {
  BertConfig config;
  SiteTable sites;
  Matrix word, position, token_type;
  LayerNormWeights embeddings_norm;
  std::vector<PackedLayer> layers;
  PackedLinear pooler, classifier;
  PackedLinear mlm_transform, mlm_decoder;
  LayerNormWeights mlm_norm;
  bool has_mlm = false;
  const ModelKernels* kernels = &model_kernels();

  /// All but the embeddings.
  explicit Packed(const BertWeights& weights)
      : config(weights.config), sites(weights.config), embeddings_norm(weights.embeddings_norm) {
    for (const BertLayerWeights& layer : weights.layers) {
      layers.push_back({PackedLinear(layer.query), PackedLinear(layer.key), PackedLinear(layer.value),
                        PackedLinear(layer.attention_output), PackedLinear(layer.ffn_hidden),
                        PackedLinear(layer.ffn_output), layer.attention_norm, layer.output_norm});
    }
    if (!weights.pooler.weight.empty()) pooler = PackedLinear(weights.pooler);
    if (!weights.classifier.weight.empty()) classifier = PackedLinear(weights.classifier);
    if (weights.mlm) {
      has_mlm = true;
      mlm_transform = PackedLinear(weights.mlm->transform);
      mlm_norm = weights.mlm->norm;
      mlm_decoder = PackedLinear(Linear{weights.word_embeddings, weights.mlm->decoder_bias});
    }
  }

  /// Offers a tile of a site to the hook, if there is one.
  void visit(SiteHook* hook, SiteKind kind, int layer, float* data, std::size_t rows, std::size_t cols,
             std::size_t stride, const TokenId* tokens, int thread, int channel = -1) const {
    if (!hook || rows == 0) return;
    hook->visit({sites.index(kind, layer), data, rows, cols, stride, channel, tokens}, thread);
  }

  /// Offers the rows `tile`, which lie in the matrix from `row` on.
  template <typename AnyMatrix>
  void visit_rows(SiteHook* hook, SiteKind kind, std::size_t layer, AnyMatrix& matrix, std::size_t row,
                  Rows tile, const QueryRows& queries) const {
    visit(hook, kind, static_cast<int>(layer), matrix.row(row), tile.count(), matrix.cols(), matrix.stride(),
          queries.tokens(tile.begin), tile.thread);
  }

  /// Runs a product and tells the hook, if there is one, when.
  template <typename Product>
  static void announced(SiteHook* hook, int thread, const Product& product) {
    if (!hook) return product();
    hook->product_begins(thread);
    product();
    hook->product_ends(thread);
  }
  /// Rows `from` of a into rows from `to` on of c. Both are matrices of any kind.
  template <typename Left, typename Product>
  void multiply(const PackedLinear& linear, const Left& a, std::size_t from, std::size_t rows, Product& c,
                std::size_t to, SiteHook* hook, int thread) const {
    announced(hook, thread,
              [&] { linear.apply(*kernels, a.row(from), a.stride(), rows, c.row(to), c.stride()); });
  }

  void layer_norm(const LayerNormWeights& norm, const float* row, float* out) const {
    kernels->layer_norm(row, out, 1, norm.gain.size(), norm.gain.data(), norm.bias.data(),
                        config.layer_norm_epsilon);
  }

  void embed(const Batch& batch, SiteHook* hook, Matrix& out) const;
  void project(std::size_t layer, const Batch& batch, const Matrix& hidden, const QueryRows& queries,
               const Matrix& query_hidden, SiteHook* hook, SpreadMatrix& qkv) const;
  void attend(std::size_t layer, const Batch& batch, const QueryRows& queries, const SpreadMatrix& qkv,
              SiteHook* hook, SpreadMatrix& context) const;
  void attend_head(std::size_t layer, const Batch& batch, const QueryRows& queries, std::size_t example,
                   std::size_t head, const SpreadMatrix& qkv, SiteHook* hook, int thread,
                   SpreadMatrix& context) const;
  void finish_attention(std::size_t layer, const QueryRows& queries, SpreadMatrix& context,
                        const Matrix& hidden, SiteHook* hook, Rows rows, SpreadMatrix& ffn_input) const;
  void feed_forward(std::size_t layer, const QueryRows& queries, SpreadMatrix& ffn_input, SiteHook* hook,
                    Rows rows, Matrix& out) const;
  void run_layer(std::size_t layer, const Batch& batch, const Matrix& hidden, SiteHook* hook, Matrix& out,
                 bool first_alone = false) const;
  Matrix classify_first(const Batch& batch, const Matrix& first, SiteHook* hook) const;
  Matrix logits_from(std::size_t index, const Batch& batch, const Matrix& hidden, SiteHook* hook, Matrix& one,
                     Matrix& other) const;
};

void BertRunner::Packed::embed(const Batch& batch, SiteHook* hook, Matrix& out) const {
  batch.require_tokens(word.rows(), position.rows(), token_type.rows());
  const std::size_t width = config.hidden_size;
  out.resize(batch.token_count(), width);
  parallel_chunks(
      batch.token_count(), rows_per_chunk(batch.token_count(), hook),
      [&](std::size_t begin, std::size_t end, int thread) {
        for (std::size_t t = begin; t < end; ++t) {
          kernels->add(word.row(static_cast<std::size_t>(batch.token_ids[t])),
                       token_type.row(batch.token_types[t]), out.row(t), width);
          kernels->add(out.row(t), position.row(static_cast<std::size_t>(batch.positions[t])), out.row(t),
                       width);
        }
        const TokenId* tokens = batch.tokens.data() + begin;
        visit(hook, SiteKind::embeddings_sum, -1, out.row(begin), end - begin, width, width, tokens, thread);
        for (std::size_t t = begin; t < end; ++t) layer_norm(embeddings_norm, out.row(t), out.row(t));
        visit(hook, SiteKind::embeddings_norm, -1, out.row(begin), end - begin, width, width, tokens, thread);
      });
}

/// Queries of the rows that lie in `query_hidden`, keys and values of all, into columns of `qkv`.
void BertRunner::Packed::project(std::size_t layer, const Batch& batch, const Matrix& hidden,
                                 const QueryRows& queries, const Matrix& query_hidden, SiteHook* hook,
                                 SpreadMatrix& qkv) const {
  const std::size_t width = config.hidden_size;
  qkv.resize(hidden.rows(), 3 * width);
  const PackedLayer& weights = layers[layer];
  const auto part = [&](SiteKind kind, const PackedLinear& linear, std::size_t column, const Matrix& left,
                        const TokenId* tokens) -> RowsBody {
    return [&, kind, column, tokens](Rows rows) {
      float* to = qkv.row(rows.begin) + column;
      announced(hook, rows.thread, [&] {
        linear.apply(*kernels, left.row(rows.begin), left.stride(), rows.count(), to, qkv.stride());
      });
      visit(hook, kind, static_cast<int>(layer), to, rows.count(), width, qkv.stride(), tokens + rows.begin,
            rows.thread);
    };
  };
  const RowsBody query = part(SiteKind::query, weights.query, 0, query_hidden, queries.tokens(0)),
                 key = part(SiteKind::key, weights.key, width, hidden, batch.tokens.data()),
                 value = part(SiteKind::value, weights.value, 2 * width, hidden, batch.tokens.data());
  if (queries.first_alone()) {
    in_phases(hidden.rows(), hook, {key, value});
    in_phases(queries.count(), hook, {query});
  } else {
    in_phases(hidden.rows(), hook, {query, key, value});
  }
}

void BertRunner::Packed::attend_head(std::size_t layer, const Batch& batch, const QueryRows& queries,
                                     std::size_t example, std::size_t head, const SpreadMatrix& qkv,
                                     SiteHook* hook, int thread, SpreadMatrix& context) const {
  const ModelKernels& kernel = *kernels;
  const std::size_t width = config.hidden_size, depth = config.head_size();
  const std::size_t length = batch.length(example), first = queries.begin(example),
                    count = queries.count(example);
  const float *query = qkv.row(first) + head * depth,
              *key = qkv.row(batch.offsets[example]) + width + head * depth;
  Scratch& memory = scratch();
  float* keys = Scratch::at_least(memory.keys, packed_size(length, depth));
  float* values = Scratch::at_least(memory.values, packed_size(depth, length));
  float* scores = Scratch::at_least(memory.scores, count * length);
  pack_transposed(key, qkv.stride(), length, depth, keys);
  pack_rows(key + width, qkv.stride(), depth, length, values);

  const TokenId* tokens = queries.tokens(first);
  const int index = static_cast<int>(layer), channel = static_cast<int>(head);
  announced(hook, thread, [&] {
    kernel.gemm(query, qkv.stride(), count, depth, keys, length, nullptr,
                1.0f / std::sqrt(static_cast<float>(depth)), scores, length);
  });
  visit(hook, SiteKind::scores, index, scores, count, length, length, tokens, thread, channel);
  kernel.softmax(scores, count, length, length);
  visit(hook, SiteKind::probs, index, scores, count, length, length, tokens, thread, channel);
  announced(hook, thread, [&] {
    kernel.gemm(scores, length, count, length, values, depth, nullptr, 1.0f,
                context.row(first) + head * depth, context.stride());
  });
}

void BertRunner::Packed::attend(std::size_t layer, const Batch& batch, const QueryRows& queries,
                                const SpreadMatrix& qkv, SiteHook* hook, SpreadMatrix& context) const {
  context.resize(queries.count(), config.hidden_size);
  const std::size_t items = batch.size() * config.heads;
  parallel_chunks(items, 1, [&](std::size_t begin, std::size_t end, int thread) {
    for (std::size_t item = begin; item < end; ++item) {
      attend_head(layer, batch, queries, item / config.heads, item % config.heads, qkv, hook, thread,
                  context);
    }
  });
}

/// The context's projection, its residual sum and LayerNorm.
void BertRunner::Packed::finish_attention(std::size_t layer, const QueryRows& queries, SpreadMatrix& context,
                                          const Matrix& hidden, SiteHook* hook, Rows rows,
                                          SpreadMatrix& ffn_input) const {
  const PackedLayer& weights = layers[layer];
  const std::size_t width = config.hidden_size;
  SpreadMatrix& projected = scratch().tile;
  projected.resize(rows.count(), width);
  const auto offer = [&](SiteKind kind, SpreadMatrix& matrix, std::size_t row, Rows tile) {
    visit_rows(hook, kind, layer, matrix, row, tile, queries);
  };
  in_tiles(rows, hook, [&](Rows tile) { offer(SiteKind::context, context, tile.begin, tile); });
  multiply(weights.attention_output, context, rows.begin, rows.count(), projected, 0, hook, rows.thread);
  in_tiles(rows, hook, [&](Rows tile) {
    const std::size_t first = tile.begin - rows.begin;
    offer(SiteKind::attention_output, projected, first, tile);
    for (std::size_t r = tile.begin; r < tile.end; ++r) {
      float* row = projected.row(r - rows.begin);
      kernels->add(row, hidden.row(r), row, width);
    }
    offer(SiteKind::attention_residual, projected, first, tile);
    for (std::size_t r = tile.begin; r < tile.end; ++r) {
      layer_norm(weights.attention_norm, projected.row(r - rows.begin), ffn_input.row(r));
    }
    offer(SiteKind::ffn_input, ffn_input, tile.begin, tile);
  });
}

void BertRunner::Packed::feed_forward(std::size_t layer, const QueryRows& queries, SpreadMatrix& ffn_input,
                                      SiteHook* hook, Rows rows, Matrix& out) const {
  const PackedLayer& weights = layers[layer];
  const std::size_t width = config.hidden_size, wide = config.intermediate_size;
  SpreadMatrix &projected = scratch().tile, &ffn_hidden = scratch().hidden;
  projected.resize(rows.count(), width);
  ffn_hidden.resize(rows.count(), wide);
  const auto offer = [&](SiteKind kind, auto& matrix, std::size_t row, Rows tile) {
    visit_rows(hook, kind, layer, matrix, row, tile, queries);
  };
  multiply(weights.ffn_hidden, ffn_input, rows.begin, rows.count(), ffn_hidden, 0, hook, rows.thread);
  in_tiles(rows, hook, [&](Rows tile) {
    const std::size_t first = tile.begin - rows.begin;
    for (std::size_t r = first; r < first + tile.count(); ++r) kernels->gelu(ffn_hidden.row(r), wide);
    offer(SiteKind::ffn_hidden, ffn_hidden, first, tile);
  });
  multiply(weights.ffn_output, ffn_hidden, 0, rows.count(), projected, 0, hook, rows.thread);
  in_tiles(rows, hook, [&](Rows tile) {
    const std::size_t first = tile.begin - rows.begin;
    offer(SiteKind::ffn_output, projected, first, tile);
    for (std::size_t r = tile.begin; r < tile.end; ++r) {
      float* row = projected.row(r - rows.begin);
      kernels->add(ffn_input.row(r), row, row, width);
    }
    offer(SiteKind::ffn_residual, projected, first, tile);
    for (std::size_t r = tile.begin; r < tile.end; ++r) {
      layer_norm(weights.output_norm, projected.row(r - rows.begin), out.row(r));
    }
    offer(SiteKind::output, out, tile.begin, tile);
  });
}

void BertRunner::Packed::run_layer(std::size_t layer, const Batch& batch, const Matrix& hidden,
                                   SiteHook* hook, Matrix& out, bool first_alone) const {
  thread_local SpreadMatrix own_qkv, own_context, own_ffn_input;
  thread_local Matrix own_first;
  SpreadMatrix &qkv = own_qkv, &context = own_context, &ffn_input = own_ffn_input;  // not the workers' own
  const QueryRows queries(batch, first_alone);
  if (first_alone) first_rows(batch, hidden, own_first);
  const Matrix& residual = first_alone ? own_first : hidden;
  project(layer, batch, hidden, queries, residual, hook, qkv);
  attend(layer, batch, queries, qkv, hook, context);
  ffn_input.resize(queries.count(), config.hidden_size);
  out.resize(queries.count(), config.hidden_size);
  in_phases(queries.count(), hook,
            {[&](Rows rows) { finish_attention(layer, queries, context, residual, hook, rows, ffn_input); },
             [&](Rows rows) { feed_forward(layer, queries, ffn_input, hook, rows, out); }});
}

/// Takes each example's first row.
Matrix BertRunner::Packed::classify_first(const Batch& batch, const Matrix& first, SiteHook* hook) const {
  require_classifier(classifier.out != 0 && pooler.out != 0);
  const std::size_t width = config.hidden_size;
  Matrix pooled(batch.size(), width), logits(batch.size(), classifier.out);
  const QueryRows queries(batch, true);
  parallel_chunks(batch.size(), kernels->row_tile, [&](std::size_t begin, std::size_t end, int thread) {
    multiply(pooler, first, begin, end - begin, pooled, begin, hook, thread);
    kernels->tanh(pooled.row(begin), (end - begin) * width);
    visit(hook, SiteKind::pooler, -1, pooled.row(begin), end - begin, width, width, queries.tokens(begin),
          thread);
    multiply(classifier, pooled, begin, end - begin, logits, begin, hook, thread);
  });
  return logits;
}

/// Layers write to `one` and `other` in turn; `hidden` may be `other`.
Matrix BertRunner::Packed::logits_from(std::size_t index, const Batch& batch, const Matrix& hidden,
                                       SiteHook* hook, Matrix& one, Matrix& other) const {
  const bool first_alone = index < layers.size() && !(hook && hook->needs_all_rows());
  const Matrix* from = &hidden;
  for (std::size_t i = index; i < layers.size(); ++i) {
    Matrix& to = (i - index) % 2 == 0 ? one : other;
    run_layer(i, batch, *from, hook, to, first_alone && i + 1 == layers.size());
    from = &to;
  }
  if (first_alone) return classify_first(batch, *from, hook);
  Matrix first;
  first_rows(batch, *from, first);
  return classify_first(batch, first, hook);
}

BertRunner::BertRunner(const BertWeights& weights) : packed_(std::make_unique<Packed>(weights)) {
  packed_->word = weights.word_embeddings;
  packed_->position = weights.position_embeddings;
  packed_->token_type = weights.token_type_embeddings;
}

BertRunner::BertRunner(BertWeights&& weights) : packed_(std::make_unique<Packed>(weights)) {
  packed_->word = std::move(weights.word_embeddings);
  packed_->position = std::move(weights.position_embeddings);
  packed_->token_type = std::move(weights.token_type_embeddings);
}

BertRunner::~BertRunner() = default;
BertRunner::BertRunner(BertRunner&&) noexcept = default;
BertRunner& BertRunner::operator=(BertRunner&&) noexcept = default;

BertRunner BertRunner::copy() const {
  BertRunner copied;
  copied.packed_ = std::make_unique<Packed>(*packed_);
  return copied;
}

const BertConfig& BertRunner::config() const {
  return packed_->config;
}
const SiteTable& BertRunner::sites() const {
  return packed_->sites;
}

Matrix BertRunner::embed(const Batch& batch, SiteHook* hook) const {
  Matrix hidden;
  packed_->embed(batch, hook, hidden);
  return hidden;
}

Matrix BertRunner::layer(std::size_t index, const Batch& batch, const Matrix& hidden, SiteHook* hook) const {
  Matrix out;
  packed_->run_layer(index, batch, hidden, hook, out);
  return out;
}

Matrix BertRunner::classify(const Batch& batch, const Matrix& hidden, SiteHook* hook) const {
  return logits_from(packed_->layers.size(), batch, hidden, hook);
}

Matrix BertRunner::logits_from(std::size_t index, const Batch& batch, const Matrix& hidden,
                               SiteHook* hook) const {
  thread_local Matrix one, other;
  return packed_->logits_from(index, batch, hidden, hook, one, other);
}

Matrix BertRunner::logits(const Batch& batch, SiteHook* hook) const {
  thread_local Matrix hidden, next;
  packed_->embed(batch, hook, hidden);
  return packed_->logits_from(0, batch, hidden, hook, next, hidden);
}

Matrix BertRunner::mlm_logits(const Batch& batch, SiteHook* hook) const {
  if (!packed_->has_mlm) throw Error("the checkpoint has no masked-language-model head (cls.predictions.*)");
  Matrix hidden = embed(batch, hook);
  for (std::size_t i = 0; i < packed_->layers.size(); ++i) hidden = layer(i, batch, hidden, hook);
  Matrix transformed(hidden.rows(), hidden.cols()), logits(hidden.rows(), packed_->mlm_decoder.out);
  parallel_chunks(
      hidden.rows(), rows_per_chunk(hidden.rows(), hook), [&](std::size_t begin, std::size_t end, int) {
        const std::size_t rows = end - begin;
        packed_->multiply(packed_->mlm_transform, hidden, begin, rows, transformed, begin, nullptr, 0);
        for (std::size_t t = begin; t < end; ++t) {
          packed_->kernels->gelu(transformed.row(t), hidden.cols());
          packed_->layer_norm(packed_->mlm_norm, transformed.row(t), transformed.row(t));
        }
        packed_->multiply(packed_->mlm_decoder, transformed, begin, rows, logits, begin, nullptr, 0);
      });
  return logits;
}

}  // namespace outlierlab
