#include "kernels/cuda/collective.hpp"
#include "kernels/cuda/device.hpp"

namespace emisopt::kernels::cuda {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads) add_rows_kernel(T* sum, const T* rows, int count, long width) {
  const long i = static_cast<long>(blockIdx.x) * kThreads + static_cast<long>(threadIdx.x);
  if (i >= width) return;
  T total = rows[i];
  for (int r = 1; r < count; ++r) total += rows[r * width + i];
  sum[i] = total;
}

constexpr int kWarps = 8;

// One block; a thread's windows from the first on, then the threads' sums: as the verdict of one process.
__global__ void __launch_bounds__(kWarps* kLanes)
    window_sums_kernel(double* sums, const double* losses, int parts, int windows, const float* vote) {
  __shared__ double warps[kWarps];
  for (int part = 0; part < parts; ++part) {
    double own = 0;
    for (int w = static_cast<int>(threadIdx.x); w < windows; w += kWarps * kLanes)
      own += losses[static_cast<long>(part) * windows + w];
    own = block_sum(own, warps, kWarps);
    if (threadIdx.x == 0) sums[part] = own;
  }
  if (threadIdx.x == 0) sums[parts] = static_cast<double>(*vote);
}

}  // namespace

void window_sums(double* sums, const double* losses, int parts, int windows, const float* vote,
                 cudaStream_t stream) {
  EMISOPT_LAUNCH(window_sums_kernel, 1, kWarps * kLanes, 0, stream, sums, losses, parts, windows, vote);
}

template <class T>
void add_rows(T* sum, const T* rows, int count, long width, cudaStream_t stream) {
  if (width == 0) return;
  EMISOPT_LAUNCH((add_rows_kernel<T>), blocks_of(width, kThreads), kThreads, 0, stream, sum, rows, count,
                 width);
}
template void add_rows<float>(float*, const float*, int, long, cudaStream_t);
template void add_rows<double>(double*, const double*, int, long, cudaStream_t);

}  // namespace emisopt::kernels::cuda
