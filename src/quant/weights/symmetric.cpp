#include "quant/weights/symmetric.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "core/error.h"
#include "core/parallel.h"
#include "quant/kernels.h"

namespace outlierlab {

namespace {
constexpr std::size_t values_per_chunk = 1 << 16;

// Row r is cut into `per_row` units of at most `length` values; a tensor is one row of all its values.
struct Units {
  std::size_t rows, cols, length, per_row;
};

Units cut(const Matrix& weight, const WeightContext& context) {
  std::size_t rows = weight.rows(), cols = weight.cols(), length = cols;
  if (context.granularity == Granularity::tensor) {
    length = cols = weight.size();
    rows = 1;
  } else if (context.granularity == Granularity::block) {
    length = std::max<std::size_t>(1, std::min(context.block, cols));
  } else if (context.granularity != Granularity::channel) {
    throw UsageError(context.name + ": expected granularity tensor, channel or block for a weight, found " +
                     to_string(context.granularity));
  }
  return {rows, cols, length, (cols + length - 1) / length};
}

float absmax_of(const float* values, std::size_t count) {
  float absmax = 0;
  for (std::size_t i = 0; i < count; ++i) absmax = std::max(absmax, std::abs(values[i]));
  return absmax;
}

// Partial sums per chunk, added up in order: the result does not depend on the number of threads.
double parallel_error(const float* values, std::size_t count, const Grid& grid) {
  std::vector<double> parts((count + values_per_chunk - 1) / values_per_chunk);
  parallel_chunks(count, values_per_chunk, [&](std::size_t begin, std::size_t end, int) {
    parts[begin / values_per_chunk] = quantization_error(values + begin, end - begin, grid);
  });
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum;
}

bool quantize_whole(const Matrix& weight, int bits, const ClipChoice& choose, QuantizedWeight& result) {
  const float absmax = absmax_of(weight.data(), weight.size());
  const Grid grid = Grid::symmetric(
      choose(absmax, [&](const Grid& g) { return parallel_error(weight.data(), weight.size(), g); }), bits);
  result.scales[0] = grid.scale;
  std::atomic<bool> finite{true};
  parallel_chunks(weight.size(), values_per_chunk, [&](std::size_t begin, std::size_t end, int) {
    const std::size_t n = end - begin;
    if (!fake_quantize_tensor(weight.data() + begin, result.values.data() + begin, 1, n, n, grid))
      finite = false;
  });
  return finite;
}

bool quantize_units(const Matrix& weight, const Units& units, int bits, const ClipChoice& choose,
                    QuantizedWeight& result) {
  std::atomic<bool> finite{true};
  parallel_chunks(units.rows, 16, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin * units.per_row; i < end * units.per_row; ++i) {
      const std::size_t column = i % units.per_row * units.length;
      const std::size_t n = std::min(units.length, units.cols - column);
      const float* values = weight.row(i / units.per_row) + column;
      float* out = result.values.row(i / units.per_row) + column;
      const float clip =
          choose(absmax_of(values, n), [&](const Grid& g) { return quantization_error(values, n, g); });
      const Grid grid = Grid::symmetric(clip, bits);
      result.scales[i] = grid.scale;
      if (!fake_quantize_tensor(values, out, 1, n, n, grid)) finite = false;
    }
  });
  return finite;
}

std::size_t packed_bytes(const Units& units, int bits) {
  const auto bytes = [&](std::size_t values) { return (values * bits + 7) / 8; };
  const std::size_t last = units.cols - (units.per_row - 1) * units.length;
  return units.rows * ((units.per_row - 1) * bytes(units.length) + bytes(last) + 4 * units.per_row);
}
}  // namespace

QuantizedWeight quantize_symmetric(const Matrix& weight, const WeightContext& context,
                                   const ClipChoice& choose) {
  QuantizedWeight result;
  result.values.resize(weight.rows(), weight.cols());
  if (weight.empty()) return result;
  const Units units = cut(weight, context);
  result.scales.resize(units.rows * units.per_row);
  const bool finite = context.granularity == Granularity::tensor
                          ? quantize_whole(weight, context.bits, choose, result)
                          : quantize_units(weight, units, context.bits, choose, result);
  if (!finite) fail_expected("weight " + context.name, "finite values", "NaN or Inf");
  result.stored_bytes = packed_bytes(units, context.bits);
  return result;
}

}  // namespace outlierlab
