#include <cstddef>
#include <cstdint>

#define OUTLIERLAB_ISA_NAMESPACE vnni
#include "engine/cpu/vnni_steps.h"

// After the steps, which it is written in.
#include "engine/cpu/int8_gemm_impl.h"

namespace outlierlab::engine::vnni {
using namespace outlierlab::vnni;

static void multiply(const Int8Product& p) {
  multiply_words<Steps>(p, {reinterpret_cast<const char*>(p.a), p.lda});
}

const Int8Kernels int8_kernels = {
    "avx512-vnni", int8_packed_bytes<Steps>, int8_pack_transposed<Steps>, int8_pack_rows<Steps>,
    multiply,      int8_packed_bytes<Steps>, int8_pack_weight<Steps>,     int8_panel_bytes<Steps>,
    multiply};

}  // namespace outlierlab::engine::vnni
