#define OUTLIERLAB_ISA_NAMESPACE avx512
#include "stats/kernels_impl.h"
