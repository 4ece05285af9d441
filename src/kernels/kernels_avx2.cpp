#define OUTLIERLAB_ISA_NAMESPACE avx2
#include "kernels/kernels_impl.h"
