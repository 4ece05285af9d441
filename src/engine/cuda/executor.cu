#include "engine/cuda/executor.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <list>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/error.h"
#include "engine/cuda/attention.h"
#include "engine/cuda/graph_timer.h"
#include "engine/cuda/network.h"
#include "engine/cuda/products.h"
#include "engine/cuda/row_kernels.h"
#include "engine/cuda/runtime.h"
#include "engine/refusal.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

namespace {

using Kind = SiteFormat::Kind;

/// Graphs that are kept, the last used ones.
constexpr std::size_t most_graphs = 32;
/// Buffers grow in steps of so many rows.
constexpr int row_step = 128;

RealType type_of(RealPrecision precision) {
  switch (precision) {
    case RealPrecision::float32:
      return RealType::float32;
    case RealPrecision::bfloat16:
      return RealType::bfloat16;
    default:
      return RealType::float16;
  }
}

bool has_codes(const Model& model) {
  for (std::size_t i = 0; i < model.site_count(); ++i) {
    if (model.site(i).kind != Kind::real) return true;
  }
  return false;
}

/// A grid of at most 255 steps from 0 that ends within float16's range: rounding to float16 moves a value by
/// an eighth of a step at most, and an infinity gets the end's code, as what it was made of does.
bool absorbs_float16(const SiteFormat& site) {
  constexpr float largest = 65504.0f;
  if (!on_one_grid_of_bytes(site)) return false;
  const float zero = static_cast<float>(site.zero[0]);
  return (static_cast<float>(site.qmax()) - zero) * site.scale[0] <= largest &&
         (static_cast<float>(site.qmin()) - zero) * site.scale[0] >= -largest;
}

/// As KernelTime names what encodes a projection that its product cannot.
constexpr const char* projection_kernels[3] = {"query", "key", "value"};

/// Activations of a batch.
struct Workspace {
  int rows = 0, examples = 0;
  DeviceArray<unsigned char> tokens;  ///< as TokenViews divides it
  DeviceArray<float> wide;            ///< a product's result, with room for float32
  DeviceArray<float> context;         ///< the same of attention's
  DeviceArray<std::int8_t> projection_codes;
  DeviceArray<unsigned char> projection_reals;
  DeviceArray<float> projection_scale[3];
  DeviceArray<std::int32_t> projection_zero[3];
  DeviceArray<std::int8_t> product_codes;
  DeviceArray<float> logits;
  DeviceArray<float> seen[3], seen_scores, seen_probs;
};

/// Where a batch's tokens lie: offsets [examples + 1], ids [rows], positions [rows], types [rows].
struct TokenViews {
  const std::int32_t *offsets, *ids, *positions;
  const std::uint8_t* types;

  TokenViews(const unsigned char* begin, std::size_t rows, std::size_t examples)
      : offsets(reinterpret_cast<const std::int32_t*>(begin)),
        ids(offsets + examples + 1),
        positions(ids + rows),
        types(reinterpret_cast<const std::uint8_t*>(positions + rows)) {}
  static std::size_t bytes(std::size_t rows, std::size_t examples) {
    return (examples + 1 + 2 * rows) * sizeof(std::int32_t) + rows;
  }
};

/// Operands of one layer; layers of one form share memory.
struct LayerOperands {
  const Operand *input = nullptr, *context = nullptr, *ffn_input = nullptr, *ffn_hidden = nullptr,
                *output = nullptr;
};

/// Host memory that the device reads and writes directly.
class Pinned {
 public:
  Pinned() = default;
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  ~Pinned() { release_pinned(data_); }
  unsigned char* reserve(std::size_t bytes) {
    if (bytes > size_) {
      release_pinned(data_);
      data_ = nullptr;
      size_ = 0;
      data_ = allocate_pinned(bytes);
      size_ = bytes;
    }
    return static_cast<unsigned char*>(data_);
  }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

class Implementation : public CudaExecutor {
 public:
  Implementation(std::shared_ptr<const Model> model, const CudaOptions& options);
  void logits(const Tokens& tokens, float* logits) override;
  const Shape& shape() const override { return model_->shape; }
  std::string description() const override;
  std::size_t bytes() const override { return bytes_; }
  Profile take_profile() override { return std::exchange(profile_, Profile()); }
  std::vector<ProductTime> product_times() const override { return products_.times(); }
  std::vector<std::string> dropped() const override { return products_.dropped(); }
  std::vector<KernelTime> take_kernel_times() override { return std::exchange(kernels_, {}); }

