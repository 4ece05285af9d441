// The roofs of a roofline (Williams, Waterman and Patterson 2009): what this machine does at most.
#pragma once

#include <cstddef>
#include <vector>

namespace outlierlab::engine {

enum class PeakKind {
  float32,
  bfloat16,  ///< with sums in float32
  int8       ///< unsigned by signed, with sums in int32
};

/// A loop of one multiply-add instruction on registers alone, with as many independent sums as its latency
/// asks for. AVX2, and AVX-512 without VNNI, have none for bytes: there it is the sequence that the product
/// of weights takes at best, four steps that are added before they are widened ("vpmaddubsw ymm x4").
struct PeakLoop {
  PeakKind kind;
  const char* instruction;  ///< "vpdpbusd zmm"
  double operations;        ///< of one round; a multiply-add is two
  void (*run)(std::size_t rounds);
};

/// The loops that this process may run, for each kind at least one, the fastest instruction last. CPUs
/// without products of bfloat16 have the float32 loop in their place, as the kernels do.
const std::vector<PeakLoop>& peak_loops();
/// The last of its kind.
const PeakLoop& best_peak_loop(PeakKind kind);

/// Operations per second of so many threads together: the best of several short runs.
double measured_peak(const PeakLoop& loop, int threads);

/// a[i] = b[i] + s * c[i] for i < count, a multiple of 16.
using Triad = void (*)(const float* b, const float* c, float s, float* a, std::size_t count);

/// Bytes per second of the triad in this process's widest vectors on so many threads, the three arrays
/// together of about `bytes` bytes: the best of several passes. Each element counts as 12 bytes, as STREAM
/// (McCalpin 1995) has it.
double triad_bandwidth(std::size_t bytes, int threads);
/// Bytes that no cache of this machine holds, for triad_bandwidth(): between 256 MB and 1 GB.
std::size_t beyond_caches();

namespace portable {
extern const PeakLoop float_loop, int8_loop;
extern const Triad triad;
}  // namespace portable
namespace avx2 {
extern const PeakLoop float_loop, int8_loop;
extern const Triad triad;
}  // namespace avx2
namespace avx512 {
extern const PeakLoop float_loop, int8_loop;
extern const Triad triad;
}  // namespace avx512
namespace vnni {
extern const PeakLoop int8_loop;
}
namespace bf16 {
extern const PeakLoop bf16_loop;
}
namespace amx {
extern const PeakLoop int8_loop, bf16_loop;
}  // namespace amx

}  // namespace outlierlab::engine
