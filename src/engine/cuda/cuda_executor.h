#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "engine/executor.h"

namespace outlierlab::engine {

/// What tuning found for one shape and form of a product, which name it.
struct ProductTime {
  bool integer = false;
  int rows = 0;                ///< of the call that was timed
  int columns = 0, depth = 0;  ///< padded
  std::string form;    ///< of operands and result: "codes to float32", "codes in 6 segments to gelu codes"
  std::string way;     ///< "mma 128x128", "cublasLt 0"
  double seconds = 0;  ///< with all that follows in the same kernels; 0: not timed
};

/// What a kernel between the products takes, in graphs of runs in a row, with all in the caches that fits.
struct KernelTime {
  std::string kernel;  ///< "attention", "attention norm", ...
  int rows = 0, columns = 0;
  /// That it has to read and write, each once; of embeddings the words' table alone, of LLM.int8()'s outliers
  /// their number.
  double bytes = 0;
  /// Of attention's products, two per multiply-add: of codes, and of reals.
  double integer_operations = 0, real_operations = 0;
  double seconds = 0;  ///< the mean of its launches
  int launches = 0;    ///< in one pass or several
};

struct CudaOptions {
  int device = 0;
  /// Of the operands of products whose sides are not both codes; in a model without codes, of all that lies
  /// between kernels.
  RealPrecision real = RealPrecision::float16;
  /// Replay a batch's shape (examples, tokens, longest) as one CUDA graph from its second time on.
  bool graphs = true;
  /// Time the ways to compute each product when its shape is first seen, and take the fastest.
  bool tune = true;
  /// All integer products by this one of cuda_integer_ways(); -1: the fastest.
  int way = -1;
  bool profile = false;  ///< time the parts of passes, each in graphs of its own
  SiteObserver* observer = nullptr;
};

/// Executes a Model on a CUDA device of compute capability 7.5 or higher.
///
/// Between kernels a quantized site is codes, one byte per value (two of 9 to 16 bits): integer products end
/// in the kernel that quantizes for the next site (bias, GELU and all), and one warp takes a row through both
/// residual sites and the LayerNorm to the next codes. Sums of products of codes are exact in int32. What
/// follows is float32 without contraction, stored as float32 where it is not codes at once. As in CpuExecutor
/// factors and the inverses of grids are two floats, and a LayerNorm between static grids starts from whole
/// numbers (here of any number of columns, and behind products of any format); but a result is rounded to
/// float32 before its code is, where CpuExecutor has doubles on static grids. They also differ in the order
/// of softmax's sums (and of LayerNorm's, where they are floats) and that of kept channels and codes, in exp
/// and tanh, and in GELU, which is within 1e-7 and a rounding here. So where all products are of codes and no
/// values of attention are coded per token, logits do not depend on RealPrecision, and agree with
/// CpuExecutor's but for codes whose value lies so close to a boundary (tests/engine/agreement_test.cpp).
///
/// Products whose sides are not both codes, and attention's with values per token, round their operands to
/// RealPrecision and sum in float32. In a model with codes, results on the way to a residual sum are codes or
/// float32, so that outliers beyond float16's range survive; in float16, only one grid of bytes within its
/// range may follow a product of reals in two bytes. Operands in float16 have its range, attention's among
/// them: bfloat16 is for models that exceed it.
///
/// A model without codes is the float16 or bfloat16 baseline, with that type's range and rounding between
/// kernels, too: cublasLt with bias and GELU (in the tanh approximation) in the product, attention on matrix
/// instructions, residual sum and LayerNorm in one kernel, the same graphs and tuning.
///
/// Slow for now: values per token and float32 (their attention runs on the ordinary units, one query per
/// warp), head sizes other than 32 and 64, and rows of which most values are outliers beside the codes.
/// Refused: rows of more than 4,096 values, batches of more than 65,535 examples, bfloat16 before compute
/// capability 8.0, float8 before 8.9. What `src/lower` refuses (blocks, weights of 9 to 16 bits) never gets
/// here.
///
/// Profiles are the device's time by what ran, each launch as long as runs of it in a row take, measured in
/// the first pass of a batch's shape: what fits the caches, a product's weights among it, is there, as in a
/// pass it is not. quantize and dequantize stay 0: they are part of the kernels.
///
/// Compiled for sm_75 to sm_120 and executed by the tests over an emulation; no device has run it yet.
class CudaExecutor : public Executor {
 public:
  /// One for each shape seen.
  virtual std::vector<ProductTime> product_times() const = 0;
  /// Ways whose results differed from the others' while tuning; they were not used.
  virtual std::vector<std::string> dropped() const = 0;
  /// One for each kernel between the products and each of its sizes, in the order in which they run, of the
  /// passes since the last call; empty unless the executor was made to profile.
  virtual std::vector<KernelTime> take_kernel_times() = 0;
};

/// A device as records name it.
struct CudaDevice {
  std::string name;          ///< "NVIDIA H100 80GB HBM3"
  int major = 0, minor = 0;  ///< compute capability
  std::size_t memory_bytes = 0;
  std::string bus_id;  ///< "00000000:17:00.0", by which other libraries know it (DeviceMonitor)
};

/// Number of CUDA devices; 0 also where there is no driver.
int cuda_devices();
/// Throws Error for a device that is not there.
CudaDevice cuda_device(int device);
/// Waits for all that this process has put on a device. Throws Error where that failed: after an illegal
/// access every later call does.
void synchronize_cuda_device(int device);
/// Throws Error for a device that is not there, and for what it cannot execute (named, with what would be
/// needed).
std::unique_ptr<CudaExecutor> make_cuda_executor(std::shared_ptr<const Model> model,
                                                 const CudaOptions& options = {});
/// Operations (two per multiply-add) per second of cublasLt's best algorithm on a product of 8192 x 8192 x
/// 8192: what a share of the peak is measured against. int8 where `integer`, else `real`; 0 where cublasLt
/// has no algorithm. Throws Error for a device that is not there or lacks the memory (at most 0.6 GB).
double cuda_peak(int device, bool integer, RealPrecision real);
/// Bytes per second that the device reads and writes while it copies 256 MiB: what a kernel's traffic is
/// measured against. What lies in the device's caches goes faster. Throws Error for a device that is not
/// there or lacks the memory (0.5 GB).
double cuda_bandwidth(int device);
/// The ways of integer products, for CudaOptions::way.
std::vector<std::string> cuda_integer_ways();

}  // namespace outlierlab::engine
