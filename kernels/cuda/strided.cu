// An array of another library into a buffer of ours: rows of any strides become rows side by side.
#include "kernels/cuda/device.hpp"
#include "kernels/cuda/strided.hpp"

namespace emisopt::kernels::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) gather_kernel(float* to, StridedView from, long count) {
  const long i = static_cast<long>(blockIdx.x) * kThreads + static_cast<long>(threadIdx.x);
  if (i >= count) return;
  const long c = i % from.size[2], b = i / from.size[2] % from.size[1], a = i / from.size[2] / from.size[1];
  to[i] = from.data[a * from.stride[0] + b * from.stride[1] + c * from.stride[2]];
}

}  // namespace

void gather(float* to, const StridedView& from, cudaStream_t stream) {
  const long count = from.count();
  if (count == 0) return;
  EMISOPT_LAUNCH(gather_kernel, blocks_of(count, kThreads), kThreads, 0, stream, to, from, count);
}

}  // namespace emisopt::kernels::cuda
