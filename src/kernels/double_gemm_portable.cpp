#define OUTLIERLAB_ISA_NAMESPACE portable
#include "kernels/double_gemm_impl.h"

namespace outlierlab::portable {
const DoubleGemm double_gemm = double_product;
}
