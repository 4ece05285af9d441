// Times the CUDA executor: agreement with the CPU's first, then latency, throughput, memory, energy, and each
// product's share of the device's peak and each other kernel's of its bound. See README.md beside it.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/files.h"
#include "engine/cpu/cpu_executor.h"
#include "engine/cuda/cuda_executor.h"
#include "engine/device_monitor.h"
#include "engine/packed_file.h"
#include "engine/refusal.h"
#include "gpu/random_model.h"

namespace outlierlab::engine::bench {
namespace {

using Clock = std::chrono::steady_clock;

const char usage[] = R"(gpu_bench: the CUDA executor's speed, once it agrees with the CPU's.

  --model FILE         a model that `outlierlab pack` wrote; without it, one with random weights
  --shape NAME         bert-base (default), bert-large or minilm, for random weights
  --batch LIST         examples in a batch (default 1,8,32)
  --length LIST        tokens of each example (default 128)
  --only LIST          configurations (default all): fp32, fp16, bf16, fp8, or a scheme of the model
  --repeats N          passes that are timed of each (default 200; medians have intervals from 51 on)
  --device N           CUDA device (default 0)
  --csv FILE           rows experiment,model,task,variant,parameter,value,metric,estimate,ci_low,ci_high,n,seed
  --samples FILE       every timed pass: variant,batch_x_length,pass,milliseconds
  --json FILE          how they were made: device, driver, clocks, choices of products
  --list               the configurations

Example: gpu_bench --shape bert-base --batch 1,32 --length 128 --csv gpu.csv --json gpu.json
)";

// How far logits may be from the CPU executor's of the same model, relative to their size (root mean
// squares).
/// Integer: codes whose value lies on a boundary between two fall to either side, and what follows from it;
/// operands of what is not a product of codes are float16 here, float32 there.
constexpr double integer_tolerance = 0.05;
/// ... but such a code is as good as its neighbour: where quantization itself moves the logits by more, half
/// of that.
constexpr double share_of_quantization_error = 0.5;
/// float16 and bfloat16 operands (2^-11, 2^-8), over all layers.
constexpr double float16_tolerance = 0.02, bfloat16_tolerance = 0.15, float32_tolerance = 1e-3;
/// e4m3 operands (2^-4).
constexpr double float8_tolerance = 0.5;
/// Up to the first projections, the share of codes that may differ at all (tests/engine/agreement_test.cpp).
constexpr double early_share = 0.002;
constexpr std::size_t early_sites = 5;

struct Options {
  std::string model, shape = "bert-base", csv, samples, json;
  std::vector<std::size_t> batches = {1, 8, 32}, lengths = {128};
  std::set<std::string> only;
  std::size_t repeats = 200;
  int device = 0;
  bool list = false;
};

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::size_t number(const std::string& option, const std::string& text, std::size_t least) {
  std::size_t end = 0;
  unsigned long value = 0;
  try {
    value = std::stoul(text, &end);
  } catch (const std::exception&) {
  }
  if (end == 0 || end != text.size() || text[0] == '-' || value < least)
    throw UsageError(option + ": expected a number of at least " + std::to_string(least) + ", found '" +
                     text + "'");
  return value;
}

std::optional<Options> parse(int count, char** values) {
  Options options;
  const std::vector<std::string> known = {"--model",   "--shape",   "--batch",  "--length",
                                          "--only",    "--repeats", "--device", "--csv",
                                          "--samples", "--json",    "--list",   "--help"};
  for (int i = 1; i < count; ++i) {
    const std::string name = values[i];
    if (name == "--help") return std::nullopt;
    if (std::find(known.begin(), known.end(), name) == known.end()) fail_unknown("option", name, known);
    if (name == "--list") {
      options.list = true;
      continue;
    }
    if (i + 1 == count) throw UsageError(name + ": expected a value behind it, found the end");
    const std::string value = values[++i];
    const auto numbers = [&] {
      std::vector<std::size_t> all;
      for (const std::string& part : split(value)) all.push_back(number(name, part, 1));
      return all;
    };
    if (name == "--model") options.model = value;
    if (name == "--shape") options.shape = value;
    if (name == "--csv") options.csv = value;
    if (name == "--samples") options.samples = value;
    if (name == "--json") options.json = value;
    if (name == "--batch") options.batches = numbers();
    if (name == "--length") options.lengths = numbers();
    if (name == "--repeats") options.repeats = number(name, value, 10);
    if (name == "--device") options.device = static_cast<int>(number(name, value, 0));
    if (name == "--only") {
      for (const std::string& part : split(value)) options.only.insert(part);
    }
  }
  return options;
}

/// One row of variants: a model and how its float products run.
struct Configuration {
  std::string name;
  std::shared_ptr<const Model> model, floats;
  RealPrecision real = RealPrecision::float16;
  bool integer = false;
  std::unique_ptr<CudaExecutor> executor;
  std::vector<ProductTime> products;
  bool agrees = false;
  double distance = 0, tolerance = 0;
};

struct ResultRow {
  std::string variant, parameter, value, metric;
  double estimate;
  std::optional<double> low, high;
  std::size_t n = 0;
};

class Rows {
 public:
  Rows(std::string model, std::string task) : model_(std::move(model)), task_(std::move(task)) {}
  void add(ResultRow row) { rows_.push_back(std::move(row)); }
  std::string csv() const {
    std::string text =
        "experiment,model,task,variant,parameter,value,metric,estimate,ci_low,ci_high,n,seed\n";
    const auto number = [](double value) {
      char digits[32];
      std::snprintf(digits, sizeof digits, "%.10g", value);
      return std::string(digits);
    };
    for (const ResultRow& row : rows_) {
      text += "gpu_bench," + model_ + "," + task_ + "," + row.variant + "," + row.parameter + "," +
              row.value + "," + row.metric + "," + number(row.estimate) + "," +
              (row.low ? number(*row.low) : "") + "," + (row.high ? number(*row.high) : "") + "," +
              (row.n ? std::to_string(row.n) : "") + ",0\n";
    }
    return text;
  }

