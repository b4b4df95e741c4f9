// Private to the CUDA kernels: conversions and sums over a warp.
#pragma once
#include <cuda_bf16.h>

#include "kernels/cuda/dialect.hpp"
#include "kernels/cuda/launch.hpp"

namespace emisopt::kernels::cuda {

constexpr int kLanes = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
template <class T>
__device__ __forceinline__ T from_float(float x);
template <>
__device__ __forceinline__ float from_float<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}

/// Lets a kernel's blocks ask for more shared memory than every GPU gives unasked. What the GPU has not is
/// for the caller to know (block_shared_bytes()); the launch fails otherwise.
template <class Kernel>
void allow_shared(Kernel kernel, std::size_t bytes) {
  if (bytes > 48 * 1024)
    cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                         static_cast<int>(bytes));
}

/// Row `r` of all windows' rows, counted through.
template <class T>
__device__ __forceinline__ T* row_of(View<T> view, Grid grid, long r, int width) {
  return view.data + r / grid.rows * view.window + r % grid.rows * width;
}

// Butterflies: every lane ends with the same bits.
__device__ __forceinline__ float warp_sum(float x) {
  for (int bits = kLanes / 2; bits > 0; bits /= 2) x += __shfl_xor_sync(kAllLanes, x, bits);
  return x;
}
__device__ __forceinline__ double warp_sum(double x) {
  for (int bits = kLanes / 2; bits > 0; bits /= 2) x += __shfl_xor_sync(kAllLanes, x, bits);
  return x;
}
__device__ __forceinline__ float warp_max(float x) {
  for (int bits = kLanes / 2; bits > 0; bits /= 2) x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, bits));
  return x;
}

/// Sum over a block of `warps` warps; every thread gets it. `shared` (warps) may be used again at once.
__device__ __forceinline__ double block_sum(double x, double* shared, int warps) {
  x = warp_sum(x);
  const int warp = static_cast<int>(threadIdx.x) / kLanes;
  if (threadIdx.x % kLanes == 0) shared[warp] = x;
  __syncthreads();
  double sum = 0;
  for (int w = 0; w < warps; ++w) sum += shared[w];
  __syncthreads();
  return sum;
}

// exp of a non-positive number only: no overflow on either side
__device__ __forceinline__ float sigmoid(float x) {
  const float e = expf(x < 0 ? x : -x);
  return x < 0 ? e / (1.0f + e) : 1.0f / (1.0f + e);
}
__device__ __forceinline__ float softplus(float x) {
  return (x > 0 ? x : 0.0f) + log1pf(expf(x > 0 ? -x : x));
}

inline unsigned blocks_of(long count, int each) { return static_cast<unsigned>((count + each - 1) / each); }

}  // namespace emisopt::kernels::cuda
