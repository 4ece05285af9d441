#include "engine/cuda/runtime.h"

#include <cstdio>

#include "core/error.h"

namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE {

namespace {

cudaStream_t native(Stream stream) {
  return static_cast<cudaStream_t>(stream);
}

std::string amount(std::size_t bytes) {
  return std::to_string(bytes) + " bytes";
}

}  // namespace

int device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();  // not an error here: there is no driver, or no device
    return 0;
  }
  return count;
}

namespace {
/// Why there is no device, as far as the versions tell it.
std::string reason_for_none() {
  int driver = 0, runtime = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) return "no driver";
  cudaRuntimeGetVersion(&runtime);
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();
  const auto version = [](int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); };
  return "a driver for CUDA " + version(driver) + " under a build with " + version(runtime) + "; " +
         cudaGetErrorString(status);
}

std::string bus_id(const cudaDeviceProp& device) {
  char text[32];
  std::snprintf(text, sizeof text, "%08x:%02x:%02x.0", static_cast<unsigned>(device.pciDomainID),
                static_cast<unsigned>(device.pciBusID), static_cast<unsigned>(device.pciDeviceID));
  return text;
}
}  // namespace

DeviceFacts use_device(int device) {
  const int count = device_count();
  if (device < 0 || device >= count)
    fail_expected("CUDA device " + std::to_string(device), "one of the devices that the driver reports",
                  std::to_string(count) + " devices" + (count == 0 ? " (" + reason_for_none() + ")" : ""));
  check(cudaSetDevice(device), "cudaSetDevice", "device " + std::to_string(device));
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties",
        "device " + std::to_string(device));
  if (properties.major * 10 + properties.minor < 75)
    fail_expected(properties.name, "compute capability 7.5 or higher",
                  std::to_string(properties.major) + "." + std::to_string(properties.minor));
  return {properties.name,
          properties.major,
          properties.minor,
          properties.multiProcessorCount,
          properties.sharedMemPerBlockOptin,
          properties.totalGlobalMem,
          bus_id(properties)};
}

void select_device(int device) {
  check(cudaSetDevice(device), "cudaSetDevice", "device " + std::to_string(device));
}

void* allocate(std::size_t bytes) {
  void* memory = nullptr;
  check(cudaMalloc(&memory, bytes), "cudaMalloc", amount(bytes));
  return memory;
}

void release(void* memory) noexcept {
  if (memory) cudaFree(memory);
}

void* allocate_pinned(std::size_t bytes) {
  void* memory = nullptr;
  check(cudaMallocHost(&memory, bytes), "cudaMallocHost", amount(bytes));
  return memory;
}

void release_pinned(void* memory) noexcept {
  if (memory) cudaFreeHost(memory);
}

void set_zero(void* memory, std::size_t bytes, Stream stream) {
  check(cudaMemsetAsync(memory, 0, bytes, native(stream)), "cudaMemsetAsync", amount(bytes));
  // Streams of the executor do not wait for the default stream.
  if (!stream) check(cudaStreamSynchronize(nullptr), "cudaStreamSynchronize", "after cudaMemsetAsync");
}

void copy_to_device(void* to, const void* from, std::size_t bytes, Stream stream) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, native(stream)), "cudaMemcpyAsync",
        amount(bytes) + " to the device");
  if (!stream) check(cudaStreamSynchronize(nullptr), "cudaStreamSynchronize", "after cudaMemcpyAsync");
}

void copy_to_host(void* to, const void* from, std::size_t bytes, Stream stream) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, native(stream)), "cudaMemcpyAsync",
        amount(bytes) + " from the device");
}

void copy_on_device(void* to, const void* from, std::size_t bytes, Stream stream) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, native(stream)), "cudaMemcpyAsync",
        amount(bytes) + " on the device");
}

Stream create_stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags",
        "non-blocking");
  return stream;
}

void destroy_stream(Stream stream) noexcept {
  if (stream) cudaStreamDestroy(native(stream));
}

void synchronize(Stream stream) {
  check(cudaStreamSynchronize(native(stream)), "cudaStreamSynchronize", "the executor's work");
}

void synchronize_device() {
  check(cudaDeviceSynchronize(), "cudaDeviceSynchronize", "all that is under way");
}

Stopwatch::Stopwatch() {
  for (void*& event : events_) {
    cudaEvent_t created = nullptr;
    check(cudaEventCreate(&created), "cudaEventCreate", "for timing");
    event = created;
  }
}

Stopwatch::~Stopwatch() {
  for (void* event : events_) cudaEventDestroy(static_cast<cudaEvent_t>(event));
}

void Stopwatch::start(Stream stream) {
  check(cudaEventRecord(static_cast<cudaEvent_t>(events_[0]), native(stream)), "cudaEventRecord", "start");
}

void Stopwatch::stop(Stream stream) {
  check(cudaEventRecord(static_cast<cudaEvent_t>(events_[1]), native(stream)), "cudaEventRecord", "stop");
}

double Stopwatch::seconds() {
  check(cudaEventSynchronize(static_cast<cudaEvent_t>(events_[1])), "cudaEventSynchronize", "stop");
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, static_cast<cudaEvent_t>(events_[0]),
                             static_cast<cudaEvent_t>(events_[1])),
        "cudaEventElapsedTime", "start to stop");
  return milliseconds / 1e3;
}

Graph::~Graph() {
  if (executable_) cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(executable_));
}

void Graph::launch(Stream stream) const {
  check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(executable_), native(stream)), "cudaGraphLaunch",
        "a pass");
}

void Graph::begin_capture(Stream stream) {
  check(cudaStreamBeginCapture(native(stream), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture",
        "a pass");
}

Graph Graph::end_capture(Stream stream) {
  cudaGraph_t captured = nullptr;
  check(cudaStreamEndCapture(native(stream), &captured), "cudaStreamEndCapture", "a pass");
  cudaGraphExec_t executable = nullptr;
  const cudaError_t status = cudaGraphInstantiateWithFlags(&executable, captured, 0);
  cudaGraphDestroy(captured);
  check(status, "cudaGraphInstantiateWithFlags", "a pass");
  Graph graph;
  graph.executable_ = executable;
  return graph;
}

void Graph::abandon_capture(Stream stream) noexcept {
  cudaGraph_t captured = nullptr;
  cudaStreamEndCapture(native(stream), &captured);
  if (captured) cudaGraphDestroy(captured);
  cudaGetLastError();
}

}  // namespace outlierlab::engine::OUTLIERLAB_CUDA_NAMESPACE
