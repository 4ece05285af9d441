#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/model.h"

namespace outlierlab::engine {

/// Examples laid end to end without padding. Token t of example e is row offsets[e] + t of every activation.
struct Tokens {
  const std::int32_t* ids = nullptr;        ///< [tokens]
  const std::uint8_t* types = nullptr;      ///< [tokens]
  const std::int32_t* positions = nullptr;  ///< [tokens] row of the position embedding
  const std::size_t* offsets = nullptr;     ///< [examples + 1], from 0 on
  std::size_t examples = 0;

  std::size_t count() const { return examples == 0 ? 0 : offsets[examples]; }
  std::size_t length(std::size_t example) const { return offsets[example + 1] - offsets[example]; }
};

/// How products with a weight of which one side is float are computed; on a GPU attention's, too, which the
/// CPU multiplies in float32. Channels and outliers that stay float beside codes are float32 everywhere.
enum class RealPrecision {
  float32,
  bfloat16,  ///< operands rounded to bfloat16, sums in float32
  float16,   ///< operands rounded to float16, sums in float32 (CUDA only)
  /// Operands of products with weights rounded to e4m3 (4 bits of significand), the others to float16; sums
  /// in float32 (CUDA only, compute capability 8.9 or higher).
  float8
};

/// Where the time of the last profiled passes went, in seconds, summed over threads. What an executor fuses
/// is booked with the kernel that it is fused into, but for what the CPU's makes of a weight product's sums.
struct Profile {
  double quantize = 0;  ///< float -> codes, where that is a pass of its own
  double gemm = 0;      ///< products, with packing and column sums of attention's operands
  /// Sums -> floats, or codes where the next grid is static (through GELU, where that stands between them):
  /// what a product of codes with a weight takes beyond its bare sums, which a profile runs once more to
  /// tell.
  double dequantize = 0;
  double rest =
      0;  ///< softmax, GELU, LayerNorm, residual sums, with the codes that they give; embeddings, waiting
  double repeated = 0;  ///< of no pass: what was run again to tell the parts apart
};

/// Sees every site's values as the network goes on with them (dequantized), those of the last layer that no
/// logit depends on, too, which passes without an observer leave out. For tests and diagnosis; slow.
class SiteObserver {
 public:
  virtual ~SiteObserver() = default;
  /// `values` is [rows, cols] with `stride`; `first_row` the batch's row of the first. For scores and probs
  /// the rows are query tokens and the columns key tokens of one example's head `head` (else -1). `site` is
  /// numbered as in Model.
  virtual void visit(std::size_t site, const float* values, std::size_t first_row, std::size_t rows,
                     std::size_t cols, std::size_t stride, int head) = 0;
};

/// Runs a Model. Not to be called from two threads at once.
class Executor {
 public:
  virtual ~Executor() = default;
  /// Class logits [examples, labels] into `logits`. Throws Error for ids, types or positions that the model
  /// lacks, an empty example, and one longer than the model's positions.
  /// No value between is looked at: one that is infinite or no number has the code of an end of the grid, so
  /// that finite logits do not say that all values were. The simulation names such a site.
  virtual void logits(const Tokens& tokens, float* logits) = 0;
  virtual const Shape& shape() const = 0;
  /// "cpu avx512 vnni", "cuda sm_90 NVIDIA H100, float16, graphs", ...
  virtual std::string description() const = 0;
  /// Bytes that the executor holds: packed weights, and activations, which grow with the largest batch seen.
  /// What attention needs while it runs (of the CPU's threads, scores and packed heads) is not counted.
  virtual std::size_t bytes() const = 0;
  /// Of the passes since the last call; all zero unless the executor was made to profile.
  virtual Profile take_profile() = 0;
};

}  // namespace outlierlab::engine
