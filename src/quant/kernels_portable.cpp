#define OUTLIERLAB_ISA_NAMESPACE portable
#include "quant/kernels_impl.h"
