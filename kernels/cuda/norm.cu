// RMSNorm and rotary positions (kernels/ref/norm.hpp is the definition). A warp per row: widths of 64 to 512
// are a few loads per lane, and no block-wide barrier is needed.
#include "kernels/cuda/device.hpp"

namespace emisopt::kernels::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kRowsPerPartial = 64;  // rows whose shares of dw one block adds up
constexpr int kColumns = 128;

template <class T>
__global__ void __launch_bounds__(kWarps* kLanes)
    rmsnorm_forward_kernel(View<T> y, float* rstd, View<const T> x, const float* w, Grid grid, int width,
                           float eps) {
  const long r = static_cast<long>(blockIdx.x) * kWarps + threadIdx.x / kLanes;
  if (r >= grid.count()) return;  // whole warps only
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const T* xr = row_of(x, grid, r, width);
  T* yr = row_of(y, grid, r, width);
  float squares = 0;
  for (int c = lane; c < width; c += kLanes) {
    const float value = to_float(xr[c]);
    squares += value * value;
  }
  const float scale = rsqrtf(warp_sum(squares) / static_cast<float>(width) + eps);
  if (rstd && lane == 0) rstd[r] = scale;
  for (int c = lane; c < width; c += kLanes) yr[c] = from_float<T>(to_float(xr[c]) * scale * w[c]);
}

template <class T>
__global__ void __launch_bounds__(kWarps* kLanes)
    rmsnorm_backward_kernel(View<T> dx, View<const T> dy, View<const T> x, const float* rstd, const float* w,
                            Grid grid, int width, bool accumulate) {
  const long r = static_cast<long>(blockIdx.x) * kWarps + threadIdx.x / kLanes;
  if (r >= grid.count()) return;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const T* xr = row_of(x, grid, r, width);
  const T* dyr = row_of(dy, grid, r, width);
  T* dxr = row_of(dx, grid, r, width);
  float dot = 0;
  for (int c = lane; c < width; c += kLanes) dot += to_float(dyr[c]) * w[c] * to_float(xr[c]);
  const float scale = rstd[r];
  const float pull = scale * scale * scale * warp_sum(dot) / static_cast<float>(width);
  for (int c = lane; c < width; c += kLanes) {
    const float d = scale * to_float(dyr[c]) * w[c] - pull * to_float(xr[c]);
    dxr[c] = from_float<T>(accumulate ? to_float(dxr[c]) + d : d);
  }
}

// partial (blocks, width): the rows of a block, one after another; a thread per column
template <class T>
__global__ void __launch_bounds__(kColumns)
    weight_partials_kernel(float* partial, View<const T> dy, View<const T> x, const float* rstd, Grid grid,
                           int width) {
  const int c = static_cast<int>(blockIdx.y) * kColumns + static_cast<int>(threadIdx.x);
  if (c >= width) return;
  const long begin = static_cast<long>(blockIdx.x) * kRowsPerPartial;
  const long end = begin + kRowsPerPartial < grid.count() ? begin + kRowsPerPartial : grid.count();
  float sum = 0;
  for (long r = begin; r < end; ++r) {
    const float g = to_float(row_of(dy, grid, r, width)[c]);
    sum += x.data ? g * to_float(row_of(x, grid, r, width)[c]) * rstd[r] : g;
  }
  partial[static_cast<long>(blockIdx.x) * width + c] = sum;
}

__global__ void __launch_bounds__(kColumns)
    add_partials_kernel(float* sum, const float* partial, int count, int width, bool accumulate) {
  const int c = static_cast<int>(blockIdx.x) * kColumns + static_cast<int>(threadIdx.x);
  if (c >= width) return;
  float s = 0;
  for (int i = 0; i < count; ++i) s += partial[static_cast<long>(i) * width + c];
  sum[c] = accumulate ? sum[c] + s : s;
}

