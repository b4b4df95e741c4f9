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

}  // namespace

template <class T>
void add_rows(T* sum, const T* rows, int count, long width, cudaStream_t stream) {
  if (width == 0) return;
  EMISOPT_LAUNCH((add_rows_kernel<T>), blocks_of(width, kThreads), kThreads, 0, stream, sum, rows, count,
                 width);
}
template void add_rows<float>(float*, const float*, int, long, cudaStream_t);
template void add_rows<double>(double*, const double*, int, long, cudaStream_t);

}  // namespace emisopt::kernels::cuda
