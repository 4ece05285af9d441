// The twin of src/engine/cuda/runtime.cu and blas.cu on the host: a device whose memory is the host's and
// whose stream is done with everything at once.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/error.h"
#include "engine/cuda/blas.h"
#include "engine/cuda/runtime.h"

namespace outlierlab::engine::emulated {

int device_count() {
  return 1;
}

DeviceFacts use_device(int device) {
  if (device != 0)
    fail_expected("CUDA device " + std::to_string(device), "one of the devices that the driver reports",
                  "1 devices");
  // A small Hopper.
  return {"emulated", 9, 0, 4, 227 * 1024, std::size_t{1} << 30};
}

void select_device(int) {}

void* allocate(std::size_t bytes) {
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
  std::memset(memory, 0, bytes);
}
void copy_to_device(void* to, const void* from, std::size_t bytes, Stream) {
  std::memcpy(to, from, bytes);
}
void copy_to_host(void* to, const void* from, std::size_t bytes, Stream) {
  std::memcpy(to, from, bytes);
}
void copy_on_device(void* to, const void* from, std::size_t bytes, Stream) {
  std::memmove(to, from, bytes);
}
Stream create_stream() {
  return nullptr;
}
void destroy_stream(Stream) noexcept {}
void synchronize(Stream) {}

Stopwatch::Stopwatch() : events_{nullptr, nullptr} {}
Stopwatch::~Stopwatch() = default;
void Stopwatch::start(Stream) {}
void Stopwatch::stop(Stream) {}
double Stopwatch::seconds() {
  return 0;
}

Graph::~Graph() = default;
void Graph::launch(Stream) const {
  throw Error("emulated cudaGraphLaunch: there are no graphs");
}
void Graph::begin_capture(Stream) {}
Graph Graph::end_capture(Stream) {
  return Graph();
}
void Graph::abandon_capture(Stream) noexcept {}
bool Graph::supported() {
  return false;
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

}  // namespace

void Blas::multiply(const BlasProduct& p, int algorithm, Stream) {
  if (algorithm < 0 || algorithm >= algorithms(p))
    fail_expected("emulated cublasLt", "an algorithm", "another");
  // As blas.cu, into room for whole sets of rows.
  const int rows = p.codes ? padded_rows(p.rows) : p.rows;
  for (int r = 0; r < rows; ++r) {
    for (int j = 0; j < p.columns; ++j) {
      const std::size_t a = static_cast<std::size_t>(r) * p.lda, b = static_cast<std::size_t>(j) * p.ldb,
                        at = static_cast<std::size_t>(r) * p.ldo + j;
      if (p.codes) {
        const auto *left = static_cast<const std::int8_t*>(p.a) + a,
                   *right = static_cast<const std::int8_t*>(p.b) + b;
        std::int32_t sum = 0;
        for (int k = 0; k < p.depth; ++k) sum += left[k] * right[k];
        static_cast<std::int32_t*>(p.out)[at] = sum;
        continue;
      }
      float sum = 0.0f;
      for (int k = 0; k < p.depth; ++k)
        sum = p.eight
                  ? std::fma(
                        e4m3_to_float(static_cast<const std::uint8_t*>(p.a)[a + static_cast<std::size_t>(k)]),
                        e4m3_to_float(static_cast<const std::uint8_t*>(p.b)[b + static_cast<std::size_t>(k)]),
                        sum)
                  : std::fma(real_at(p.a, p.type, a + static_cast<std::size_t>(k)),
                             real_at(p.b, p.type, b + static_cast<std::size_t>(k)), sum);
      if (p.eight) sum *= *p.b_scale;
      if (p.bias) sum += real_at(p.bias, p.out_type, static_cast<std::size_t>(j));
      set_real(p.out, p.out_type, at, p.gelu ? gelu_by_tanh(sum) : sum);
    }
  }
}

}  // namespace outlierlab::engine::emulated
