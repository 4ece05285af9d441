#define OUTLIERLAB_ISA_NAMESPACE avx512
#include "kernels/double_gemm_impl.h"

namespace outlierlab::avx512 {
const DoubleGemm double_gemm = double_product;
}
