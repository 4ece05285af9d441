#define OUTLIERLAB_ISA_NAMESPACE avx2
#include "stats/kernels_impl.h"
