#include "engine/cuda/products.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "core/error.h"
#include "engine/cuda/row_kernels.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

namespace {

/// cublasLt algorithms that are tried for an integer product.
constexpr int lt_ways = 3;
/// Most memory for int32 sums of cublasLt.
constexpr std::size_t most_sum_bytes = std::size_t{256} << 20;
/// Counts places where two arrays of words differ.
__global__ void differences_kernel(const std::uint32_t* a, const std::uint32_t* b, std::size_t count,
                                   std::int32_t* differences) {
  std::int32_t mine = 0;
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step)
    mine += a[i] != b[i];
  if (mine > 0) add_atomically(differences, mine);
}

}  // namespace

struct Products::Call {
  const DeviceLinear& linear;
  const Operand& left;
  int rows;
  const ProductTarget& target;

  /// What the product writes: rows, of which a part of a wider row ends before the stride does, and channels
  /// that stay in float behind codes. Sizes are whole words.
  struct Part {
    void* begin = nullptr;
    std::size_t bytes = 0;
    bool whole = false;  ///< nothing of others lies between
  };
  std::array<Part, 2> parts() const {
    const auto n = static_cast<std::size_t>(rows);
    const bool codes = target.output == ProductTarget::Output::codes;
    const int gap = target.stride - std::min(linear.columns(), target.stride);
    const std::size_t elements = n * static_cast<std::size_t>(target.stride) - static_cast<std::size_t>(gap);
    const std::size_t bytes = elements * (codes ? 1 : static_cast<std::size_t>(bytes_of(target.type)));
    const std::size_t kept = codes && target.kept ? n * static_cast<std::size_t>(target.kept_count) : 0;
    return {Part{target.out, bytes / 4 * 4, gap == 0}, Part{target.kept, kept * sizeof(float), true}};
  }
};

Products::Products(const DeviceFacts& device, bool tune, int only)
    : device_(device), tune_(tune), only_(only), differences_(1) {
  if (only >= integer_ways())
    fail_expected("CUDA executor, way of integer products", "less than " + std::to_string(integer_ways()),
                  std::to_string(only));
}

int Products::integer_ways() {
  return tile_count() + lt_ways;
}

std::string Products::way_name(int way) {
  if (way < tile_count()) return tile_name(way);
  return "cublasLt " + std::to_string(way - tile_count());
}

void Products::multiply(const DeviceLinear& linear, const Operand& left, int rows,
                        const ProductTarget& target, Stream stream) {
  if (rows == 0) return;
  const Call call = {linear, left, rows, target};
  const int chosen = choose(call, stream).way;
  if (runs(call, chosen, stream)) return;
  // It did with a few rows more, or has not been tried.
  for (const int way : ways_of(call)) {
    if (way != chosen && runs(call, way, stream)) return;
  }
  run(call, chosen, stream);
}

Products::Choice Products::choose(const Call& call, Stream stream) {
  if (call.linear.integer() && only_ >= 0) return {only_, 0, 0};
  const Key key = {
      call.linear.integer(),
      alike_rows(call.rows),
      call.linear.columns(),
      call.linear.depth(),
      static_cast<int>(call.linear.segments_.size()),
      call.linear.keeps_outliers_ ? -1 : call.linear.kept_count_,
      8 * static_cast<int>(call.target.output) + 2 * static_cast<int>(call.target.type) + call.target.gelu,
      call.target.column_grids != nullptr};
  const auto known = choices_.find(key);
  if (known != choices_.end()) return known->second;
  const std::vector<int> ways = ways_of(call);
  if (ways.empty()) {
    fail_expected("cublasLt",
                  "an algorithm for a product of " + std::to_string(call.rows) + " x " +
                      std::to_string(call.linear.columns()) + " x " + std::to_string(call.linear.depth()),
                  "none");
  }
  Choice choice = {call.linear.integer() ? guess(call) : ways[0], 0, 0};
  if (tune_ && ways.size() > 1) choice = measure(call, ways, stream);
  choice.rows = call.rows;
  choices_[key] = choice;
  return choice;
}

int Products::guess(const Call& call) const {
  return full_tile(integer_product(call), device_);
}

