#define OUTLIERLAB_ISA_NAMESPACE portable
#include "stats/kernels_impl.h"
