#define OUTLIERLAB_ISA_NAMESPACE avx512
#include "engine/cpu/triad_impl.h"

namespace outlierlab::engine::avx512 {
const Triad triad = outlierlab::avx512::triad;
}
