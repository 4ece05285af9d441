#include "engine/cuda/int8_gemm.cu"
