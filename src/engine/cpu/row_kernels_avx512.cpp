#define OUTLIERLAB_ISA_NAMESPACE avx512
#include "engine/cpu/row_kernels_impl.h"

namespace outlierlab::engine::avx512 {
const RowKernels row_kernels = {round_trip,    encode,     residual_norm, static_norm,
                                softmax_codes, add_column, gelu_rows};
}
