// The fused quantize-dequantize kernels per value and beside the bandwidth of a triad over as many bytes, and
// calibration per site, which is a search over bins: it has no bound but itself.
#include <benchmark/benchmark.h>

#include <limits>
#include <string>

#include "bounds.h"
#include "core/random.h"
#include "program.h"
#include "quant/calibrator.h"
#include "quant/kernels.h"

using namespace outlierlab;

static Matrix random_values(std::size_t rows, std::size_t cols) {
  Matrix m(rows, cols);
  Random random(1);
  for (std::size_t i = 0; i < m.size(); ++i) {
    m.data()[i] = static_cast<float>(random.uniform() + random.uniform() + random.uniform() - 1.5);
  }
  return m;
}

/// `bytes`: read and written by one iteration.
static void report_per_value(benchmark::State& state, std::size_t values, std::size_t bytes) {
  state.counters["time/value"] =
      benchmark::Counter(static_cast<double>(values),
                         benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
  count_bytes(state, bytes, bytes);
}

static void tensor(benchmark::State& state) {
  const auto cols = static_cast<std::size_t>(state.range(0)),
             stride = static_cast<std::size_t>(state.range(1));
  const Matrix source = random_values(32, stride);
  Matrix target(32, stride);
  const Grid grid = Grid::affine({-1, 1}, 8);
  for (auto _ : state) {
    benchmark::DoNotOptimize(fake_quantize_tensor(source.data(), target.data(), 32, cols, stride, grid));
  }
  report_per_value(state, 32 * cols, 8 * 32 * cols);
}
BENCHMARK(tensor)->Args({384, 384})->Args({3072, 3072})->Args({384, 1152})->Args({41, 128});

static void columns(benchmark::State& state) {
  const auto cols = static_cast<std::size_t>(state.range(0));
  const Matrix source = random_values(32, cols);
  Matrix target(32, cols);
  const std::vector<float> scale(cols, 0.01f), zero(cols, 100.0f);
  for (auto _ : state) {
    benchmark::DoNotOptimize(fake_quantize_columns(source.data(), target.data(), 32, cols, cols, scale.data(),
                                                   zero.data(), 0.0f, 255.0f));
  }
  report_per_value(state, 32 * cols, 8 * 32 * cols + 8 * cols);
}
BENCHMARK(columns)->Arg(384)->Arg(3072);

/// Values above `threshold` stay as they are (LLM.int8()).
static void time_rows(benchmark::State& state, float threshold) {
  const auto cols = static_cast<std::size_t>(state.range(0)),
             block = static_cast<std::size_t>(state.range(1));
  const Matrix source = random_values(32, cols);
  Matrix target(32, cols);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        fake_quantize_rows(source.data(), target.data(), 32, cols, cols, block, 8, false, threshold));
  }
  report_per_value(state, 32 * cols, 8 * 32 * cols);
}

static void rows(benchmark::State& state) {
  time_rows(state, std::numeric_limits<float>::infinity());
}
BENCHMARK(rows)->Args({384, 0})->Args({3072, 0})->Args({384, 32});

/// One value in a hundred is an outlier.
static void rows_outliers(benchmark::State& state) {
  time_rows(state, 1.2f);
}
BENCHMARK(rows_outliers)->Args({384, 0})->Args({3072, 0});

static void error(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const Matrix values = random_values(1, count);
  const Grid grid = Grid::affine({-1, 1}, 8);
  for (auto _ : state) benchmark::DoNotOptimize(quantization_error(values.data(), count, grid));
  report_per_value(state, count, 4 * count);
}
BENCHMARK(error)->Arg(32 * 384)->Arg(32 * 3072);

static void calibrate(benchmark::State& state, const std::string& name) {
  const Matrix values = random_values(1000, 1000);
  Distribution distribution;
  distribution.min = -1.5f;
  distribution.max = 1.5f;
  distribution.histogram.add(values.data(), 1000, 1000, 1000);
  const auto calibrator = make_calibrator(name, IniSection());
  for (auto _ : state) benchmark::DoNotOptimize(calibrator->range(distribution, CalibrationContext()));
}
BENCHMARK_CAPTURE(calibrate, percentile, std::string("percentile"))->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(calibrate, mse, std::string("mse"))->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(calibrate, kl, std::string("kl"))->Unit(benchmark::kMillisecond);

int main(int argc, char** argv) {
  return outlierlab::run_benchmarks(argc, argv);
}
