#include "engine/cpu/row_kernels.h"

#include "core/isa.h"

namespace outlierlab::engine {

const RowKernels& row_kernels() {
  static const RowKernels& chosen =
      *dispatch(&portable::row_kernels, &avx2::row_kernels, &avx512::row_kernels);
  return chosen;
}

}  // namespace outlierlab::engine
