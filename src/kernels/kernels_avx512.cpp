#define OUTLIERLAB_ISA_NAMESPACE avx512
#include "kernels/kernels_impl.h"
