#define OUTLIERLAB_ISA_NAMESPACE avx512
#include "model/kernels_impl.h"
