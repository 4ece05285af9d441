#define OUTLIERLAB_ISA_NAMESPACE avx2
#include "model/kernels_impl.h"