 private:
  /// What kernels' launches depend on, beside the contents of device memory.
  struct BatchShape {
    int examples = 0, rows = 0, longest = 0;
    bool operator==(const BatchShape& o) const {
      return examples == o.examples && rows == o.rows && longest == o.longest;
    }
  };
  struct KnownShape {
    BatchShape shape;
    bool captured = false;
    Graph graph;
  };

  void check(const Tokens& tokens) const;
  void reserve(const BatchShape& batch);
  void upload(const Tokens& tokens, const BatchShape& batch);
  void forget_moved();
  void start_profile(const Tokens& tokens, const BatchShape& batch);
  void pass(const BatchShape& batch);
  void embed(const BatchShape& batch);
  void project(std::size_t layer, const BatchShape& batch);
  void attend_all(std::size_t layer, const BatchShape& batch, bool first_alone);
  /// What follows the attention, of so many rows; `residual`: what entered the layer.
  void feed_forward(std::size_t layer, const Operand& residual, int count);
  /// `first`: what the pooler reads, a row per example.
  void classify(const BatchShape& batch, const Operand& first);
  void multiply(const DeviceLinear& linear, const Operand& left, int rows, const ProductTarget& target);
  /// A product whose result meets the residual: as codes where its site has them, else as between() says.
  void residual_norm(std::size_t layer, const DeviceLinear& linear, const Operand& left,
                     LayerSite product_site, LayerSite sum_site, const Operand& residual,
                     const SiteLayout& residual_layout, const DeviceNorm& norm, LayerSite target_site,
                     const Operand& target, int count);
  void rows(const char* kernel, const RowTask& task);
  void gather(const Operand& from, const Operand& to, const BatchShape& batch);
  void show(std::size_t site, const DeviceArray<float>& values, int rows, int cols);
  void show_attention(std::size_t layer, const BatchShape& batch);
  TokenViews views(const BatchShape& batch) const {
    return {w_.tokens.data(), static_cast<std::size_t>(batch.rows), static_cast<std::size_t>(batch.examples)};
  }
  bool watched() const { return options_.observer != nullptr; }
  bool uses_graphs() const { return options_.graphs && !watched() && !options_.profile; }
  /// Of a product's result on its way to the row kernel. Beside codes that is float32, since outliers reach
  /// beyond float16's range and sums of codes lose the bits that decide about the next code; except, after a
  /// product of reals, where the site's grid takes no notice.
  RealType between(bool integer, const SiteFormat& site) const {
    if (watched()) return RealType::float32;
    return !coded_ || (!integer && real_ == RealType::float16 && absorbs_float16(site)) ? real_
                                                                                        : RealType::float32;
  }
  /// What the launch that has just been made takes.
  template <typename Launch>
  double profiled(const Launch& launch) {
    if (launch_ == launch_seconds_.size()) launch_seconds_.push_back(timer_.seconds(stream_, launch));
    return launch_seconds_[launch_++];
  }
  /// A kernel between the products, which describe() names.
  template <typename Launch, typename Describe>
  void between_products(const Launch& launch, const Describe& describe);

