#define OUTLIERLAB_ISA_NAMESPACE avx2
#include "engine/cpu/row_kernels_impl.h"

namespace outlierlab::engine::avx2 {
const RowKernels row_kernels = {round_trip,    encode,     residual_norm, static_norm,
                                softmax_codes, add_column, gelu_rows};
}
