// What the products of claim C7's networks reach of what this machine could do: the operations per second of
// each product as the executors run it, beside the measured peak of the fastest multiply-add instruction and
// the measured bandwidth of memory (Williams, Waterman and Patterson 2009).
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>

#include "app/study.h"
#include "core/parallel.h"
#include "core/quantile.h"
#include "core/random.h"
#include "engine/cpu/groups.h"
#include "engine/cpu/left_buffer.h"
#include "engine/cpu/packed_linear.h"
#include "engine/cpu/peak.h"
#include "engine/cpu/team.h"
#include "engine/refusal.h"
#include "experiments/experiments.h"
#include "experiments/timing.h"
#include "kernels/kernels.h"

namespace outlierlab {

namespace {

using engine::PeakKind;

struct Product {
  std::size_t rows, depth, cols;
  std::string text() const {
    return std::to_string(rows) + "x" + std::to_string(depth) + "x" + std::to_string(cols);
  }
  double operations() const { return 2.0 * static_cast<double>(rows * depth * cols); }
};

struct Arithmetic {
  PeakKind kind;
  const char* variant;
  double left_bytes, right_bytes;  ///< of an operand's element; results are float32
  bool per_token = false;          ///< every row on the left has a grid of its own
  const char* remark = "";         ///< behind a row's value
};
/// Activations come as floats to the bfloat16 product, which rounds them.
constexpr Arithmetic arithmetics[] = {{PeakKind::float32, "float:fp32", 4, 4},
                                      {PeakKind::bfloat16, "float:bf16", 4, 2},
                                      {PeakKind::int8, "integer:int8", 1, 1},
                                      {PeakKind::int8, "integer:int8", 1, 1, true, " per token"}};

/// Operations per byte that has to move at least once when no cache holds anything.
double intensity(const Product& p, const Arithmetic& a) {
  const double bytes = a.left_bytes * static_cast<double>(p.rows * p.depth) +
                       a.right_bytes * static_cast<double>(p.depth * p.cols) +
                       4.0 * static_cast<double>(p.rows * p.cols);
  return p.operations() / bytes;
}

/// The roofs, each measured when it is first asked for.
class Roofs {
 public:
  double peak(const engine::PeakLoop& loop, int threads) {
    double& known = peaks_[{loop.instruction, threads}];
    if (known == 0) known = engine::measured_peak(loop, threads);
    return known;
  }
  double bandwidth(int threads) {
    double& known = bandwidths_[threads];
    if (known == 0) known = engine::triad_bandwidth(engine::beyond_caches(), threads);
    return known;
  }

 private:
  std::map<std::pair<std::string, int>, double> peaks_;
  std::map<int, double> bandwidths_;
};

/// Values as of a bell, drawn once: drawing those of every product would take longer than its timing. A prime
/// number of them, so that the rows of a matrix begin at different ones.
const std::vector<float>& bell() {
  static const std::vector<float> values = [] {
    Random random(1);
    std::vector<float> drawn(65521);
    for (float& v : drawn) {
      double sum = -6;
      for (int i = 0; i < 12; ++i) sum += random.uniform();
      v = static_cast<float>(sum);
    }
    return drawn;
  }();
  return values;
}

/// values[i] = make(v) with v of the bell.
template <typename Values, typename Make>
void fill(Values& values, const Make& make) {
  const std::vector<float>& drawn = bell();
  std::size_t next = 0;
  for (auto& value : values) {
    value = make(drawn[next]);
    next = next + 1 < drawn.size() ? next + 1 : 0;
  }
}

template <typename Values>
void fill(Values& values) {
  fill(values, [](float v) { return v; });
}

/// One product with random operands, run as the executor runs it: by groups of about as many rows where there
/// are more than one group has, as of short examples, else all threads on the columns of one.
class RunningProduct {
 public:
  RunningProduct(const Product& product, const Arithmetic& arithmetic) : product_(product) {
    const bool integer = arithmetic.kind == PeakKind::int8;
    const engine::SiteFormat site = integer ? site_of(arithmetic) : engine::SiteFormat();
    const auto precision = arithmetic.kind == PeakKind::bfloat16 ? engine::RealPrecision::bfloat16
                                                                 : engine::RealPrecision::float32;
    linear_ = engine::PackedLinear(weights(integer), site, precision);
    values_.resize(product.rows * product.depth);
    fill(values_);
    left_.reserve(product.rows, product.depth, linear_.form(), unsorted_);
    const engine::SiteRows rows(site);
    left_.encode(rows.format(), values_.data(), 0, product.rows);
    out_.resize(product.rows * product.cols);
  }

