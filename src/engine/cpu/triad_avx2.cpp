#define OUTLIERLAB_ISA_NAMESPACE avx2
#include "engine/cpu/triad_impl.h"

namespace outlierlab::engine::avx2 {
const Triad triad = outlierlab::avx2::triad;
}