std::vector<int> Products::ways_of(const Call& call) {
  std::vector<int> ways;
  if (!call.linear.integer()) {
    int count = has_bias(call) ? blas_.algorithms(real_product(call, true)) : 0;
    if (count == 0) count = blas_.algorithms(real_product(call, false));
    ways.resize(static_cast<std::size_t>(count));
    std::iota(ways.begin(), ways.end(), 0);
    return ways;
  }
  const Int8Product product = integer_product(call);
  for (int tile = 0; tile < tile_count(); ++tile) {
    if (tile_can(tile, product, device_)) ways.push_back(tile);
  }
  const int usable = blas_ways(call);
  for (int i = 0; i < usable; ++i) ways.push_back(tile_count() + i);
  return ways;
}

/// Algorithms of cublasLt that take all segments of an integer product.
int Products::blas_ways(const Call& call) {
  const std::size_t segments = call.linear.segments_.size();
  const std::size_t sum_bytes = segments * sizeof(std::int32_t) *
                                static_cast<std::size_t>(padded_rows(call.rows)) *
                                static_cast<std::size_t>(call.linear.columns());
  if (sum_bytes > most_sum_bytes || segments == 0) return 0;
  int usable = lt_ways;
  for (std::size_t s = 0; s < segments; ++s)
    usable = std::min(usable, blas_.algorithms(segment_product(call, s)));
  return usable;
}

/// Keeps the results of a way as the reference.
void Products::keep_reference(const Call& call, int way, Stream stream) {
  run(call, way, stream);
  std::size_t at = 0, bytes = 0;
  for (const auto& part : call.parts()) bytes += part.bytes;
  if (reference_.bytes() < bytes) reference_.reset(bytes);
  for (const auto& part : call.parts()) {
    if (part.bytes > 0) copy_on_device(reference_.data() + at, part.begin, part.bytes, stream);
    at += part.bytes;
  }
}

/// Words in which a way's results are not the reference's.
std::int32_t Products::differences(const Call& call, int way, Stream stream) {
  // So that what a way leaves out is seen.
  for (const auto& part : call.parts()) {
    if (part.whole && part.bytes > 0) set_zero(part.begin, part.bytes, stream);
  }
  run(call, way, stream);
  set_zero(differences_.data(), differences_.bytes(), stream);
  std::size_t at = 0;
  for (const auto& part : call.parts()) {
    if (part.bytes > 0) {
      launch("differences_kernel", differences_kernel, {64, 1, 1}, 256, 0, stream,
             static_cast<const std::uint32_t*>(part.begin),
             reinterpret_cast<const std::uint32_t*>(reference_.data() + at), part.bytes / 4,
             differences_.data());
    }
    at += part.bytes;
  }
  std::int32_t count = 0;
  copy_to_host(&count, differences_.data(), sizeof count, stream);
  synchronize(stream);
  return count;
}

/// Every way gives the reference's bits or is dropped; of the others that run, the fastest.
Products::Choice Products::measure(const Call& call, const std::vector<int>& ways, Stream stream) {
  Choice best = {ways[0], 0, 0};
  if (call.linear.integer()) best.way = guess(call);
  const int reference = best.way;
  bool any = false;
  if (call.linear.integer()) keep_reference(call, reference, stream);
  for (const int way : ways) {
    if (!runs(call, way, stream)) continue;
    const std::int32_t count = call.linear.integer() ? differences(call, way, stream) : 0;
    if (count > 0) {
      dropped_.push_back(way_name(way) + " differs from " + way_name(reference) + " in " +
                         std::to_string(count) + " words of a product of " + std::to_string(call.rows) +
                         " x " + std::to_string(call.linear.columns()) + " x " +
                         std::to_string(call.linear.depth()));
      continue;
    }
    const double seconds = timer_.seconds(stream, [&] { run(call, way, stream); });
    if (!any || seconds < best.seconds) best = {way, seconds, 0};
    any = true;
  }
  return best;
}

/// Whether cublasLt did not refuse, when it came to it.
bool Products::runs(const Call& call, int way, Stream stream) {
  try {
    run(call, way, stream);
  } catch (const BlasRefusal&) {
    return false;
  }
  return true;
}

void Products::run(const Call& call, int way, Stream stream) {
  if (call.linear.integer()) {
    run_integer(call, way, stream);
  } else {
    run_real(call, way, stream);
  }
}

