#define OUTLIERLAB_ISA_NAMESPACE portable
#include "engine/cpu/row_kernels_impl.h"

namespace outlierlab::engine::portable {
const RowKernels row_kernels = {round_trip,    encode,     residual_norm, static_norm,
                                softmax_codes, add_column, gelu_rows};
}
