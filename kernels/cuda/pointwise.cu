// SwiGLU, sums, the quantile head (kernels/ref/pointwise.hpp is the definition): a thread per value.
#include "kernels/cuda/device.hpp"

namespace emisopt::kernels::cuda {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads)
    swiglu_forward_kernel(View<T> y, View<const T> x, Grid grid, int width) {
  const long at = static_cast<long>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= grid.count() * width) return;
  const long r = at / width;
  const int c = static_cast<int>(at % width);
  const T* xr = row_of(x, grid, r, 2 * width);
  const float gate = to_float(xr[c]);
  row_of(y, grid, r, width)[c] = from_float<T>(gate * sigmoid(gate) * to_float(xr[width + c]));
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    swiglu_backward_kernel(View<T> dx, View<const T> dy, View<const T> x, Grid grid, int width,
                           bool accumulate) {
  const long at = static_cast<long>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= grid.count() * width) return;
  const long r = at / width;
  const int c = static_cast<int>(at % width);
  const T* xr = row_of(x, grid, r, 2 * width);
  T* dxr = row_of(dx, grid, r, 2 * width);
  const float gate = to_float(xr[c]), up = to_float(xr[width + c]),
              d = to_float(row_of(dy, grid, r, width)[c]);
  const float s = sigmoid(gate);
  const float dgate = d * up * s * (1.0f + gate * (1.0f - s)), dup = d * gate * s;
  dxr[c] = from_float<T>(accumulate ? to_float(dxr[c]) + dgate : dgate);
  dxr[width + c] = from_float<T>(accumulate ? to_float(dxr[width + c]) + dup : dup);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    add_kernel(View<T> y, View<const T> a, View<const T> b, Grid grid, int width) {
  const long at = static_cast<long>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= grid.count() * width) return;
  const long r = at / width;
  const int c = static_cast<int>(at % width);
  T* yr = row_of(y, grid, r, width);
  const float other = to_float(b.data ? row_of(b, grid, r, width)[c] : yr[c]);
  yr[c] = from_float<T>(to_float(row_of(a, grid, r, width)[c]) + other);
}

__global__ void __launch_bounds__(kThreads)
    quantiles_forward_kernel(View<float> q, View<const float> raw, Grid grid, int outputs, int levels,
                             int middle) {
  const long at = static_cast<long>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= grid.count() * outputs) return;
  const long r = at / outputs, offset = at % outputs * levels;
  const float* from = row_of(raw, grid, r, outputs * levels) + offset;
  float* to = row_of(q, grid, r, outputs * levels) + offset;
  const float median = from[middle];
  to[middle] = median;
  float value = median;
  for (int l = middle + 1; l < levels; ++l) to[l] = value = value + softplus(from[l]);
  value = median;
  for (int l = middle - 1; l >= 0; --l) to[l] = value = value - softplus(from[l]);
}

__global__ void __launch_bounds__(kThreads)
    quantiles_backward_kernel(View<float> draw, View<const float> dq, View<const float> raw, Grid grid,
                              int outputs, int levels, int middle, bool accumulate) {
  const long at = static_cast<long>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= grid.count() * outputs) return;
  const long r = at / outputs, offset = at % outputs * levels;
  const float* x = row_of(raw, grid, r, outputs * levels) + offset;
  const float* d = row_of(dq, grid, r, outputs * levels) + offset;
  float* to = row_of(draw, grid, r, outputs * levels) + offset;
  float above = 0, below = 0;
  for (int l = levels - 1; l > middle; --l) {
    above += d[l];
    to[l] = (accumulate ? to[l] : 0.0f) + above * sigmoid(x[l]);
  }
  for (int l = 0; l < middle; ++l) {
    below += d[l];
    to[l] = (accumulate ? to[l] : 0.0f) - below * sigmoid(x[l]);
  }
  to[middle] = (accumulate ? to[middle] : 0.0f) + above + d[middle] + below;
}

}  // namespace

template <class T>
void swiglu_forward(View<T> y, View<const T> x, Grid grid, int width, cudaStream_t stream) {
  if (grid.count() == 0) return;
  EMISOPT_LAUNCH((swiglu_forward_kernel<T>), blocks_of(grid.count() * width, kThreads), kThreads, 0, stream,
                 y, x, grid, width);
}

template <class T>
void swiglu_backward(View<T> dx, View<const T> dy, View<const T> x, Grid grid, int width, bool accumulate,
                     cudaStream_t stream) {
  if (grid.count() == 0) return;
  EMISOPT_LAUNCH((swiglu_backward_kernel<T>), blocks_of(grid.count() * width, kThreads), kThreads, 0, stream,
                 dx, dy, x, grid, width, accumulate);
}

template <class T>
void add(View<T> y, View<const T> a, View<const T> b, Grid grid, int width, cudaStream_t stream) {
  if (grid.count() == 0) return;
  EMISOPT_LAUNCH((add_kernel<T>), blocks_of(grid.count() * width, kThreads), kThreads, 0, stream, y, a, b,
                 grid, width);
}

void quantiles_forward(View<float> q, View<const float> raw, Grid grid, int outputs, int levels, int middle,
                       cudaStream_t stream) {
  if (grid.count() == 0) return;
  EMISOPT_LAUNCH(quantiles_forward_kernel, blocks_of(grid.count() * outputs, kThreads), kThreads, 0, stream,
                 q, raw, grid, outputs, levels, middle);
}

void quantiles_backward(View<float> draw, View<const float> dq, View<const float> raw, Grid grid, int outputs,
                        int levels, int middle, bool accumulate, cudaStream_t stream) {
  if (grid.count() == 0) return;
  EMISOPT_LAUNCH(quantiles_backward_kernel, blocks_of(grid.count() * outputs, kThreads), kThreads, 0, stream,
                 draw, dq, raw, grid, outputs, levels, middle, accumulate);
}

#define EMISOPT_INSTANTIATE(T)                                                                         \
  template void swiglu_forward(View<T>, View<const T>, Grid, int, cudaStream_t);                       \
  template void swiglu_backward(View<T>, View<const T>, View<const T>, Grid, int, bool, cudaStream_t); \
  template void add(View<T>, View<const T>, View<const T>, Grid, int, cudaStream_t);
EMISOPT_INSTANTIATE(float)
EMISOPT_INSTANTIATE(__nv_bfloat16)

}  // namespace emisopt::kernels::cuda
