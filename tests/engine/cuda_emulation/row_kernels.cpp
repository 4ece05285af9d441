#include "engine/cuda/row_kernels.cu"
