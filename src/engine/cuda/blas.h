#pragma once

#include <cstddef>
#include <memory>

#include "core/error.h"
#include "engine/cuda/runtime.h"
#include "engine/cuda/values.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

/// out = a * b^T (+ bias) with a [rows, depth], b [columns, depth], all row-major.
///
/// Codes are int8 and give int32 sums; `out` has a stride of `columns`. cublasLt's integer kernels want
/// depth, columns and strides in multiples of 4, addresses in multiples of 16; the caller pads, and leaves
/// room for padded_rows() of the rows.
struct BlasProduct {
  bool codes = false;
  bool eight = false;                     ///< a and b are e4m3, and b stands for `*b_scale` times as much
  const float* b_scale = nullptr;         ///< device memory
  RealType type = RealType::float16;      ///< of a and b, where they are not codes
  RealType out_type = RealType::float16;  ///< float32 or `type`
  const void *a = nullptr, *b = nullptr;
  int lda = 0, ldb = 0;
  void* out = nullptr;
  int ldo = 0;
  int rows = 0, columns = 0, depth = 0;
  const void* bias = nullptr;  ///< [columns] of out_type; null: none
  bool gelu = false;           ///< after the bias; in the tanh approximation (within 5e-4 of GELU)
};

/// Products of as many rows are one shape: they share their algorithms, and the choice among them. Powers of
/// two up to 64, then multiples of 64.
inline int alike_rows(int rows) {
  if (rows > 64) return (rows + 63) / 64 * 64;
  int power = 1;
  while (power < rows) power *= 2;
  return power;
}

/// cublasLt refuses to run an algorithm that its heuristic has offered and its check let pass. Nothing has
/// been put into the stream; another way may do.
class BlasRefusal : public Error {
 public:
  using Error::Error;
};

/// cublasLt: its handle, a workspace, and the algorithms that its heuristic offers for each shape. For
/// another number of alike_rows() cublasLt may refuse one of them.
class Blas {
 public:
  Blas();
  ~Blas();
  Blas(const Blas&) = delete;
  Blas& operator=(const Blas&) = delete;

  /// Number of algorithms for a product of this shape; 0 where cublasLt refuses it.
  int algorithms(const BlasProduct& product);
  /// With the given one of algorithms(). Throws BlasRefusal.
  void multiply(const BlasProduct& product, int algorithm, Stream stream);
  std::size_t bytes() const;

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
