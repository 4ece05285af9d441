#include "engine/cpu/int8_gemm.h"

#include "core/isa.h"

namespace outlierlab::engine {

const Int8Kernels& int8_kernels() {
  static const Int8Kernels& chosen =
      has_amx()    ? amx::int8_kernels
      : has_vnni() ? vnni::int8_kernels
                   : *dispatch(&portable::int8_kernels, &avx2::int8_kernels, &avx512::int8_kernels);
  return chosen;
}

}  // namespace outlierlab::engine
