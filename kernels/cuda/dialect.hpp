// What the CUDA sources need beyond the language, so that nvcc and a host compiler read the same files: how a
// kernel is launched, and its dynamic shared memory. The host side is tests/cuda_host/executor.hpp.
#pragma once
#ifdef __CUDACC__
#include <cuda_runtime.h>

/// EMISOPT_LAUNCH((kernel<float, 2>), grid, block, shared_bytes, stream, arguments...)
#define EMISOPT_LAUNCH(kernel, grid, block, shared_bytes, stream, ...) \
  kernel<<<grid, block, shared_bytes, stream>>>(__VA_ARGS__)
/// EMISOPT_DYNAMIC_SHARED(float, rows); once per kernel.
#define EMISOPT_DYNAMIC_SHARED(type, name)                              \
  extern __shared__ __align__(16) unsigned char emisopt_shared_bytes[]; \
  type* const name = reinterpret_cast<type*>(emisopt_shared_bytes)
#else
#include "cuda_host/executor.hpp"
#endif
