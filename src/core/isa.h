#pragma once

namespace outlierlab {

/// The vector instruction sets for which kernels are compiled.
enum class Isa { portable, avx2, avx512 };

/// The best set that this CPU has; OUTLIERLAB_ISA=portable|avx2|avx512 lowers it (for tests and comparisons).
Isa isa();
const char* to_string(Isa isa);

/// Picks the best of three versions of a kernel at run time.
template <typename Function>
Function dispatch(Function portable, Function avx2, Function avx512) {
  switch (isa()) {
    case Isa::avx512:
      return avx512;
    case Isa::avx2:
      return avx2;
    default:
      return portable;
  }
}

}  // namespace outlierlab