  void run(int threads) {
    const auto team = static_cast<std::size_t>(threads);
    if (product_.rows <= engine::group_rows) {
      engine::Team columns(threads);
      parallel(threads, [&](std::size_t thread) {
        const auto [begin, end] =
            engine::Member{&columns, static_cast<int>(thread)}.share(product_.cols, engine::column_unit);
        apply(0, product_.rows, begin, end);
      });
      return;
    }
    const std::size_t group = engine::rows_per_group(product_.rows, team);
    parallel(threads, [&](std::size_t thread) {
      for (std::size_t first = thread * group; first < product_.rows; first += team * group)
        apply(first, std::min(group, product_.rows - first), 0, product_.cols);
    });
  }

 private:
  template <typename Body>
  static void parallel(int threads, const Body& body) {
    parallel_chunks(static_cast<std::size_t>(threads), 1,
                    [&](std::size_t thread, std::size_t, int) { body(thread); });
  }
  static engine::SiteFormat site_of(const Arithmetic& arithmetic) {
    engine::SiteFormat site;
    site.bits = 8;
    site.kind = arithmetic.per_token ? engine::FormatKind::rows : engine::FormatKind::tensor;
    if (arithmetic.per_token) return site;
    site.scale = {8.0f / 255};
    site.zero = {128};
    return site;
  }
  engine::Linear weights(bool integer) const {
    engine::Linear linear;
    linear.weight.rows = product_.cols;
    linear.weight.cols = product_.depth;
    const std::size_t count = product_.cols * product_.depth;
    linear.bias = std::vector<float>(product_.cols, 0.0f);
    if (!integer) {
      std::vector<float> values(count);
      fill(values, [](float v) { return 0.02f * v; });
      linear.weight.values = std::move(values);
      return linear;
    }
    std::vector<std::int8_t> codes(count);
    fill(codes, [](float v) {
      return static_cast<std::int8_t>(std::lround(std::clamp(21.0f * v, -127.0f, 127.0f)));
    });
    linear.weight.bits = 8;
    linear.weight.codes = std::move(codes);
    linear.weight.scales = std::vector<float>{0.001f};
    return linear;
  }
  void apply(std::size_t first, std::size_t rows, std::size_t begin, std::size_t end) {
    const engine::LeftRows left = left_.rows(values_.data()).from(first);
    linear_.apply(left, rows, begin, end, {out_.data() + first * product_.cols, product_.cols});
  }

  Product product_;
  engine::PackedLinear linear_;
  const engine::SegmentOrder unsorted_;  ///< left_ refers to it
  engine::LeftBuffer left_;
  AlignedVector<float> values_, out_;
};

/// A product of attention, of one head on each thread at a time.
class RunningHead {
 public:
  RunningHead(const Product& product, bool integer) : product_(product), integer_(integer) {
    const std::size_t left = product.rows * product.depth, right = product.cols * product.depth;
    out_.resize(static_cast<std::size_t>(threads()) * product.rows * product.cols);
    if (!integer) {
      AlignedVector<float> b(right);
      values_.resize(left);
      fill(values_);
      fill(b);
      real_panels_.resize(packed_size(product.cols, product.depth));
      pack_transposed(b.data(), product.depth, product.cols, product.depth, real_panels_.data());
      return;
    }
    Random random(product.depth + product.cols);
    std::vector<std::int8_t> b(right);
    for (std::int8_t& code : b) code = static_cast<std::int8_t>(static_cast<int>(random.below(255)) - 127);
    codes_.resize(left + 64);
    for (std::uint8_t& code : codes_) code = static_cast<std::uint8_t>(random.below(256));
    panels_.resize(engine::int8_kernels().packed_bytes(product.depth, product.cols));
    engine::int8_kernels().pack_transposed(b.data(), product.depth, product.cols, product.depth, 0,
                                           panels_.data());
    col_scale_.assign(round_up(product.cols, 16), 1e-4f);
    col_rest_.assign(col_scale_.size(), 1e-12f);
    col_shift_.assign(col_scale_.size(), -640);
  }

