#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/cuda/platform.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

/// A cudaStream_t. The functions below are all that the executor needs of the CUDA runtime; a status that is
/// not success becomes an Error that names the call and what was asked of it, here and nowhere else.
using Stream = void*;

/// What a device is.
struct DeviceFacts {
  std::string name;  ///< "NVIDIA H100 80GB HBM3"
  int major = 0, minor = 0;
  int multiprocessors = 0;
  std::size_t shared_bytes = 0;  ///< of a block, at most
  std::size_t memory_bytes = 0;
  std::string bus_id;  ///< "00000000:17:00.0"
};

/// Number of devices; 0 where there is no driver.
int device_count();
/// Makes a device this thread's. Throws Error where it does not exist.
DeviceFacts use_device(int device);
/// The same for one that use_device() has described.
void select_device(int device);

void* allocate(std::size_t bytes);
void release(void* memory) noexcept;
void* allocate_pinned(std::size_t bytes);
void release_pinned(void* memory) noexcept;
void set_zero(void* memory, std::size_t bytes, Stream stream);
void copy_to_device(void* to, const void* from, std::size_t bytes, Stream stream);
void copy_to_host(void* to, const void* from, std::size_t bytes, Stream stream);
void copy_on_device(void* to, const void* from, std::size_t bytes, Stream stream);

Stream create_stream();
void destroy_stream(Stream stream) noexcept;
void synchronize(Stream stream);
/// All streams of this thread's device.
void synchronize_device();

/// Seconds that the device took for what was put into a stream between start() and stop().
class Stopwatch {
 public:
  Stopwatch();
  ~Stopwatch();
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  void start(Stream stream);
  void stop(Stream stream);
  /// Waits for the stream to reach stop().
  double seconds();

 private:
  void* events_[2];
};

class StreamOwner {
 public:
  StreamOwner() : stream_(create_stream()) {}
  ~StreamOwner() { destroy_stream(stream_); }
  StreamOwner(const StreamOwner&) = delete;
  StreamOwner& operator=(const StreamOwner&) = delete;
  operator Stream() const { return stream_; }  // NOLINT: it is one

 private:
  Stream stream_;
};

/// What was put into a stream, to be launched as one.
class Graph {
 public:
  Graph() = default;
  Graph(Graph&& other) noexcept : executable_(std::exchange(other.executable_, nullptr)) {}
  Graph& operator=(Graph&& other) noexcept {
    std::swap(executable_, other.executable_);
    return *this;
  }
  ~Graph();
  void launch(Stream stream) const;
  /// What body() puts into the stream, which does not execute it.
  template <typename Body>
  static Graph capture(Stream stream, Body body) {
    begin_capture(stream);
    try {
      body();
    } catch (...) {
      abandon_capture(stream);
      throw;
    }
    return end_capture(stream);
  }

 private:
  static void begin_capture(Stream stream);
  static Graph end_capture(Stream stream);
  /// Ends a capture that failed, so that the stream can be used again.
  static void abandon_capture(Stream stream) noexcept;
  void* executable_ = nullptr;
};

/// Bytes of all DeviceArrays of the process.
inline std::atomic<std::size_t>& device_bytes() {
  static std::atomic<std::size_t> bytes{0};
  return bytes;
}

/// Device memory. Contents of a new array are zero: padding is never garbage.
template <typename T>
class DeviceArray {
 public:
  DeviceArray() = default;
  explicit DeviceArray(std::size_t size) { reset(size); }
  DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {  // NOLINT: a vector is an array
    if (!values.empty()) copy_to_device(data_, values.data(), bytes(), nullptr);
  }
  DeviceArray(DeviceArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~DeviceArray() { free(); }

  /// Another size; throws away what was there.
  void reset(std::size_t size) {
    free();
    if (size == 0) return;
    data_ = static_cast<T*>(allocate(size * sizeof(T)));
    size_ = size;
    device_bytes() += bytes();
    set_zero(data_, bytes(), nullptr);
  }
  T* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::size_t bytes() const { return size_ * sizeof(T); }
  bool empty() const { return size_ == 0; }

 private:
  void free() noexcept {
    if (data_) device_bytes() -= bytes();
    release(data_);
    data_ = nullptr;
    size_ = 0;
  }
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
