#define OUTLIERLAB_ISA_NAMESPACE avx2
#include "kernels/kernels_impl.h"

namespace outlierlab::avx2 {
const ModelKernels model_kernels = {tile_rows, gemm, gelu_values, softmax, add, layer_norm, tanh_values};
}
