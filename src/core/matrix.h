#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

namespace outlierlab {

/// Allocates on 64-byte boundaries, so that a row can start on a cache line, and leaves floats uninitialized
/// on resize() (a scratch buffer is written before it is read).
template <typename T>
struct AlignedAllocator {
  using value_type = T;
  AlignedAllocator() = default;
  template <typename U>
  AlignedAllocator(const AlignedAllocator<U>&) {}
  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t(64))); }
  void deallocate(T* p, std::size_t) { ::operator delete(p, std::align_val_t(64)); }
  template <typename U>
  void construct(U* p) {
    ::new (static_cast<void*>(p)) U;
  }
  template <typename U, typename... Args>
  void construct(U* p, Args&&... args) {
    ::new (static_cast<void*>(p)) U(static_cast<Args&&>(args)...);
  }
  template <typename U>
  bool operator==(const AlignedAllocator<U>&) const {
    return true;
  }
  template <typename U>
  bool operator!=(const AlignedAllocator<U>&) const {
    return false;
  }
};

/// The least multiple of `unit` that is not below n.
constexpr std::size_t round_up(std::size_t n, std::size_t unit) {
  return (n + unit - 1) / unit * unit;
}

template <typename T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

/// Owning row-major float matrix: element (r, c) is data()[r * cols() + c]. Rows lie without gaps. The
/// contents of a new or resized matrix are unspecified unless a fill value is given.
class Matrix {
 public:
  Matrix() = default;
  Matrix(std::size_t rows, std::size_t cols) { resize(rows, cols); }
  Matrix(std::size_t rows, std::size_t cols, float fill)
      : rows_(rows), cols_(cols), values_(rows * cols, fill) {}

  void resize(std::size_t rows, std::size_t cols) {
    rows_ = rows;
    cols_ = cols;
    values_.resize(rows * cols);
  }

  std::size_t rows() const { return rows_; }
  std::size_t cols() const { return cols_; }
  std::size_t stride() const { return cols_; }  ///< from one row to the next, as in SpreadMatrix
  std::size_t size() const { return values_.size(); }
  bool empty() const { return values_.empty(); }
  float* data() { return values_.data(); }
  const float* data() const { return values_.data(); }
  float* row(std::size_t r) { return data() + r * cols_; }
  const float* row(std::size_t r) const { return data() + r * cols_; }
  float& operator()(std::size_t r, std::size_t c) { return values_[r * cols_ + c]; }
  float operator()(std::size_t r, std::size_t c) const { return values_[r * cols_ + c]; }

 private:
  std::size_t rows_ = 0;
  std::size_t cols_ = 0;
  AlignedVector<float> values_;
};

/// A matrix for work in progress: rows lie an odd number of cache lines apart. A core's first cache finds the
/// place of a line by the low bits of its address; rows of 384 or 1536 floats without gaps would all compete
/// for a few of its places, and push out each other and whatever else lies there. Contents are unspecified
/// after resize(), which never gives back memory.
class SpreadMatrix {
 public:
  void resize(std::size_t rows, std::size_t cols) {
    constexpr std::size_t line = 64 / sizeof(float);
    cols_ = cols;
    stride_ = ((cols + line - 1) / line | 1) * line;
    if (values_.size() < rows * stride_) values_.resize(rows * stride_);
  }
  std::size_t cols() const { return cols_; }
  std::size_t stride() const { return stride_; }
  float* row(std::size_t r) { return values_.data() + r * stride_; }
  const float* row(std::size_t r) const { return values_.data() + r * stride_; }

 private:
  std::size_t cols_ = 0, stride_ = 0;
  AlignedVector<float> values_;
};

}  // namespace outlierlab