// A thread turns one pair, or passes two channels on.
template <class T>
__global__ void __launch_bounds__(256)
    rope_kernel(View<T> y, View<const T> x, const float* cosine, const float* sine, Grid grid, int width,
                int heads, int head_dim, bool inverse, bool accumulate) {
  const int half = head_dim / 2, pairs = heads * half, rest = width - 2 * pairs;
  const int items = pairs + rest;
  const long at = static_cast<long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= grid.count() * items) return;
  const long r = at / items;
  const int item = static_cast<int>(at % items);
  const T* xr = row_of(x, grid, r, width);
  T* yr = row_of(y, grid, r, width);
  if (item >= pairs) {
    const int c = 2 * pairs + item - pairs;
    const float value = to_float(xr[c]);
    yr[c] = from_float<T>(accumulate ? to_float(yr[c]) + value : value);
    return;
  }
  const int i = item % half, a = item / half * head_dim + i, b = a + half;
  const long angle = r % grid.rows * half + i;
  const float c = cosine[angle], s = inverse ? -sine[angle] : sine[angle];
  const float xa = to_float(xr[a]), xb = to_float(xr[b]);
  const float ya = xa * c - xb * s, yb = xb * c + xa * s;
  yr[a] = from_float<T>(accumulate ? to_float(yr[a]) + ya : ya);
  yr[b] = from_float<T>(accumulate ? to_float(yr[b]) + yb : yb);
}

}  // namespace

template <class T>
void rmsnorm_forward(View<T> y, float* rstd, View<const T> x, const float* w, Grid grid, int width, float eps,
                     cudaStream_t stream) {
  if (grid.count() == 0) return;
  EMISOPT_LAUNCH((rmsnorm_forward_kernel<T>), blocks_of(grid.count(), kWarps), kWarps * kLanes, 0, stream, y,
                 rstd, x, w, grid, width, eps);
}

int norm_partials(Grid grid) { return static_cast<int>(blocks_of(grid.count(), kRowsPerPartial)); }

template <class T>
void rmsnorm_backward(View<T> dx, float* partial, View<const T> dy, View<const T> x, const float* rstd,
                      const float* w, Grid grid, int width, bool accumulate, cudaStream_t stream) {
  if (grid.count() == 0) return;
  if (partial) {  // before dx, which may lie where dy does
    const dim3 blocks(static_cast<unsigned>(norm_partials(grid)), blocks_of(width, kColumns));
    EMISOPT_LAUNCH((weight_partials_kernel<T>), blocks, kColumns, 0, stream, partial, dy, x, rstd, grid,
                   width);
  }
  if (dx.data)
    EMISOPT_LAUNCH((rmsnorm_backward_kernel<T>), blocks_of(grid.count(), kWarps), kWarps * kLanes, 0, stream,
                   dx, dy, x, rstd, w, grid, width, accumulate);
}

void add_partials(float* sum, const float* partial, int count, int width, bool accumulate,
                  cudaStream_t stream) {
  EMISOPT_LAUNCH(add_partials_kernel, blocks_of(width, kColumns), kColumns, 0, stream, sum, partial, count,
                 width, accumulate);
}

template <class T>
void column_sum(float* sum, float* partial, View<const T> x, Grid grid, int n, bool accumulate,
                cudaStream_t stream) {
  const dim3 blocks(static_cast<unsigned>(norm_partials(grid)), blocks_of(n, kColumns));
  const View<const T> none;
  const float* no_scale = nullptr;
  if (grid.count() > 0)
    EMISOPT_LAUNCH((weight_partials_kernel<T>), blocks, kColumns, 0, stream, partial, x, none, no_scale, grid,
                   n);
  add_partials(sum, partial, norm_partials(grid), n, accumulate, stream);
}

template <class T>
void rope(View<T> y, View<const T> x, const float* cosine, const float* sine, Grid grid, int width, int heads,
          int head_dim, bool inverse, bool accumulate, cudaStream_t stream) {
  const long items = grid.count() * (width - heads * (head_dim / 2));
  if (items == 0) return;
  EMISOPT_LAUNCH((rope_kernel<T>), blocks_of(items, 256), 256, 0, stream, y, x, cosine, sine, grid, width,
                 heads, head_dim, inverse, accumulate);
}

#define EMISOPT_INSTANTIATE(T)                                                                              \
  template void rmsnorm_forward(View<T>, float*, View<const T>, const float*, Grid, int, float,             \
                                cudaStream_t);                                                              \
  template void rmsnorm_backward(View<T>, float*, View<const T>, View<const T>, const float*, const float*, \
                                 Grid, int, bool, cudaStream_t);                                            \
  template void column_sum(float*, float*, View<const T>, Grid, int, bool, cudaStream_t);                   \
  template void rope(View<T>, View<const T>, const float*, const float*, Grid, int, int, int, bool, bool,   \
                     cudaStream_t);
EMISOPT_INSTANTIATE(float)
EMISOPT_INSTANTIATE(__nv_bfloat16)

}  // namespace emisopt::kernels::cuda
