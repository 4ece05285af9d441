#include "engine/cuda/linear.cu"