  std::shared_ptr<const Model> model_;
  CudaOptions options_;
  RealType real_;
  bool eight_;  ///< products with real weights are in e4m3
  bool coded_;  ///< some site has codes; else the model is the float16 or bfloat16 baseline
  DeviceFacts device_;
  std::size_t bytes_before_;  ///< what the process held before this executor was made
  std::size_t bytes_ = 0;
  StreamOwner stream_;
  Products products_;
  int hidden_stride_, wide_stride_, labels_stride_;
  DeviceNetwork net_;
  Workspace w_;
  std::vector<LayerOperands> operands_;
  std::list<OperandRows> owned_;
  /// Of each example's first token: what enters the last layer, unwatched, and what leaves it, watched.
  Operand first_inputs_, first_outputs_;
  Operand pooled_;
  Pinned staging_, result_;
  std::list<KnownShape> known_;
  unsigned generation_ = 0;
  // Of a profile.
  GraphTimer timer_;
  Profile profile_;
  BatchShape profiled_;                 ///< the batch whose launches are timed
  std::vector<double> launch_seconds_;  ///< of each launch of a pass, in their order
  std::size_t launch_ = 0;              ///< the next
  std::vector<KernelTime> kernels_;     ///< for take_kernel_times()
  double pairs_ = 0;                    ///< of queries and keys of one example
  const Tokens* tokens_ = nullptr;      ///< of the pass that an observer watches
};

Implementation::Implementation(std::shared_ptr<const Model> model, const CudaOptions& options)
    : model_(std::move(model)),
      options_(options),
      real_(type_of(options.real)),
      eight_(options.real == RealPrecision::float8),
      coded_(has_codes(*model_)),
      device_(use_device(options.device)),
      bytes_before_(device_bytes()),
      products_(device_, options.tune, options.way) {
  model_->check();
  require_precision(device_.name, device_.major, device_.minor, options.real);
  const Shape& s = shape();
  if (std::max(s.hidden, s.intermediate) > static_cast<std::size_t>(largest_row)) {
    refuse("CUDA executor", "hidden and intermediate sizes of at most " + std::to_string(largest_row),
           std::to_string(s.hidden) + " and " + std::to_string(s.intermediate));
  }
  const auto stride = [](std::size_t n) { return round_up(static_cast<int>(n), 16); };
  hidden_stride_ = stride(s.hidden);
  wide_stride_ = stride(std::max(s.hidden, s.intermediate));
  labels_stride_ = stride(s.labels);

  net_ = DeviceNetwork(*model_, {real_, eight_}, watched());
  bytes_ = device_bytes() - bytes_before_;
}

void Implementation::check(const Tokens& tokens) const {
  const Shape& s = shape();
  for (std::size_t e = 0; e < tokens.examples; ++e) {
    const std::string place = "example " + std::to_string(e);
    if (tokens.length(e) == 0) fail_expected(place, "at least one token", "none");
    if (tokens.length(e) > s.positions)
      fail_expected(place, "at most " + std::to_string(s.positions) + " tokens",
                    std::to_string(tokens.length(e)));
    for (std::size_t t = tokens.offsets[e]; t < tokens.offsets[e + 1]; ++t) {
      const auto inside = [&](const char* what, long long value, std::size_t limit) {
        if (value < 0 || static_cast<std::size_t>(value) >= limit) {
          fail_expected(place + ", token " + std::to_string(t - tokens.offsets[e]),
                        std::string("a ") + what + " below " + std::to_string(limit), std::to_string(value));
        }
      };
      inside("token id", tokens.ids[t], s.vocabulary);
      inside("position", tokens.positions[t], s.positions);
      inside("token type", tokens.types[t], s.token_types);
    }
  }
}

// --- Memory ---

void Implementation::reserve(const BatchShape& batch) {
  const Shape& s = shape();
  if (batch.rows > w_.rows || batch.examples > w_.examples) {
    // Neither shrinks: batches of few long and many short examples may take turns.
    const int most_rows = std::max(round_up(batch.rows, row_step), w_.rows),
              most_examples = std::max(padded_rows(batch.examples), w_.examples);
    known_.clear();
    operands_.clear();
    owned_.clear();
    w_ = Workspace();
    const auto n = static_cast<std::size_t>(most_rows), examples = static_cast<std::size_t>(most_examples);
    const auto hidden = static_cast<std::size_t>(hidden_stride_),
               wide = static_cast<std::size_t>(wide_stride_);
    const auto real_bytes = static_cast<std::size_t>(bytes_of(real_));
    w_.tokens.reset(TokenViews::bytes(n, examples));
    w_.wide.reset(std::max(n * wide, examples * hidden));
    w_.context.reset(n * hidden);
    w_.projection_codes.reset(3 * n * hidden);
    w_.projection_reals.reset(3 * n * hidden * real_bytes);
    for (int k = 0; k < 3; ++k) {
      w_.projection_scale[k].reset(n);
      w_.projection_zero[k].reset(n);
    }
    w_.product_codes.reset(n * hidden);
    w_.logits.reset(examples * static_cast<std::size_t>(labels_stride_));

    // What enters a layer is dead once its output is written, so two buffers of a form alternate; a layer
    // whose form differs from its neighbours' has its own.
    const auto owned = [&](const SiteLayout& layout, int rows) {
      owned_.emplace_back(layout, rows);
      return &owned_.back().view();
    };
    const auto alike = [](const SiteLayout& a, const SiteLayout& b) {
      const auto rows = [](const SiteLayout& l) { return l.format.kind == FormatKind::rows; };
      return a.codes_as != Operand::Codes::segments && a.codes_as == b.codes_as && a.real == b.real &&
             a.eight == b.eight && a.stride == b.stride && rows(a) == rows(b) &&
             a.format.keeps_outliers() == b.format.keeps_outliers();
    };
    const auto shared = [&](const SiteLayout& layout, const Operand* LayerOperands::*field, LayerSite site) {
      for (std::size_t i = 0; i < operands_.size(); ++i) {
        if (alike(net_.layers[i].sites[site], layout) && operands_[i].*field) return operands_[i].*field;
      }
      return owned(layout, most_rows);
    };
    const Operand* input = owned(net_.embeddings_norm_site, most_rows);
    for (std::size_t i = 0; i < s.layers; ++i) {
      LayerOperands o;
      const LayerPlan& plan = net_.layers[i];
      o.input = input;
      o.context = shared(plan.sites[context], &LayerOperands::context, context);
      o.ffn_input = shared(plan.sites[ffn_input], &LayerOperands::ffn_input, ffn_input);
      o.ffn_hidden = shared(plan.sites[ffn_hidden], &LayerOperands::ffn_hidden, ffn_hidden);
      // The output is written when only ffn_input is read, so it may take the input's place.
      o.output =
          alike(net_.output_layout(i), plan.sites[output]) ? input : owned(plan.sites[output], most_rows);
      input = o.output;
      operands_.push_back(o);
    }
    if (s.layers > 0 && !watched()) {
      first_inputs_ = *owned(net_.output_layout(s.layers - 1), most_examples);
    } else {
      first_outputs_ = *owned(net_.output_layout(s.layers), most_examples);
    }
    pooled_ = *owned(net_.pooler_site, most_examples);
    // Only now: where memory did not suffice, the next batch starts anew.
    w_.rows = most_rows;
    w_.examples = most_examples;
  }
  if (watched()) {
    const std::size_t row = static_cast<std::size_t>(std::max(s.hidden, s.intermediate));
    for (DeviceArray<float>& seen : w_.seen) {
      if (seen.size() < static_cast<std::size_t>(w_.rows) * row)
        seen.reset(static_cast<std::size_t>(w_.rows) * row);
    }
    const std::size_t attention =
        static_cast<std::size_t>(batch.rows) * s.heads * static_cast<std::size_t>(batch.longest);
    for (DeviceArray<float>* seen : {&w_.seen_scores, &w_.seen_probs}) {
      if (seen->size() < attention) seen->reset(attention);
    }
  }
}

/// Tokens go through pinned memory in one copy, which the stream makes when it gets there: logits() waits
/// before it returns.
void Implementation::upload(const Tokens& tokens, const BatchShape& batch) {
  const auto rows = static_cast<std::size_t>(batch.rows), examples = static_cast<std::size_t>(batch.examples);
  const std::size_t bytes = TokenViews::bytes(rows, examples);
  unsigned char* const begin = staging_.reserve(bytes);
  unsigned char* at = begin;
  const auto put = [&](const void* from, std::size_t size) {
    std::memcpy(at, from, size);
    at += size;
  };
  for (std::size_t e = 0; e <= examples; ++e) {
    const auto offset = static_cast<std::int32_t>(tokens.offsets[e]);
    put(&offset, sizeof offset);
  }
  put(tokens.ids, rows * sizeof(std::int32_t));
  put(tokens.positions, rows * sizeof(std::int32_t));
  put(tokens.types, rows);
  copy_to_device(w_.tokens.data(), begin, bytes, stream_);
}

// --- A pass ---

void Implementation::logits(const Tokens& tokens, float* logits) {
  if (tokens.examples == 0) return;
  if (tokens.offsets[0] != 0) fail_expected("tokens", "offsets from 0", std::to_string(tokens.offsets[0]));
  check(tokens);
  select_device(options_.device);
  struct Account {
    std::size_t& held;
    const std::size_t before = device_bytes();
    ~Account() { held += device_bytes() - before; }  // where memory does not suffice, too
  } const account{bytes_};
  BatchShape batch;
  batch.examples = static_cast<int>(tokens.examples);
  batch.rows = static_cast<int>(tokens.count());
  for (std::size_t e = 0; e < tokens.examples; ++e)
    batch.longest = std::max(batch.longest, static_cast<int>(tokens.length(e)));
  if (options_.profile) start_profile(tokens, batch);
  reserve(batch);
  upload(tokens, batch);
  tokens_ = &tokens;

  forget_moved();  // by a pass that failed
  const auto known =
      std::find_if(known_.begin(), known_.end(), [&](const KnownShape& k) { return k.shape == batch; });
  if (!uses_graphs()) {
    pass(batch);
  } else if (known == known_.end()) {
    // The first time also tunes, which cannot be captured.
    pass(batch);
    forget_moved();
    known_.push_front({batch, false, Graph()});
    if (known_.size() > most_graphs) known_.pop_back();
  } else {
    known_.splice(known_.begin(), known_, known);
    if (!known->captured) {
      known->graph = Graph::capture(stream_, [&] { pass(batch); });
      known->captured = true;
    }
    known->graph.launch(stream_);
  }
  const std::size_t row = static_cast<std::size_t>(labels_stride_);
  const auto* host = reinterpret_cast<float*>(result_.reserve(tokens.examples * row * sizeof(float)));
  copy_to_host(const_cast<float*>(host), w_.logits.data(), tokens.examples * row * sizeof(float), stream_);
  synchronize(stream_);
  for (std::size_t e = 0; e < tokens.examples; ++e)
    std::copy_n(host + e * row, shape().labels, logits + e * shape().labels);
}

/// Graphs that use memory of products which has moved since.
void Implementation::forget_moved() {
  if (products_.generation() != generation_) known_.clear();
  generation_ = products_.generation();
}

void Implementation::pass(const BatchShape& batch) {
  embed(batch);
  // No logit depends on what the last layer makes of other tokens than each example's first; an observer sees
  // them all.
  const std::size_t layers = net_.layers.size();
  const bool short_last = layers > 0 && !watched();
  for (std::size_t i = 0; i < layers; ++i) {
    const bool first_alone = i + 1 == layers && short_last;
    const Operand& input = *operands_[i].input;
    project(i, batch);
    attend_all(i, batch, first_alone);
    if (first_alone) gather(input, first_inputs_, batch);
    feed_forward(i, first_alone ? first_inputs_ : input, first_alone ? batch.examples : batch.rows);
  }
  const Operand& last = operands_.empty() ? owned_.front().view() : *operands_.back().output;
  if (!short_last) gather(last, first_outputs_, batch);
  classify(batch, short_last ? last : first_outputs_);
}

void Implementation::start_profile(const Tokens& tokens, const BatchShape& batch) {
  if (!(batch == profiled_)) launch_seconds_.clear();
  profiled_ = batch;
  launch_ = 0;
  pairs_ = 0;
  for (std::size_t e = 0; e < tokens.examples; ++e)
    pairs_ += static_cast<double>(tokens.length(e)) * static_cast<double>(tokens.length(e));
}

void Implementation::multiply(const DeviceLinear& linear, const Operand& left, int rows,
                              const ProductTarget& target) {
  const auto launch = [&] { products_.multiply(linear, left, rows, target, stream_); };
  launch();
  if (options_.profile) profile_.gemm += profiled(launch);
}

template <typename Launch, typename Describe>
void Implementation::between_products(const Launch& launch, const Describe& describe) {
  launch();
  if (!options_.profile) return;
  const double seconds = profiled(launch);
  profile_.rest += seconds;
  const KernelTime time = describe();
  const auto alike = std::find_if(kernels_.begin(), kernels_.end(), [&](const KernelTime& k) {
    return k.kernel == time.kernel && k.rows == time.rows && k.columns == time.columns &&
           k.bytes == time.bytes && k.integer_operations == time.integer_operations &&
           k.real_operations == time.real_operations;
  });
  KernelTime& kept = alike == kernels_.end() ? kernels_.emplace_back(time) : *alike;
  ++kept.launches;
  kept.seconds += (seconds - kept.seconds) / kept.launches;
}

void Implementation::rows(const char* kernel, const RowTask& task) {
  between_products(
      [&] { run_rows(task, stream_); },
      [&] {
        return KernelTime{kernel, task.rows, task.cols, static_cast<double>(memory_traffic(task))};
      });
}

/// Each example's first row.
void Implementation::gather(const Operand& from, const Operand& to, const BatchShape& batch) {
  const int cols = static_cast<int>(shape().hidden);
  between_products([&] { gather_rows(from, to, views(batch).offsets, batch.examples, stream_); },
                   [&] {
                     return KernelTime{"first rows", batch.examples, cols,
                                       2.0 * batch.examples * static_cast<double>(row_bytes(from, cols))};
                   });
}

/// Hands rows that a kernel has written down to the observer.
void Implementation::show(std::size_t site, const DeviceArray<float>& values, int rows, int cols) {
  if (!watched()) return;
  std::vector<float> host(static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols));
  copy_to_host(host.data(), values.data(), host.size() * sizeof(float), stream_);
  synchronize(stream_);
  options_.observer->visit(site, host.data(), 0, static_cast<std::size_t>(rows),
                           static_cast<std::size_t>(cols), static_cast<std::size_t>(cols), -1);
}

void Implementation::embed(const BatchShape& batch) {
  RowTask task;
  task.rows = batch.rows;
  task.cols = static_cast<int>(shape().hidden);
  task.from = RowTask::From::embeddings;
  task.words = net_.words.view;
  task.types = net_.types.view;
  task.positions = net_.positions.view;
  const TokenViews tokens = views(batch);
  task.ids = tokens.ids;
  task.type_ids = tokens.types;
  task.position_ids = tokens.positions;
  task.second = net_.embeddings_sum.format;
  task.gain = net_.embeddings_norm.gain.data();
  task.bias = net_.embeddings_norm.bias.data();
  task.epsilon = shape().epsilon;
  task.target_format = net_.embeddings_norm_site.format;
  task.target = owned_.front().view();
  if (watched()) {
    task.seen_second = w_.seen[1].data();
    task.seen_target = w_.seen[2].data();
  }
  rows("embeddings", task);
  show(0, w_.seen[1], task.rows, task.cols);
  show(1, w_.seen[2], task.rows, task.cols);
}

void Implementation::project(std::size_t layer, const BatchShape& batch) {
  const LayerPlan& plan = net_.layers[layer];
  const Operand& left = *operands_[layer].input;
  const int part = hidden_stride_, stride = 3 * part;
  if (plan.merged) {
    ProductTarget target;
    target.stride = stride;
    if (plan.routes[0] == Route::fused) {
      target.output = ProductTarget::Output::codes;
      target.out = w_.projection_codes.data();
      for (std::size_t k = 0; k < 3; ++k) target.grids[k] = plan.sites[query + k].format.grid;
    } else {
      target.out = w_.projection_reals.data();
      target.type = real_;
      target.column_grids = plan.projection_grids[0].data();
    }
    return multiply(plan.projections[0], left, batch.rows, target);
  }
  for (std::size_t k = 0; k < 3; ++k) {
    const Route route = plan.routes[k];
    const SiteLayout& site = plan.sites[query + k];
    std::int8_t* codes = w_.projection_codes.data() + k * static_cast<std::size_t>(part);
    unsigned char* reals = w_.projection_reals.data() + k * static_cast<std::size_t>(part * bytes_of(real_));
    ProductTarget target;
    if (route == Route::fused) {
      target.output = ProductTarget::Output::codes;
      target.out = codes;
      target.stride = stride;
      target.grids[0] = site.format.grid;
    } else if (route == Route::direct) {
      target.out = reals;
      target.stride = stride;
      target.type = real_;
      target.column_grids = plan.projection_grids[k].data();
    } else {
      target.out = w_.wide.data();
      target.stride = part;
      target.type = between(plan.projections[k].integer(), model_->layers[layer].sites[query + k]);
    }
    multiply(plan.projections[k], left, batch.rows, target);
    if (route == Route::fused || route == Route::direct) continue;
    RowTask task;
    task.rows = batch.rows;
    task.cols = static_cast<int>(shape().hidden);
    task.source = w_.wide.data();
    task.source_type = target.type;
    task.source_stride = part;
    task.target_format = site.format;
    if (route == Route::encoded) {
      task.target.codes_as = Operand::Codes::plane;
      task.target.codes = codes;
      task.target.stride = stride;
      if (site.format.kind == FormatKind::rows) {
        task.target.row_scale = w_.projection_scale[k].data();
        task.target.row_zero = w_.projection_zero[k].data();
      }
    } else {
      task.target.real = reals;
      task.target.type = real_;
      task.target.real_stride = stride;
    }
    if (watched()) task.seen_target = w_.seen[2].data();
    rows(projection_kernels[k], task);
    show(model_->site_index(layer, static_cast<LayerSite>(query + k)), w_.seen[2], task.rows, task.cols);
  }
}

void Implementation::show_attention(std::size_t layer, const BatchShape& batch) {
  if (!watched()) return;
  const std::size_t heads = shape().heads, longest = static_cast<std::size_t>(batch.longest);
  std::vector<float> host(static_cast<std::size_t>(batch.rows) * heads * longest);
  for (const auto& [site, values] : {std::pair(scores, &w_.seen_scores), std::pair(probs, &w_.seen_probs)}) {
    copy_to_host(host.data(), values->data(), host.size() * sizeof(float), stream_);
    synchronize(stream_);
    for (std::size_t e = 0; e < tokens_->examples; ++e) {
      const std::size_t first = tokens_->offsets[e], n = tokens_->length(e);
      for (std::size_t head = 0; head < heads; ++head) {
        options_.observer->visit(model_->site_index(layer, site),
                                 host.data() + (first * heads + head) * longest, first, n, n, heads * longest,
                                 static_cast<int>(head));
      }
    }
  }
}

void Implementation::attend_all(std::size_t layer, const BatchShape& batch, bool first_alone) {
  const LayerPlan& plan = net_.layers[layer];
  const int part = hidden_stride_;
  AttentionTask task;
  task.offsets = views(batch).offsets;
  task.examples = batch.examples;
  task.longest = batch.longest;
  task.heads = static_cast<int>(shape().heads);
  task.depth = static_cast<int>(shape().head_size());
  task.first_alone = first_alone;
  HeadRows* sides[3] = {&task.query, &task.key, &task.value};
  for (std::size_t k = 0; k < 3; ++k) {
    HeadRows& side = *sides[k];
    const Format& format = plan.sites[query + k].format;
    if (plan.routes[k] == Route::fused || plan.routes[k] == Route::encoded) {
      side.codes = w_.projection_codes.data() + k * static_cast<std::size_t>(part);
      side.stride = 3 * part;
      side.grid = format.grid;
      if (format.kind == FormatKind::rows) {
        side.row_scale = w_.projection_scale[k].data();
        side.row_zero = w_.projection_zero[k].data();
      }
    } else {
      side.real = w_.projection_reals.data() + k * static_cast<std::size_t>(part * bytes_of(real_));
      side.type = real_;
      side.real_stride = 3 * part;
    }
  }
  task.integer_scores = plan.integer_scores;
  task.integer_context = plan.integer_context;
  task.scores = plan.sites[scores].format;
  task.probs = plan.sites[probs].format;
  const Operand& target = *operands_[layer].context;
  const SiteLayout& site = plan.sites[context];
  if (plan.fuse_context && site.codes_as == Operand::Codes::plane) {
    task.context_codes = target.codes;
    task.context_stride = target.stride;
    task.context_grid = site.format.grid;
  } else if (plan.fuse_context) {
    task.context = target.real;
    task.context_type = target.type;
    task.context_real_stride = target.real_stride;
  } else {
    task.context = w_.context.data();
    task.context_type = between(plan.integer_context, model_->layers[layer].sites[context]);
    task.context_real_stride = part;
  }
  if (watched()) {
    task.seen_scores = w_.seen_scores.data();
    task.seen_probs = w_.seen_probs.data();
  }
  between_products([&] { attend(kernel_for(task, device_.shared_bytes), task, stream_); },
                   [&] {
                     const int hidden = static_cast<int>(shape().hidden);
                     const double product = 2 * hidden * (first_alone ? batch.rows : pairs_);
                     KernelTime time{"attention", first_alone ? batch.examples : batch.rows, hidden,
                                     static_cast<double>(memory_traffic(task, batch.rows))};
                     (task.integer_scores ? time.integer_operations : time.real_operations) += product;
                     (task.integer_context ? time.integer_operations : time.real_operations) += product;
                     return time;
                   });
  show_attention(layer, batch);
  if (plan.fuse_context) return;
  RowTask encode;
  encode.rows = first_alone ? batch.examples : batch.rows;
  encode.cols = static_cast<int>(shape().hidden);
  encode.source = w_.context.data();
  encode.source_type = task.context_type;
  encode.source_stride = part;
  encode.target_format = site.format;
  encode.target = target;
  if (watched()) encode.seen_target = w_.seen[2].data();
  rows("context", encode);
  show(model_->site_index(layer, context), w_.seen[2], encode.rows, encode.cols);
}

void Implementation::residual_norm(std::size_t layer, const DeviceLinear& linear, const Operand& left,
                                   LayerSite product_site, LayerSite sum_site, const Operand& residual,
                                   const SiteLayout& residual_layout, const DeviceNorm& norm,
                                   LayerSite target_site, const Operand& target, int count) {
  const LayerPlan& plan = net_.layers[layer];
  const SiteFormat& site = model_->layers[layer].sites[product_site];
  ProductTarget product;
  product.stride = hidden_stride_;
  RowTask task;
  if (linear.integer() && on_one_grid_of_bytes(site) && !watched()) {
    product.output = ProductTarget::Output::codes;
    product.out = w_.product_codes.data();
    product.grids[0] = plan.sites[product_site].format.grid;
    task.from = RowTask::From::operand;
    task.coded.codes_as = Operand::Codes::plane;
    task.coded.codes = w_.product_codes.data();
    task.coded.stride = hidden_stride_;
    task.coded_format = plan.sites[product_site].format;
  } else {
    product.out = w_.wide.data();
    product.type = between(linear.integer(), site);
    task.source = product.out;
    task.source_type = product.type;
    task.source_stride = hidden_stride_;
    task.first = plan.sites[product_site].format;
  }
  multiply(linear, left, count, product);
  task.rows = count;
  task.cols = static_cast<int>(shape().hidden);
  task.has_residual = true;
  task.residual = residual;
  task.residual_format = residual_layout.format;
  task.second = plan.sites[sum_site].format;
  task.gain = norm.gain.data();
  task.bias = norm.bias.data();
  task.epsilon = shape().epsilon;
  task.target_format = plan.sites[target_site].format;
  task.target = target;
  if (watched()) {
    task.seen_first = w_.seen[0].data();
    task.seen_second = w_.seen[1].data();
    task.seen_target = w_.seen[2].data();
  }
  rows(sum_site == ffn_residual ? "output norm" : "attention norm", task);
  show(model_->site_index(layer, product_site), w_.seen[0], task.rows, task.cols);
  show(model_->site_index(layer, sum_site), w_.seen[1], task.rows, task.cols);
  show(model_->site_index(layer, target_site), w_.seen[2], task.rows, task.cols);
}

void Implementation::feed_forward(std::size_t layer, const Operand& residual, int count) {
  const LayerPlan& plan = net_.layers[layer];
  const LayerOperands& o = operands_[layer];
  residual_norm(layer, plan.attention_output, *o.context, attention_output, attention_residual, residual,
                net_.output_layout(layer), plan.attention_norm, ffn_input, *o.ffn_input, count);
  const SiteLayout& site = plan.sites[ffn_hidden];
  ProductTarget target;
  if (plan.fuse_hidden) {
    target.gelu = true;
    if (site.codes_as != Operand::Codes::none) {
      target.output = ProductTarget::Output::codes;
      target.out = o.ffn_hidden->codes;
      target.stride = o.ffn_hidden->stride;
      target.grids[0] = site.format.grid;
      if (site.codes_as == Operand::Codes::segments) {
        target.column_grids = plan.hidden_grids.data();
        target.code_columns = site.stride;
        target.kept = o.ffn_hidden->kept;
        target.kept_count = o.ffn_hidden->kept_count;
      }
    } else {
      target.out = o.ffn_hidden->real;
      target.stride = o.ffn_hidden->real_stride;
      target.type = o.ffn_hidden->type;
    }
    multiply(plan.ffn_hidden, *o.ffn_input, count, target);
  } else {
    target.out = w_.wide.data();
    target.stride = plan.ffn_hidden.columns();
    target.type = between(plan.ffn_hidden.integer(), model_->layers[layer].sites[ffn_hidden]);
    multiply(plan.ffn_hidden, *o.ffn_input, count, target);
    RowTask task;
    task.rows = count;
    task.cols = static_cast<int>(shape().intermediate);
    task.source = w_.wide.data();
    task.source_type = target.type;
    task.source_stride = target.stride;
    task.map = RowTask::Map::gelu;
    task.target_format = site.format;
    task.target = *o.ffn_hidden;
    if (watched()) task.seen_target = w_.seen[2].data();
    rows("gelu", task);
    show(model_->site_index(layer, ffn_hidden), w_.seen[2], task.rows, task.cols);
  }
  residual_norm(layer, plan.ffn_output, *o.ffn_hidden, ffn_output, ffn_residual, *o.ffn_input,
                plan.sites[ffn_input], plan.output_norm, output, *o.output, count);
}

void Implementation::classify(const BatchShape& batch, const Operand& first) {
  ProductTarget target;
  target.out = w_.wide.data();
  target.stride = hidden_stride_;
  multiply(net_.pooler, first, batch.examples, target);
  RowTask task;
  task.rows = batch.examples;
  task.cols = static_cast<int>(shape().hidden);
  task.source = w_.wide.data();
  task.source_stride = hidden_stride_;
  task.map = RowTask::Map::tanh;
  task.target_format = net_.pooler_site.format;
  task.target = pooled_;
  if (watched()) task.seen_target = w_.seen[2].data();
  rows("pooler", task);
  show(model_->site_count() - 1, w_.seen[2], task.rows, task.cols);
  target.out = w_.logits.data();
  target.stride = labels_stride_;
  multiply(net_.classifier, pooled_, batch.examples, target);
}

std::string Implementation::description() const {
  const std::string precision = eight_ ? "float8" : name_of(real_);
  return "cuda sm_" + std::to_string(device_.major) + std::to_string(device_.minor) + " " + device_.name +
         ", " + precision + (uses_graphs() ? ", graphs" : "");
}

}  // namespace

std::unique_ptr<CudaExecutor> make_executor(std::shared_ptr<const Model> model, const CudaOptions& options) {
  return std::make_unique<Implementation>(std::move(model), options);
}

std::vector<std::string> integer_ways() {
  std::vector<std::string> names;
  for (int way = 0; way < Products::integer_ways(); ++way) names.push_back(Products::way_name(way));
  return names;
}

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
