// Private to the CUDA backend: copies of arrays that are not contiguous.
#pragma once
#include <cuda_runtime_api.h>

#include "kernels/device_memory.hpp"

namespace emisopt::kernels::cuda {

/// to (from.count()) = the numbers of `from`, last dimension fastest; both on the device.
void gather(float* to, const StridedView& from, cudaStream_t stream);

}  // namespace emisopt::kernels::cuda
