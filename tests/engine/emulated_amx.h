#pragma once

#include "engine/cpu/int8_gemm.h"

namespace outlierlab::test {

/// The kernels of int8_gemm_amx.cpp with plain loops for the instructions on tiles; they need VNNI.
const engine::Int8Kernels& emulated_amx_kernels();

}  // namespace outlierlab::test
