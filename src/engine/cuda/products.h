#pragma once

#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "engine/cuda/blas.h"
#include "engine/cuda/cuda_executor.h"
#include "engine/cuda/graph_timer.h"
#include "engine/cuda/int8_gemm.h"
#include "engine/cuda/linear.h"
#include "engine/cuda/runtime.h"
#include "engine/cuda/values.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

/// Where a product goes.
struct ProductTarget {
  enum class Output { reals, codes } output = Output::reals;
  bool gelu = false;  ///< integer products: GELU; real ones of two bytes: cublasLt's approximation
  void* out = nullptr;
  int stride = 0;
  RealType type = RealType::float32;
  Grid grids[3];  ///< codes: one per part ...
  /// ... or, also to round reals of integer products, one per column: see Finishing.
  const float* column_grids = nullptr;
  int code_columns = 1 << 30;
  float* kept = nullptr;
  int kept_count = 0;
};

/// Runs products, each by the fastest of several ways. Integer products: our kernel with one of its tile
/// shapes, or cublasLt and our finishing; all give the same bits. Real products: one of cublasLt's
/// algorithms. With `tune`, the ways are timed when a shape is first seen, and one that does not give the
/// reference's bits is never used.
class Products {
 public:
  /// `only`: for tests and comparisons, all integer products by this way (see way_name()); -1: the fastest.
  Products(const DeviceFacts& device, bool tune, int only);

  void multiply(const DeviceLinear& linear, const Operand& left, int rows, const ProductTarget& target,
                Stream stream);

  std::vector<ProductTime> times() const;
  /// Ways that were dropped because their results differed.
  const std::vector<std::string>& dropped() const { return dropped_; }
  /// Changes when memory that products use has moved: what was captured before must not run any more.
  unsigned generation() const { return generation_; }
  static int integer_ways();
  static std::string way_name(int way);
  /// See cuda_peak().
  static double peak(bool integer, bool eight, RealType type, Stream stream);

 private:
  struct Call;
  using Key = std::tuple<bool, int, int, int, int, int, int, bool>;
  struct Choice {
    int way = 0;
    double seconds = 0;  ///< 0: not timed
    int rows = 0;
  };
  static std::string form_of(const Key& key);
  Choice choose(const Call& call, Stream stream);
  Choice measure(const Call& call, const std::vector<int>& ways, Stream stream);
  void keep_reference(const Call& call, int way, Stream stream);
  std::int32_t differences(const Call& call, int way, Stream stream);
  std::vector<int> ways_of(const Call& call);
  int blas_ways(const Call& call);
  int guess(const Call& call) const;
  void run(const Call& call, int way, Stream stream);
  bool runs(const Call& call, int way, Stream stream);
  void run_integer(const Call& call, int way, Stream stream);
  void run_real(const Call& call, int algorithm, Stream stream);
  Int8Product integer_product(const Call& call) const;
  BlasProduct segment_product(const Call& call, std::size_t segment) const;
  bool has_bias(const Call& call) const;
  BlasProduct real_product(const Call& call, bool with_bias) const;

  DeviceFacts device_;
  bool tune_;
  int only_;
  Blas blas_;
  DeviceArray<std::int32_t> sums_;
  DeviceArray<unsigned char> reference_;
  DeviceArray<std::int32_t> differences_;
  unsigned generation_ = 0;
  GraphTimer timer_;
  std::map<Key, Choice> choices_;
  std::vector<std::string> dropped_;
};

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
