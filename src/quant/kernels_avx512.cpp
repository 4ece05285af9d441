#define OUTLIERLAB_ISA_NAMESPACE avx512
#include "quant/kernels_impl.h"
