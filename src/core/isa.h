#pragma once

namespace outlierlab {

/// The vector instruction sets for which kernels are compiled.
enum class Isa { portable, avx2, avx512 };

/// The best set that this CPU has. OUTLIERLAB_ISA=portable|avx2|avx512|vnni|amx lowers it (for tests and
/// comparisons): avx512 is AVX-512 without what came later, vnni adds VNNI and BF16, amx everything.
Isa isa();
const char* to_string(Isa isa);

/// What came after AVX-512's first generation; each implies isa() == Isa::avx512.
bool has_vnni();  ///< AVX512_VNNI: products of 8-bit integers
bool has_bf16();  ///< AVX512_BF16: products of bfloat16
bool has_amx();   ///< AMX-INT8 and AMX-BF16: matrix tiles

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
