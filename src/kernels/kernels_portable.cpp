#define OUTLIERLAB_ISA_NAMESPACE portable
#include "kernels/kernels_impl.h"

namespace outlierlab::portable {
const ModelKernels model_kernels = {tile_rows, gemm, gelu_values, softmax, add, layer_norm, tanh_values};
}
