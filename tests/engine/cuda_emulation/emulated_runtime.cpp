// The twin of src/engine/cuda/runtime.cu and blas.cu on the host: a device whose memory is the host's and
// whose stream is done with everything at once.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "engine/cuda/blas.h"
#include "engine/cuda/runtime.h"

namespace outlierlab::engine::emulated {

std::size_t memory_limit = ~std::size_t{0};
std::function<bool(const BlasProduct& product, int algorithm)> refuses_algorithm;

namespace {

using Work = std::vector<std::function<void()>>;
/// Of the stream that is being captured.
std::unique_ptr<Work> captured;

void not_while_capturing(const char* call) {
  if (captured) throw Error(std::string(call) + ": operation not permitted when stream is capturing");
}

}  // namespace

void put_into_stream(std::function<void()> work) {
  if (captured) {
    captured->push_back(std::move(work));
  } else {
    work();
  }
}

int device_count() {
  return 1;
}

DeviceFacts use_device(int device) {
  if (device != 0)
    fail_expected("CUDA device " + std::to_string(device), "one of the devices that the driver reports",
                  "1 devices");
  // A small Hopper.
  return {"emulated", 9, 0, 4, 227 * 1024, std::size_t{1} << 30, "00000000:00:00.0"};
}

void select_device(int) {}

void* allocate(std::size_t bytes) {
  not_while_capturing("emulated cudaMalloc");
  if (device_bytes() + bytes > memory_limit)
    throw Error("emulated cudaMalloc (" + std::to_string(bytes) + " bytes): out of memory");
  void* memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (!memory) throw Error("emulated cudaMalloc (" + std::to_string(bytes) + " bytes): out of memory");
  return memory;
}
void release(void* memory) noexcept {
  std::free(memory);
}
void* allocate_pinned(std::size_t bytes) {
  return allocate(bytes);
}
void release_pinned(void* memory) noexcept {
  std::free(memory);
}
void set_zero(void* memory, std::size_t bytes, Stream) {
  put_into_stream([=] { std::memset(memory, 0, bytes); });
}
void copy_to_device(void* to, const void* from, std::size_t bytes, Stream) {
  put_into_stream([=] { std::memcpy(to, from, bytes); });
}
void copy_to_host(void* to, const void* from, std::size_t bytes, Stream) {
  put_into_stream([=] { std::memcpy(to, from, bytes); });
}
void copy_on_device(void* to, const void* from, std::size_t bytes, Stream) {
  put_into_stream([=] { std::memmove(to, from, bytes); });
}
Stream create_stream() {
  return nullptr;
}
void destroy_stream(Stream) noexcept {}
void synchronize(Stream) {
  not_while_capturing("emulated cudaStreamSynchronize");
}

// Whatever is timed takes a millisecond: long enough to be timed as it is, and the choice between ways, which
// tuning makes by time, stays the same.
Stopwatch::Stopwatch() : events_{nullptr, nullptr} {}
Stopwatch::~Stopwatch() = default;
void Stopwatch::start(Stream) {}
void Stopwatch::stop(Stream) {}
double Stopwatch::seconds() {
  not_while_capturing("emulated cudaEventSynchronize");
  return 1e-3;
}

Graph::~Graph() {
  delete static_cast<Work*>(executable_);
}
void Graph::launch(Stream) const {
  not_while_capturing("emulated cudaGraphLaunch");
  for (const std::function<void()>& work : *static_cast<const Work*>(executable_)) work();
}
void Graph::begin_capture(Stream) {
  not_while_capturing("emulated cudaStreamBeginCapture");
  captured = std::make_unique<Work>();
}
Graph Graph::end_capture(Stream) {
  Graph graph;
  graph.executable_ = captured.release();
  return graph;
}
void Graph::abandon_capture(Stream) noexcept {
  captured.reset();
}

struct Blas::Handle {};

Blas::Blas() = default;
Blas::~Blas() = default;

int Blas::algorithms(const BlasProduct& product) {
  if (product.codes && (product.depth % 4 != 0 || product.columns % 4 != 0 || product.lda % 4 != 0)) return 0;
  return 2;
}

std::size_t Blas::bytes() const {
  return 0;
}

namespace {

float gelu_by_tanh(float v) {
  return 0.5f * v * (1.0f + std::tanh(0.7978845608f * (v + 0.044715f * v * v * v)));
}

/// Rows of an operand as floats.
std::vector<float> floats_of(const BlasProduct& p, const void* values, int rows, int stride) {
  std::vector<float> floats;
  for (int r = 0; r < rows; ++r) {
    for (int k = 0; k < p.depth; ++k) {
      const std::size_t at =
          static_cast<std::size_t>(r) * static_cast<std::size_t>(stride) + static_cast<std::size_t>(k);
      floats.push_back(p.eight ? e4m3_to_float(static_cast<const std::uint8_t*>(values)[at])
                               : real_at(values, p.type, at));
    }
  }
  return floats;
}

/// As blas.cu, into room for whole sets of rows.
void multiply_codes(const BlasProduct& p) {
  for (int r = 0; r < padded_rows(p.rows); ++r) {
    const auto* a = static_cast<const std::int8_t*>(p.a) + static_cast<std::size_t>(r) * p.lda;
    for (int j = 0; j < p.columns; ++j) {
      const auto* b = static_cast<const std::int8_t*>(p.b) + static_cast<std::size_t>(j) * p.ldb;
      std::int32_t sum = 0;
      for (int k = 0; k < p.depth; ++k) sum += a[k] * b[k];
      static_cast<std::int32_t*>(p.out)[static_cast<std::size_t>(r) * p.ldo + j] = sum;
    }
  }
}

void multiply_reals(const BlasProduct& p) {
  const std::vector<float> left = floats_of(p, p.a, p.rows, p.lda),
                           right = floats_of(p, p.b, p.columns, p.ldb);
  for (int r = 0; r < p.rows; ++r) {
    for (int j = 0; j < p.columns; ++j) {
      const float *a = left.data() + static_cast<std::size_t>(r) * p.depth,
                  *b = right.data() + static_cast<std::size_t>(j) * p.depth;
      double exact = 0;
      for (int k = 0; k < p.depth; ++k) exact += static_cast<double>(a[k]) * b[k];
      float sum = static_cast<float>(exact);
      if (p.eight) sum *= *p.b_scale;
      if (p.bias) sum += real_at(p.bias, p.out_type, static_cast<std::size_t>(j));
      set_real(p.out, p.out_type, static_cast<std::size_t>(r) * p.ldo + j, p.gelu ? gelu_by_tanh(sum) : sum);
    }
  }
}

}  // namespace

void Blas::multiply(const BlasProduct& p, int algorithm, Stream) {
  if (algorithm < 0 || algorithm >= algorithms(p))
    fail_expected("emulated cublasLt", "an algorithm", "another");
  if (refuses_algorithm && refuses_algorithm(p, algorithm))
    throw BlasRefusal("emulated cublasLtMatmul: not supported");
  put_into_stream([p] {
    if (p.codes) {
      multiply_codes(p);
    } else {
      multiply_reals(p);
    }
  });
}

}  // namespace outlierlab::engine::emulated
