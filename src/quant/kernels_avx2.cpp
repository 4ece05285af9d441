#define OUTLIERLAB_ISA_NAMESPACE avx2
#include "quant/kernels_impl.h"
