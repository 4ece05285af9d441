#define OUTLIERLAB_ISA_NAMESPACE portable
#include "model/kernels_impl.h"
