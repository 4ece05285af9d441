#include "engine/cuda/warpgroup_gemm.cu"