 private:
  std::string model_, task_;
  std::vector<ResultRow> rows_;
};

double rms(const std::vector<float>& values) {
  double sum = 0;
  for (const float v : values) sum += static_cast<double>(v) * v;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

double relative_distance(const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<float> difference(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) difference[i] = a[i] - b[i];
  return rms(difference) / std::max(rms(b), 1e-9);
}

std::vector<float> logits_of(Executor& executor, const RandomTokens& tokens) {
  std::vector<float> logits(tokens.view().examples * executor.shape().labels);
  executor.logits(tokens.view(), logits.data());
  return logits;
}

/// The first sites' values.
class EarlySites : public SiteObserver {
 public:
  void visit(std::size_t site, const float* values, std::size_t first, std::size_t rows, std::size_t cols,
             std::size_t stride, int) override {
    if (site >= early_sites) return;
    std::vector<float>& to = values_[site];
    to.resize(std::max(to.size(), (first + rows) * cols));
    for (std::size_t r = 0; r < rows; ++r)
      std::copy_n(values + r * stride, cols, to.data() + (first + r) * cols);
  }
  const std::vector<float>& operator[](std::size_t site) const { return values_[site]; }

 private:
  std::vector<float> values_[early_sites];
};

/// The largest share of codes that differ at one of the first sites.
double early_difference(const Configuration& c, const CudaOptions& how, const RandomTokens& tokens) {
  EarlySites expected, found;
  CpuOptions on_cpu;
  on_cpu.observer = &expected;
  on_cpu.threads = 1;
  CpuExecutor reference(c.model, on_cpu);
  logits_of(reference, tokens);
  CudaOptions watched = how;
  watched.observer = &found;
  watched.real = RealPrecision::float32;
  logits_of(*make_cuda_executor(c.model, watched), tokens);
  double worst = 0;
  for (std::size_t site = 0; site < early_sites; ++site) {
    const SiteFormat& format = c.model->site(site);
    if (format.kind == FormatKind::real) continue;
    double step = 0;
    for (const float s : format.scale) step = std::max<double>(step, s);
    if (format.kind == FormatKind::rows) {
      for (const float v : expected[site]) step = std::max<double>(step, 2 * std::abs(v) / 255);
    }
    std::size_t apart = 0;
    for (std::size_t i = 0; i < expected[site].size(); ++i)
      apart += std::abs(expected[site][i] - found[site][i]) > 0.51 * step;
    worst = std::max(worst, static_cast<double>(apart) / static_cast<double>(expected[site].size()));
  }
  return worst;
}

/// Compares with the CPU executor; nothing is timed of what fails.
void check_agreement(Configuration& c, const CudaOptions& how, Rows& rows) {
  const std::size_t most = c.model->shape.positions;
  const auto length = [&](std::size_t n) { return std::min(n, most); };
  const RandomTokens tokens(c.model->shape, {length(128), 1, length(77), length(33), 5, length(128)}, 99);
  CpuExecutor reference(c.model);
  const std::vector<float> expected = logits_of(reference, tokens), found = logits_of(*c.executor, tokens);
  // The second time is the graph's.
  const std::vector<float> again = logits_of(*c.executor, tokens), third = logits_of(*c.executor, tokens);
  c.distance = relative_distance(found, expected);
  c.tolerance = c.real == RealPrecision::float32   ? float32_tolerance
                : c.real == RealPrecision::float16 ? float16_tolerance
                : c.real == RealPrecision::float8  ? float8_tolerance
                                                   : bfloat16_tolerance;
  bool early = true;
  if (c.integer) {
    CpuExecutor floats(c.floats);
    const double error = relative_distance(expected, logits_of(floats, tokens));
    c.tolerance = std::max(integer_tolerance, share_of_quantization_error * error);
    const RandomTokens few(c.model->shape, {length(50), length(14)}, 98);
    const double share = early_difference(c, how, few);
    early = share <= early_share;
    rows.add({c.name, "", "", "early_code_difference", share, {}, {}, few.ids.size()});
    rows.add({c.name, "", "", "quantization_error", error, {}, {}, tokens.view().examples});
  }
  const bool repeatable = again == found && third == found;
  const std::vector<std::string> dropped = c.executor->dropped();
  for (const std::string& way : dropped) std::cerr << c.name << ": " << way << "\n";
  c.agrees = std::isfinite(c.distance) && c.distance <= c.tolerance && early && repeatable && dropped.empty();
  rows.add({c.name, "", "", "logit_distance", c.distance, {}, {}, tokens.view().examples});
  std::printf("%-16s %s: logits %.2g apart (at most %.2g)%s%s%s\n", c.name.c_str(),
              c.agrees ? "agrees" : "DIFFERS", c.distance, c.tolerance,
              early ? "" : ", too many codes at the first sites",
              repeatable ? "" : ", passes of one batch differ", dropped.empty() ? "" : ", ways were dropped");
}

/// The quantile and its 95 % interval by the order statistics on either side.
struct Quantile {
  double value, low, high;
};

Quantile quantile(const std::vector<double>& sorted, double q) {
  const double n = static_cast<double>(sorted.size()), half = 1.96 * std::sqrt(n * q * (1 - q));
  const auto at = [&](double rank) {
    const double inside = std::min(std::max(rank, 1.0), n);
    return sorted[static_cast<std::size_t>(inside) - 1];
  };
  return {at(std::ceil(n * q)), at(std::floor(n * q - half)), at(std::ceil(n * q + half) + 1)};
}

/// The median of all passes, in the order in which they were made. Those of a block depend on each other: the
/// interval is that of the blocks' medians. Fewer than six blocks give none (see has_interval()).
Quantile median(const std::vector<double>& passes, std::size_t block) {
  std::vector<double> sorted = passes, medians;
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 0; i < passes.size(); i += block) {
    std::vector<double> part(
        passes.begin() + static_cast<std::ptrdiff_t>(i),
        passes.begin() + static_cast<std::ptrdiff_t>(std::min(i + block, passes.size())));
    std::sort(part.begin(), part.end());
    medians.push_back(quantile(part, 0.5).value);
  }
  std::sort(medians.begin(), medians.end());
  const Quantile blocks = quantile(medians, 0.5);
  const double middle = quantile(sorted, 0.5).value;
  return {middle, std::min(blocks.low, middle), std::max(blocks.high, middle)};
}

bool has_interval(std::size_t passes, std::size_t block) {
  return (passes + block - 1) / block >= 6;
}

std::string cell_name(std::size_t batch, std::size_t length) {
  return std::to_string(batch) + "x" + std::to_string(length);
}

/// Examples of one length.
RandomTokens even_batch(const Shape& shape, std::size_t batch, std::size_t length) {
  return RandomTokens(shape, std::vector<std::size_t>(batch, length), 7);
}

double seconds_of(Executor& executor, const RandomTokens& tokens, std::vector<float>& logits) {
  const auto start = Clock::now();
  executor.logits(tokens.view(), logits.data());
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Energy of passes that fill three seconds: counters move in steps of a tenth of one.
std::optional<double> joules_per_pass(Executor& executor, const RandomTokens& tokens,
                                      const DeviceMonitor& monitor, std::vector<float>& logits) {
  const std::optional<double> before = monitor.energy();
  if (!before) return std::nullopt;
  double spent = 0;
  std::size_t passes = 0;
  for (; spent < 3; ++passes) spent += seconds_of(executor, tokens, logits);
  const std::optional<double> after = monitor.energy();
  if (!after) return std::nullopt;
  return (*after - *before) / static_cast<double>(passes);
}

/// Clocks and reasons for a lower one as NVML tells them after each block of passes.
class ClockRecord {
 public:
  explicit ClockRecord(const DeviceMonitor& monitor) : monitor_(monitor) {}
  void look() {
    if (const std::optional<unsigned> clock = monitor_.multiprocessor_clock()) clocks_.push_back(*clock);
    if (const std::optional<std::string> reasons = monitor_.throttle_reasons()) reasons_.insert(*reasons);
  }
  std::optional<unsigned> median() const {
    if (clocks_.empty()) return std::nullopt;
    std::vector<double> sorted = clocks_;
    std::sort(sorted.begin(), sorted.end());
    return static_cast<unsigned>(quantile(sorted, 0.5).value);
  }
  const std::set<std::string>& reasons() const { return reasons_; }

 private:
  const DeviceMonitor& monitor_;
  std::vector<double> clocks_;  ///< MHz
  std::set<std::string> reasons_;
};

std::string joined(const std::set<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : "; ") + text;
  return all.empty() ? "unknown" : all;
}

/// What is left of a run is worth nothing once the device fails: every later call gives the same error, under
/// the name of another configuration.
void require_device(const Options& options, const Configuration& c, const Error& error) {
  try {
    synchronize_cuda_device(options.device);
  } catch (const Error& later) {
    throw Error(c.name + ": " + error.what() + "; the device has failed with it: " + later.what());
  }
}

void time_batch(std::vector<Configuration>& all, const Options& options, std::size_t batch,
                std::size_t length, const DeviceMonitor& monitor, Rows& rows, std::string& all_passes,
                std::set<std::string>& throttled) {
  const Shape& shape = all[0].model->shape;
  const RandomTokens tokens = even_batch(shape, batch, length);
  std::vector<float> logits(batch * shape.labels);
  std::map<std::string, std::vector<double>> samples;
  // Before a block, what the configuration before it has put out of the caches is read again.
  constexpr std::size_t warm_up = 10, block = 10, before_block = 2;
  const std::string value = cell_name(batch, length);
  std::vector<Configuration*> here;
  for (Configuration& c : all) {
    if (!c.agrees) continue;
    try {
      for (std::size_t i = 0; i < warm_up; ++i) seconds_of(*c.executor, tokens, logits);
      here.push_back(&c);
    } catch (const Error& error) {
      // The device's memory may not suffice; smaller batches and other configurations still run.
      std::printf("%-8s %-16s left out: %s\n", value.c_str(), c.name.c_str(), error.what());
      require_device(options, c, error);
    }
  }
  // Configurations take turns, so that a drift of the clock meets all of them.
  std::map<std::string, ClockRecord> clocks;
  for (const Configuration* c : here) clocks.emplace(c->name, monitor);
  for (std::size_t done = 0; done < options.repeats; done += block) {
    for (const Configuration* c : here) {
      for (std::size_t i = 0; i < before_block; ++i) seconds_of(*c->executor, tokens, logits);
      for (std::size_t i = 0; i < std::min(block, options.repeats - done); ++i)
        samples[c->name].push_back(seconds_of(*c->executor, tokens, logits));
      clocks.at(c->name).look();
    }
  }
  // Known before the first row, so that what stands ahead of float16 has its ratio, too.
  std::optional<Quantile> base;
  if (const auto found = samples.find("fp16"); found != samples.end()) base = median(found->second, block);
  for (const Configuration* const one : here) {
    const Configuration& c = *one;
    const std::vector<double>& passes = samples[c.name];
    const Quantile middle = median(passes, block);
    for (std::size_t i = 0; i < passes.size(); ++i) {
      char milliseconds[32];
      std::snprintf(milliseconds, sizeof milliseconds, "%.6g", 1e3 * passes[i]);
      all_passes += c.name + "," + value + "," + std::to_string(i) + "," + milliseconds + "\n";
    }
    std::vector<double> sorted = passes;
    std::sort(sorted.begin(), sorted.end());
    const bool certain = has_interval(passes.size(), block);
    const auto add = [&](const char* metric, double estimate, std::optional<double> low = {},
                         std::optional<double> high = {}) {
      rows.add({c.name, "batch x length", value, metric, estimate, low, high, sorted.size()});
    };
    const auto add_median = [&](const char* metric, double estimate, double low, double high) {
      if (certain) return add(metric, estimate, low, high);
      add(metric, estimate);
    };
    add_median("latency_p50_ms", 1e3 * middle.value, 1e3 * middle.low, 1e3 * middle.high);
    for (const auto& [metric, q] : {std::pair("latency_p95_ms", 0.95), std::pair("latency_p99_ms", 0.99)}) {
      const Quantile tail = quantile(sorted, q);
      add(metric, 1e3 * tail.value, 1e3 * tail.low, 1e3 * tail.high);
    }
    const double examples = static_cast<double>(batch), count = static_cast<double>(batch * length);
    add_median("throughput_examples", examples / middle.value, examples / middle.high, examples / middle.low);
    add_median("throughput_tokens", count / middle.value, count / middle.high, count / middle.low);
    add("memory_device_peak_mb", static_cast<double>(c.executor->bytes()) / 1e6);
    if (base)
      add_median("speedup", base->value / middle.value, base->low / middle.high, base->high / middle.low);
    const std::optional<double> joules = joules_per_pass(*c.executor, tokens, monitor, logits);
    if (joules) add("energy_per_token_mj", 1e3 * *joules / count);
    const ClockRecord& record = clocks.at(c.name);
    throttled.insert(record.reasons().begin(), record.reasons().end());
    const std::optional<unsigned> clock = record.median();
    if (clock) add("multiprocessor_clock_mhz", *clock);
    std::printf(
        "%-8s %-16s p50 %8.3f ms [%.3f, %.3f]  p95 %8.3f  p99 %8.3f  %8.0f examples/s  %10.0f tokens/s",
        value.c_str(), c.name.c_str(), 1e3 * middle.value, 1e3 * middle.low, 1e3 * middle.high,
        1e3 * quantile(sorted, 0.95).value, 1e3 * quantile(sorted, 0.99).value, examples / middle.value,
        count / middle.value);
    if (base) std::printf("  %.2fx fp16", base->value / middle.value);
    if (joules) std::printf("  %.3f mJ/token", 1e3 * *joules / count);
    if (clock) std::printf("  at %u MHz, throttled by: %s", *clock, joined(record.reasons()).c_str());
    std::printf("\n");
  }
}

/// The device's measured peaks, each when it is first asked for; 0 where none could be measured.
class Peaks {
 public:
  Peaks(int device, Rows& rows) : device_(device), rows_(rows) {}
  /// Operations per second.
  double operations(bool integer, RealPrecision real) {
    const char* name = integer                          ? "int8"
                       : real == RealPrecision::float32 ? "fp32"
                       : real == RealPrecision::float16 ? "fp16"
                       : real == RealPrecision::float8  ? "fp8"
                                                        : "bf16";
    return measured(name, "peak_tops", 1e12, [&] { return cuda_peak(device_, integer, real); });
  }
  /// Bytes per second.
  double bandwidth() {
    return measured("copy", "peak_gb_per_s", 1e9, [&] { return cuda_bandwidth(device_); });
  }

