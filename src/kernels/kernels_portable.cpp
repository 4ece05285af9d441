#define OUTLIERLAB_ISA_NAMESPACE portable
#include "kernels/kernels_impl.h"
