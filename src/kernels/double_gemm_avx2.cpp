#define OUTLIERLAB_ISA_NAMESPACE avx2
#include "kernels/double_gemm_impl.h"

namespace outlierlab::avx2 {
const DoubleGemm double_gemm = double_product;
}
