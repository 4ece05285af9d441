#include "engine/cuda/network.cu"