namespace {

Int8Product product_of(const Operand& left, int rows, const ProductTarget& target) {
  Int8Product p;
  p.a = left.codes;
  p.lda = left.stride;
  p.rows = rows;
  Finishing& f = p.finish;
  f.output =
      target.output == ProductTarget::Output::codes ? Finishing::Output::codes : Finishing::Output::reals;
  f.gelu = target.gelu;
  f.out = target.out;
  f.stride = target.stride;
  f.type = target.type;
  std::copy(std::begin(target.grids), std::end(target.grids), std::begin(f.grids));
  f.column_grids = target.column_grids;
  f.code_columns = target.code_columns;
  f.kept_out = target.kept;
  f.kept_out_count = target.kept_count;
  f.row_scale = left.row_scale;
  f.row_zero = left.row_zero;
  f.kept = left.kept;
  return p;
}

}  // namespace

Int8Product Products::integer_product(const Call& call) const {
  const DeviceLinear& linear = call.linear;
  Int8Product p = product_of(call.left, call.rows, call.target);
  p.b = linear.codes_.data();
  p.columns = linear.columns_;
  p.depth = linear.depth_;
  Finishing& f = p.finish;
  f.part = linear.part_;
  f.column_stride = linear.columns_;
  f.segments = linear.device_segments_.data();
  f.segment_count = static_cast<int>(linear.segments_.size());
  if (!linear.segments_.empty()) f.first = linear.segments_[0];
  for (const Segment& segment : linear.segments_) f.whole_segments = f.whole_segments && segment.end % 2 == 0;
  f.column_scale = linear.column_scale_.data();
  f.column_rest = linear.column_rest_.data();
  f.column_sums = linear.column_sums_.data();
  f.bias = linear.bias_.data();
  f.kept_weights = linear.kept_weights_.data();
  f.kept_count = linear.kept_count_;
  f.outliers = call.left.outliers;
  f.codes_by_channel = linear.codes_by_channel_.data();
  return p;
}

void Products::run_integer(const Call& call, int way, Stream stream) {
  const DeviceLinear& linear = call.linear;
  const Int8Product p = integer_product(call);
  // A way that CudaOptions asks for, or that was chosen for a few rows more, may not suit every product.
  const bool can = way < tile_count() ? tile_can(way, p, device_) : blas_ways(call) > 0;
  if (way < tile_count() || !can) return multiply_tiled(can ? way : guess(call), p, stream);
  const std::size_t plane =
      static_cast<std::size_t>(padded_rows(p.rows)) * static_cast<std::size_t>(p.columns);
  if (sums_.size() < plane * linear.segments_.size()) {
    ++generation_;  // before what may throw
    sums_.reset(plane * linear.segments_.size());
  }
  for (std::size_t s = 0; s < linear.segments_.size(); ++s) {
    const BlasProduct part = segment_product(call, s);
    blas_.multiply(part, std::min(way - tile_count(), blas_.algorithms(part) - 1), stream);
  }
  finish_sums(p, sums_.data(), stream);
}

/// The sums of one segment, into its plane of sums_.
BlasProduct Products::segment_product(const Call& call, std::size_t segment) const {
  const DeviceLinear& linear = call.linear;
  const std::size_t plane =
      static_cast<std::size_t>(padded_rows(call.rows)) * static_cast<std::size_t>(linear.columns_);
  const int begin = segment == 0 ? 0 : linear.segments_[segment - 1].end * depth_unit;
  BlasProduct p;
  p.codes = true;
  p.a = call.left.codes + begin;
  p.lda = call.left.stride;
  p.b = linear.codes_.data() + begin;
  p.ldb = linear.depth_;
  p.out = sums_.data() + segment * plane;
  p.ldo = p.columns = linear.columns_;
  p.rows = call.rows;
  p.depth = linear.segments_[segment].end * depth_unit - begin;
  return p;
}

/// cublasLt has no float32 bias for products of e4m3.
bool Products::has_bias(const Call& call) const {
  return !call.linear.eight_ || call.target.type != RealType::float32;
}

BlasProduct Products::real_product(const Call& call, bool with_bias) const {
  const DeviceLinear& linear = call.linear;
  BlasProduct p;
  p.type = linear.type_;
  p.out_type = call.target.type;
  p.a = call.left.real;
  p.lda = call.left.real_stride;
  p.b = linear.real_.data();
  p.ldb = p.depth = linear.depth_;
  p.out = call.target.out;
  p.ldo = call.target.stride;
  p.rows = call.rows;
  p.columns = linear.columns_;
  if (linear.eight_) {
    p.eight = true;
    p.a = call.left.eight;
    p.b_scale = linear.eight_scale_.data();
  }
  if (!with_bias) return p;
  const bool wide = p.out_type == RealType::float32;
  p.bias = wide ? static_cast<const void*>(linear.bias_.data()) : linear.real_bias_.data();
  p.gelu = call.target.gelu;
  return p;
}

