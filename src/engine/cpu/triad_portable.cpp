#define OUTLIERLAB_ISA_NAMESPACE portable
#include "engine/cpu/triad_impl.h"

namespace outlierlab::engine::portable {
const Triad triad = outlierlab::portable::triad;
}
