#include "engine/cuda/executor.cu"