void Products::run_real(const Call& call, int algorithm, Stream stream) {
  BlasProduct p = real_product(call, true);
  int count = has_bias(call) ? blas_.algorithms(p) : 0;
  if (count > 0) return blas_.multiply(p, std::min(algorithm, count - 1), stream);
  p = real_product(call, false);
  count = blas_.algorithms(p);
  blas_.multiply(p, std::min(algorithm, count - 1), stream);
  add_bias(p.out, p.out_type, call.linear.bias_.data(), call.target.gelu, p.rows, p.columns, p.ldo, stream);
}

std::string Products::form_of(const Key& key) {
  const int segments = std::get<4>(key), kept = std::get<5>(key), target = std::get<6>(key);
  std::string from = std::get<0>(key) ? "codes" : "reals";
  if (segments > 1) from += " in " + std::to_string(segments) + " segments";
  if (kept != 0) from += kept < 0 ? " and outliers" : " and " + std::to_string(kept) + " kept";
  const bool codes = target / 8 == static_cast<int>(ProductTarget::Output::codes);
  return from + " to " + (target % 2 ? "gelu " : "") +
         (codes ? "codes" : name_of(static_cast<RealType>(target % 8 / 2))) +
         (std::get<7>(key) ? " per column" : "");
}

std::vector<ProductTime> Products::times() const {
  std::vector<ProductTime> all;
  for (const auto& [key, choice] : choices_) {
    const bool integer = std::get<0>(key);
    all.push_back({integer, choice.rows, std::get<2>(key), std::get<3>(key), form_of(key),
                   integer ? way_name(choice.way) : "cublasLt " + std::to_string(choice.way),
                   choice.seconds});
  }
  return all;
}

double Products::peak(bool integer, bool eight, RealType type, Stream stream) {
  constexpr int size = 8192;
  const std::size_t elements = static_cast<std::size_t>(size) * size;
  const auto bytes = static_cast<std::size_t>(integer || eight ? 1 : bytes_of(type));
  // Values that are neither all equal nor beyond what their type holds: power, and with it the clock, depends
  // on them.
  std::vector<unsigned char> values(elements * bytes);
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < elements; ++i) {
    state = state * 1664525u + 1013904223u;
    if (integer || eight) {
      // As e4m3, at most 30.
      values[i] = static_cast<unsigned char>(state >> 24 & (eight ? 0xdfu : 0xffu));
      continue;
    }
    const float v = static_cast<float>(state >> 8) * 0x1p-24f - 0.5f;
    const std::uint16_t bits = type == RealType::float32 ? std::uint16_t{0} : to_bits(v, type);
    std::memcpy(values.data() + i * bytes, type == RealType::float32 ? static_cast<const void*>(&v) : &bits,
                bytes);
  }
  const DeviceArray<unsigned char> a(values),
      out(elements * (integer ? 4 : static_cast<std::size_t>(bytes_of(type))));
  const DeviceArray<float> one(std::vector<float>{1.0f});
  Blas blas;
  BlasProduct p;
  p.codes = integer;
  p.eight = eight;
  p.b_scale = one.data();
  p.type = p.out_type = type;
  p.a = p.b = a.data();
  p.out = out.data();
  p.lda = p.ldb = p.ldo = p.rows = p.columns = p.depth = size;
  Stopwatch watch;
  constexpr int runs = 5;
  double best = 0;
  for (int algorithm = 0; algorithm < blas.algorithms(p); ++algorithm) {
    try {
      blas.multiply(p, algorithm, stream);
    } catch (const BlasRefusal&) {
      continue;  // another may do
    }
    watch.start(stream);
    for (int i = 0; i < runs; ++i) blas.multiply(p, algorithm, stream);
    watch.stop(stream);
    const double seconds = watch.seconds() / runs;
    if (seconds > 0) best = std::max(best, 2.0 * size * static_cast<double>(elements) / seconds);
  }
  return best;
}

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
