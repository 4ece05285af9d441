#include "engine/cuda/products.cu"
