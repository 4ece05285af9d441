#include "stats/kernels.h"

namespace outlierlab {

const StatisticsKernels& statistics_kernels(Isa isa) {
  switch (isa) {
    case Isa::avx512:
      return avx512::statistics_kernels;
    case Isa::avx2:
      return avx2::statistics_kernels;
    default:
      return portable::statistics_kernels;
  }
}

const StatisticsKernels& statistics_kernels() {
  static const StatisticsKernels& best = statistics_kernels(isa());
  return best;
}

}  // namespace outlierlab