  /// Each thread multiplies so many heads in a row, as in a batch: a short head takes less than a start of
  /// the threads.
  void run(int threads, std::size_t times) {
    parallel_chunks(static_cast<std::size_t>(threads), 1, [&](std::size_t thread, std::size_t, int) {
      for (std::size_t i = 0; i < times; ++i) multiply(thread);
    });
  }

 private:
  void multiply(std::size_t thread) {
    float* const c = out_.data() + thread * product_.rows * product_.cols;
    if (!integer_) {
      model_kernels().gemm(values_.data(), product_.depth, product_.rows, product_.depth, real_panels_.data(),
                           product_.cols, nullptr, 1.0f, c, product_.cols);
      return;
    }
    engine::Int8Product p;
    p.a = codes_.data();
    p.lda = p.depth = product_.depth;
    p.rows = product_.rows;
    p.cols = p.ldc = product_.cols;
    p.b = panels_.data();
    p.col_scale = col_scale_.data();
    p.col_rest = col_rest_.data();
    p.col_shift = col_shift_.data();
    p.c = c;
    engine::int8_kernels().multiply(p);
  }

  Product product_;
  bool integer_;
  AlignedVector<float> values_, real_panels_, out_, col_scale_, col_rest_;
  AlignedVector<std::uint8_t> codes_;
  AlignedVector<char> panels_;
  AlignedVector<std::int32_t> col_shift_;
};

/// `run` makes `copies` products so many times.
std::vector<Row> rate_rows(Roofs& roofs, const Product& product, const Arithmetic& arithmetic, int threads,
                           double copies, const std::function<void(std::size_t times)>& run) {
  // A pass of a small product is repeated, so that it outlasts the start of the threads.
  constexpr double operations_per_pass = 2e7;
  const auto repeats =
      static_cast<std::size_t>(std::max(1.0, std::ceil(operations_per_pass / product.operations())));
  TimingOptions options;
  options.seconds = 0.15;
  const std::vector<double> seconds =
      time_side_by_side({{"product", [&] { run(repeats); }}}, options).front();
  const Interval interval = median_interval(seconds);
  const double work = copies * product.operations() * static_cast<double>(repeats);
  const double rate = work / median(seconds);
  const double peak = roofs.peak(engine::best_peak_loop(arithmetic.kind), threads);
  const double roof = std::min(peak, intensity(product, arithmetic) * roofs.bandwidth(threads));
  return {with_interval(figure("gops", 1e-9 * rate),
                        {1e-9 * work / interval.high, 1e-9 * work / interval.low}, seconds.size()),
          figure("share_of_peak", 100 * rate / peak),
          figure("arithmetic_intensity", intensity(product, arithmetic)),
          figure("share_of_roof", 100 * rate / roof)};
}

std::vector<Row> product_rows(Roofs& roofs, const Product& product, const Arithmetic& arithmetic,
                              int threads) {
  RunningProduct running(product, arithmetic);
  return rate_rows(roofs, product, arithmetic, threads, 1, [&](std::size_t times) {
    for (std::size_t i = 0; i < times; ++i) running.run(threads);
  });
}

std::vector<Row> head_rows(Roofs& roofs, const Product& product, const Arithmetic& arithmetic, int threads) {
  RunningHead running(product, arithmetic.kind == PeakKind::int8);
  return rate_rows(roofs, product, arithmetic, threads, threads,
                   [&](std::size_t times) { running.run(threads, times); });
}

/// The peaks of the devices beside the processor: what gpu_bench measures shares of products against.
void state_devices(Study& study) {
  for (const TimedEngine& engine : study.timed_engines()) {
    if (!engine.peak) continue;
    for (const auto& [kind, precision] : {std::pair("int8", engine::RealPrecision::float32),
                                          std::pair("fp32", engine::RealPrecision::float32),
                                          std::pair("fp16", engine::RealPrecision::float16),
                                          std::pair("bf16", engine::RealPrecision::bfloat16),
                                          std::pair("fp8", engine::RealPrecision::float8)}) {
      const std::string variant = engine.name + " peak:" + kind;
      const bool integer = std::string(kind) == "int8";
      study.measure(variant, "", "a large product",
                    [&study, peak = engine.peak, variant, integer, precision = precision] {
                      std::vector<Row> rows;
                      study.tries(variant);
                      try {
                        rows.push_back(figure("gops", 1e-9 * peak(integer, precision)));
                      } catch (const Refusal& refusal) {
                        study.note("not_timed", variant, refusal.what());
                      }
                      return rows;
                    });
    }
  }
}

struct Size {
  std::string name;
  std::size_t hidden, intermediate, heads;
};

/// The products of one network on so many threads.
struct Place {
  Size size;
  int threads;
  std::string on;  ///< "2 threads"
  std::string parameter() const { return "gemm of " + size.name + ", " + on; }
};

void state_heads(Study& study, const std::shared_ptr<Roofs>& roofs, const Place& place) {
  const std::size_t depth = place.size.hidden / place.size.heads;
  for (const std::size_t length : {16u, 128u, 512u}) {
    for (const Product& product : {Product{length, depth, length}, Product{length, length, depth}}) {
      for (const Arithmetic& arithmetic : arithmetics) {
        // Attention's products of floats run in float32 throughout.
        if (arithmetic.kind == PeakKind::bfloat16 || arithmetic.per_token) continue;
        study.measure(arithmetic.variant, place.parameter(), product.text(),
                      [=] { return head_rows(*roofs, product, arithmetic, place.threads); });
      }
    }
  }
}

void state_weights(Study& study, const std::shared_ptr<Roofs>& roofs, const Place& place) {
  std::vector<std::size_t> counts = {16, 128, 1024};
  // A thread alone would take such groups as 1,024 rows have, four times as many.
  if (place.threads == threads()) counts.push_back(4096);
  const std::size_t hidden = place.size.hidden, intermediate = place.size.intermediate;
  for (const std::size_t rows : counts) {
    for (const Product& product : {Product{rows, hidden, hidden}, Product{rows, hidden, intermediate},
                                   Product{rows, intermediate, hidden}}) {
      for (const Arithmetic& arithmetic : arithmetics) {
        study.measure(arithmetic.variant, place.parameter(), product.text() + arithmetic.remark,
                      [=] { return product_rows(*roofs, product, arithmetic, place.threads); });
      }
    }
  }
}

}  // namespace

void roofline(Study& study) {
  const auto roofs = std::make_shared<Roofs>();
  const BertConfig& config = study.evaluator().config();
  const std::vector<Size> sizes = {
      {study.options().model_name, config.hidden_size, config.intermediate_size, config.heads},
      {"bert-base", 768, 3072, 12},
      {"bert-large", 1024, 4096, 16}};
  state_devices(study);
  std::vector<int> counts = {1};
  if (threads() > 1) counts.push_back(threads());
  for (const int count : counts) {
    const std::string on = std::to_string(count) + (count == 1 ? " thread" : " threads");
    for (const engine::PeakLoop& loop : engine::peak_loops()) {
      const char* const kind = loop.kind == PeakKind::float32    ? "peak:fp32"
                               : loop.kind == PeakKind::bfloat16 ? "peak:bf16"
                                                                 : "peak:int8";
      study.measure(kind, on, loop.instruction,
                    [=] { return std::vector<Row>{figure("gops", 1e-9 * roofs->peak(loop, count))}; });
    }
    study.measure("peak:memory", on, "triad",
                  [=] { return std::vector<Row>{figure("gbytes", 1e-9 * roofs->bandwidth(count))}; });
    for (const Size& size : sizes) {
      const Place place = {size, count, on};
      state_heads(study, roofs, place);
      state_weights(study, roofs, place);
    }
  }
}

}  // namespace outlierlab