 private:
  template <typename Measure>
  double measured(const char* name, const char* metric, double unit, const Measure& measure) {
    const auto known = measured_.find(name);
    if (known != measured_.end()) return known->second;
    double peak = 0;
    try {
      peak = measure();
      if (peak > 0) rows_.add({name, "", "", metric, peak / unit, {}, {}, 0});
    } catch (const Error& error) {
      // It needs up to 0.6 GB; what has been timed is worth having without it.
      std::printf("no peak of %s: %s\n", name, error.what());
      synchronize_cuda_device(device_);  // an Error where the device has failed
    }
    return measured_[name] = peak;
  }

  int device_;
  Rows& rows_;
  std::map<std::string, double> measured_;
};

/// What share of the device's measured peak each shape of a product reached, finishing included.
void report_products(const std::vector<Configuration>& all, Peaks& peaks, Rows& rows, std::string& json) {
  for (const Configuration& c : all) {
    if (!c.agrees) continue;
    for (const ProductTime& p : c.products) {
      if (p.seconds <= 0) continue;
      const double rate = 2.0 * p.rows * p.columns * p.depth / p.seconds,
                   most = peaks.operations(p.integer, c.real), share = most > 0 ? 100 * rate / most : NAN;
      const std::string shape = std::to_string(p.rows) + "x" + std::to_string(p.columns) + "x" +
                                std::to_string(p.depth) + " " + p.form;
      rows.add({c.name, "product", shape, "product_us", 1e6 * p.seconds, {}, {}, 0});
      if (most > 0) rows.add({c.name, "product", shape, "share_of_peak", share, {}, {}, 0});
      std::printf("%-16s %-4s %-40s %-14s %9.1f us %8.1f TOP/s %6.1f %% of the measured peak\n",
                  c.name.c_str(), p.integer ? "int8" : "real", shape.c_str(), p.way.c_str(), 1e6 * p.seconds,
                  rate / 1e12, share);
      json += (json.empty() ? "" : ",\n    ") + ("{\"configuration\": \"" + c.name + "\", \"shape\": \"" +
                                                 shape + "\", \"way\": \"" + p.way + "\"}");
    }
  }
}

/// What a kernel would take if memory, as a copy uses it, or the peaks of its products were all; and which of
/// them it is. None where a peak is not known.
std::optional<std::pair<double, const char*>> bound_of(const KernelTime& k, RealPrecision real,
                                                       Peaks& peaks) {
  // float8 is for products with weights; attention's operands are float16 there.
  if (real == RealPrecision::float8) real = RealPrecision::float16;
  const double bandwidth = peaks.bandwidth();
  if (bandwidth <= 0) return std::nullopt;
  double computing = 0;
  for (const auto& [integer, operations] :
       {std::pair(true, k.integer_operations), std::pair(false, k.real_operations)}) {
    if (operations <= 0) continue;
    const double peak = peaks.operations(integer, real);
    if (peak <= 0) return std::nullopt;
    computing += operations / peak;
  }
  const double carrying = k.bytes / bandwidth;
  return computing > carrying ? std::pair(computing, "its products' peak")
                              : std::pair(carrying, "a copy's bandwidth");
}

/// Where a pass's time goes: the products' share, and each kernel between them against its bound.
void report_pass(const Configuration& c, CudaExecutor& executor, const std::string& cell,
                 const RandomTokens& tokens, Peaks& peaks, Rows& rows) {
  executor.take_profile();  // of a cell that failed
  executor.take_kernel_times();
  logits_of(executor, tokens);
  const Profile parts = executor.take_profile();
  const double products = 100 * parts.gemm / (parts.gemm + parts.rest);
  rows.add({c.name, "batch x length", cell, "time_share_products", products, {}, {}, 0});
  rows.add(
      {c.name, "batch x length", cell, "time_of_kernels_ms", 1e3 * (parts.gemm + parts.rest), {}, {}, 0});
  std::printf("%-8s %-16s kernels one by one %.3f ms, products %.0f %% of it\n", cell.c_str(), c.name.c_str(),
              1e3 * (parts.gemm + parts.rest), products);
  for (const KernelTime& k : executor.take_kernel_times()) {
    const std::string what = cell + " " + k.kernel + " " + std::to_string(k.rows) + "x" +
                             std::to_string(k.columns) + " of " + std::to_string(std::llround(k.bytes)) +
                             " bytes";
    rows.add({c.name, "kernel", what, "kernel_us", 1e6 * k.seconds, {}, {}, 0});
    std::printf("%-16s %-56s %9.1f us %8.1f GB/s", c.name.c_str(), what.c_str(), 1e6 * k.seconds,
                k.bytes / k.seconds / 1e9);
    if (const auto bound = bound_of(k, c.real, peaks)) {
      const double share = 100 * bound->first / k.seconds;
      rows.add({c.name, "kernel", what, "share_of_bound", share, {}, {}, 0});
      std::printf(" %6.1f %% of %s", share, bound->second);
    }
    std::printf("\n");
  }
}

void report_kernels(const std::vector<Configuration>& all, const Options& options, Peaks& peaks, Rows& rows) {
  for (const Configuration& c : all) {
    if (!c.agrees) continue;
    CudaOptions how;
    how.device = options.device;
    how.real = c.real;
    how.profile = true;
    std::unique_ptr<CudaExecutor> executor;
    for (const std::size_t batch : options.batches) {
      for (const std::size_t length : options.lengths) {
        const std::string cell = cell_name(batch, length);
        try {
          if (!executor) executor = make_cuda_executor(c.model, how);
          report_pass(c, *executor, cell, even_batch(c.model->shape, batch, length), peaks, rows);
        } catch (const Error& error) {
          std::printf("%-8s %-16s not profiled: %s\n", cell.c_str(), c.name.c_str(), error.what());
          require_device(options, c, error);
        }
      }
    }
  }
}

std::vector<Configuration> configurations(const Options& options, std::string& model_name) {
  std::vector<Configuration> all;
  std::shared_ptr<const Model> floats;
  const auto wanted = [&](const std::string& name) {
    return options.only.empty() || options.only.count(name) > 0;
  };
  const auto add = [&](const std::string& name, std::shared_ptr<const Model> model, RealPrecision real,
                       bool integer) {
    if (wanted(name)) {
      Configuration c;
      c.name = name;
      c.model = std::move(model);
      c.floats = floats;
      c.real = real;
      c.integer = integer;
      all.push_back(std::move(c));
    }
  };
  std::vector<std::string> names = {"fp32", "fp16", "bf16", "fp8"};
  const auto add_floats = [&] {
    add("fp32", floats, RealPrecision::float32, false);
    add("fp16", floats, RealPrecision::float16, false);
    add("bf16", floats, RealPrecision::bfloat16, false);
    add("fp8", floats, RealPrecision::float8, false);
  };
  if (options.model.empty()) {
    const Shape shape = shape_named(options.shape);
    model_name = "random-" + options.shape;
    floats = random_float_model(shape, 1);
    add_floats();
    const RandomTokens calibration(shape, {64, 64, 17}, 3);
    const SiteRanges ranges = ranges_of(floats, calibration.view());
    for (const std::string& scheme : scheme_names()) {
      names.push_back(scheme);
      if (wanted(scheme)) add(scheme, quantized(*floats, ranges, scheme), RealPrecision::float16, true);
    }
  } else {
    const std::shared_ptr<const Model> packed = read_packed_model(options.model);
    model_name = options.model.substr(options.model.find_last_of('/') + 1);
    for (char& c : model_name) c = c == ',' || c == '"' ? '_' : c;
    floats = without_codes(*packed);
    add_floats();
    const auto scheme = packed->facts.find("scheme");
    names.push_back(scheme == packed->facts.end() ? "packed" : scheme->second);
    add(names.back(), packed, RealPrecision::float16, true);
  }
  for (const std::string& name : options.only) {
    if (std::find(names.begin(), names.end(), name) == names.end())
      fail_unknown("configuration", name, names);
  }
  return all;
}

std::string json_text(const std::optional<std::string>& text) {
  if (!text) return "null";
  std::string quoted = "\"";
  for (const char c : *text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return quoted + "\"";
}

int run(const Options& options) {
  if (options.list) {
    std::printf("fp32\nfp16\nbf16\nfp8\n");
    for (const std::string& name : scheme_names()) std::printf("%s\n", name.c_str());
    return 0;
  }
  cuda_device(options.device);  // an Error where there is none, before all that takes long
  std::string model_name, products;
  std::vector<Configuration> all = configurations(options, model_name);
  for (const std::size_t length : options.lengths) {
    if (length > all[0].model->shape.positions)
      throw UsageError("--length: expected at most " + std::to_string(all[0].model->shape.positions) +
                       ", found " + std::to_string(length));
  }
  const DeviceMonitor monitor(cuda_device(options.device).bus_id);
  Rows rows(model_name, "random tokens");
  bool agree = true;
  std::string description;
  for (Configuration& c : all) {
    CudaOptions how;
    how.device = options.device;
    how.real = c.real;
    try {
      c.executor = make_cuda_executor(c.model, how);
    } catch (const Refusal& error) {
      // Turing has no bfloat16, and what came before Ada no float8.
      if (c.integer || (c.real != RealPrecision::bfloat16 && c.real != RealPrecision::float8)) throw;
      std::printf("%-16s left out: %s\n", c.name.c_str(), error.what());
      continue;
    }
    if (description.empty()) {
      description = c.executor->description();
      std::printf("%s, driver %s\n", description.c_str(), monitor.driver().value_or("unknown").c_str());
    }
    try {
      check_agreement(c, how, rows);
    } catch (const Error& error) {
      std::printf("%-16s FAILS: %s\n", c.name.c_str(), error.what());
      require_device(options, c, error);
    }
    agree = agree && c.agrees;
    if (c.real != RealPrecision::float8 || c.integer) {
      const double weights = static_cast<double>(c.model->weight_bytes()) /
                             (c.integer || c.real == RealPrecision::float32 ? 1.0 : 2.0);
      rows.add({c.name, "", "", "memory_weights_mb", weights / 1e6, {}, {}, 0});
    }
  }
  std::string passes = "variant,batch_x_length,pass,milliseconds\n";
  std::set<std::string> throttled;
  std::optional<std::string> failure;
  try {
    for (const std::size_t batch : options.batches) {
      for (const std::size_t length : options.lengths)
        time_batch(all, options, batch, length, monitor, rows, passes, throttled);
    }
    // Peaks and profiles need the memory.
    for (Configuration& c : all) {
      if (c.agrees) c.products = c.executor->product_times();
      c.executor.reset();
    }
    Peaks peaks(options.device, rows);
    report_products(all, peaks, rows, products);
    report_kernels(all, options, peaks, rows);
  } catch (const Error& error) {
    failure = error.what();  // of batches that were timed before it, the rows stand
  }
  if (!options.csv.empty()) write_file_atomically(options.csv, rows.csv());
  if (!options.samples.empty()) write_file_atomically(options.samples, passes);
  if (!options.json.empty()) {
    const auto number = [](const std::optional<unsigned>& n) {
      return n ? std::to_string(*n) : std::string("null");
    };
    write_file_atomically(
        options.json,
        "{\n  \"program\": \"gpu_bench\",\n  \"device\": " + json_text(description) +
            ",\n  \"driver\": " + json_text(monitor.driver()) +
            ",\n  \"multiprocessor_clock_mhz\": " + number(monitor.multiprocessor_clock()) +
            ",\n  \"memory_clock_mhz\": " + number(monitor.memory_clock()) + ",\n  \"temperature_c\": " +
            number(monitor.temperature()) + ",\n  \"throttled_by\": " + json_text(joined(throttled)) +
            ",\n  \"failed\": " + json_text(failure) +
            ",\n  \"compiler\": \"" __VERSION__ "\",\n  \"repeats\": " + std::to_string(options.repeats) +
            ",\n  \"products\": [\n    " + products + "\n  ]\n}\n");
  }
  if (failure) throw Error(*failure);
  if (!agree) std::cerr << "gpu_bench: what does not agree with the CPU executor was not timed\n";
  return agree ? 0 : 1;
}

}  // namespace
}  // namespace outlierlab::engine::bench

int main(int count, char** values) {
  using namespace outlierlab;
  try {
    const auto options = engine::bench::parse(count, values);
    if (!options) {
      std::cout << engine::bench::usage;
      return 0;
    }
    return engine::bench::run(*options);
  } catch (const UsageError& error) {
    std::cerr << "gpu_bench: " << error.what() << "\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "gpu_bench: " << error.what() << "\n";
    return 1;
  }
}
