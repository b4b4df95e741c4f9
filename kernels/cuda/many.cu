// Rows of many gradients or tangents of one window (many.hpp), but for attention: the same arithmetic as
// norm.cu and pointwise.cu, with the activations of the step that a row belongs to.
#include "kernels/cuda/device.hpp"
#include "kernels/cuda/many.hpp"

namespace emisopt::kernels::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / kLanes;

__device__ __forceinline__ long thread_of_grid() {
  return static_cast<long>(blockIdx.x) * kThreads + threadIdx.x;
}
__device__ __forceinline__ void put(float* to, float value, bool accumulate) {
  *to = accumulate ? *to + value : value;
}

// A warp per row. Backward weighs what comes in, a tangent what goes out.
__global__ void __launch_bounds__(kThreads)
    rmsnorm_many_kernel(float* to, const float* from, const float* x, const float* rstd, const float* w,
                        PackedRows rows, int width, bool tangent, bool accumulate) {
  const long r = static_cast<long>(blockIdx.x) * kWarps + threadIdx.x / kLanes;
  if (r >= rows.count) return;  // whole warps only
  const int lane = static_cast<int>(threadIdx.x) % kLanes, step = rows.step[r];
  const float* xr = x + static_cast<long>(step) * width;
  const float* in = from + r * width;
  float* out = to + r * width;
  float dot = 0;
  for (int c = lane; c < width; c += kLanes) dot += (tangent ? in[c] : in[c] * w[c]) * xr[c];
  const float scale = rstd[step], pull = scale * scale * scale * warp_sum(dot) / static_cast<float>(width);
  for (int c = lane; c < width; c += kLanes) {
    const float d = tangent ? (scale * in[c] - pull * xr[c]) * w[c] : scale * in[c] * w[c] - pull * xr[c];
    put(out + c, d, accumulate);
  }
}

// A thread turns one pair, or passes two channels on.
__global__ void __launch_bounds__(kThreads)
    rope_many_kernel(float* to, const float* from, const float* cosine, const float* sine, PackedRows rows,
                     int width, int heads, int head_dim, bool inverse, bool accumulate) {
  const int half = head_dim / 2, pairs = heads * half, items = width - pairs;
  const long at = thread_of_grid();
  if (at >= static_cast<long>(rows.count) * items) return;
  const long r = at / items;
  const int item = static_cast<int>(at % items);
  const float* in = from + r * width;
  float* out = to + r * width;
  if (item >= pairs) {
    const int c = pairs + item;
    put(out + c, in[c], accumulate);
    return;
  }
  const int i = item % half, a = item / half * head_dim + i, b = a + half;
  const long angle = static_cast<long>(rows.step[r]) * half + i;
  const float c = cosine[angle], s = inverse ? -sine[angle] : sine[angle];
  const float xa = in[a], xb = in[b];
  put(out + a, xa * c - xb * s, accumulate);
  put(out + b, xb * c + xa * s, accumulate);
}

// Slopes of silu(gate) up by gate and by up.
struct Slopes {
  float gate, up;
};
__device__ __forceinline__ Slopes slopes(const float* x, int width, int c) {
  const float gate = x[c], s = sigmoid(gate);
  return {x[width + c] * s * (1.0f + gate * (1.0f - s)), gate * s};
}

__global__ void __launch_bounds__(kThreads)
    swiglu_backward_kernel(float* dx, const float* dy, const float* x, PackedRows rows, int width,
                           bool accumulate) {
  const long at = thread_of_grid();
  if (at >= static_cast<long>(rows.count) * width) return;
  const long r = at / width;
  const int c = static_cast<int>(at % width);
  const Slopes s = slopes(x + 2l * rows.step[r] * width, width, c);
  float* to = dx + 2 * r * width;
  put(to + c, dy[at] * s.gate, accumulate);
  put(to + width + c, dy[at] * s.up, accumulate);
}

__global__ void __launch_bounds__(kThreads)
    swiglu_tangent_kernel(float* dy, const float* dx, const float* x, PackedRows rows, int width) {
  const long at = thread_of_grid();
  if (at >= static_cast<long>(rows.count) * width) return;
  const long r = at / width;
  const int c = static_cast<int>(at % width);
  const Slopes s = slopes(x + 2l * rows.step[r] * width, width, c);
  const float* from = dx + 2 * r * width;
  dy[at] = from[c] * s.gate + from[width + c] * s.up;
}

__global__ void __launch_bounds__(kThreads)
    quantiles_backward_kernel(float* draw, const float* dq, const float* raw, PackedRows rows, int outputs,
                              int levels, int middle, bool accumulate) {
  const long at = thread_of_grid();
  if (at >= static_cast<long>(rows.count) * outputs) return;
  const long r = at / outputs, o = at % outputs;
  const float* x = raw + (static_cast<long>(rows.step[r]) * outputs + o) * levels;
  const float* d = dq + at * levels;
  float* to = draw + at * levels;
  float above = 0, below = 0;
  for (int l = levels - 1; l > middle; --l) {
    above += d[l];
    put(to + l, above * sigmoid(x[l]), accumulate);
  }
  for (int l = 0; l < middle; ++l) {
    below += d[l];
    put(to + l, -below * sigmoid(x[l]), accumulate);
  }
  put(to + middle, above + d[middle] + below, accumulate);
}

__global__ void __launch_bounds__(kThreads)
    quantiles_tangent_kernel(float* dq, const float* draw, const float* raw, PackedRows rows, int outputs,
                             int levels, int middle) {
  const long at = thread_of_grid();
  if (at >= static_cast<long>(rows.count) * outputs) return;
  const long r = at / outputs, o = at % outputs;
  const float* x = raw + (static_cast<long>(rows.step[r]) * outputs + o) * levels;
  const float* d = draw + at * levels;
  float* to = dq + at * levels;
  float value = to[middle] = d[middle];
  for (int l = middle + 1; l < levels; ++l) to[l] = value = value + d[l] * sigmoid(x[l]);
  value = d[middle];
  for (int l = middle - 1; l >= 0; --l) to[l] = value = value - d[l] * sigmoid(x[l]);
}

// ---- rows from one place to another -------------------------------------------------------------------

__global__ void __launch_bounds__(kThreads)
    seed_rows_kernel(float* to, const int* hot, int count, int width) {
  const long at = thread_of_grid();
  if (at < static_cast<long>(count) * width) to[at] = at % width == hot[at / width] ? 1.0f : 0.0f;
}

__global__ void __launch_bounds__(kThreads)
    take_rows_kernel(float* to, const float* from, const int* source, int count, int width) {
  const long at = thread_of_grid();
  if (at >= static_cast<long>(count) * width) return;
  const long row = source[at / width];
  to[at] = row < 0 ? 0.0f : from[row * width + at % width];
}

__global__ void __launch_bounds__(kThreads)
    put_rows_kernel(float* to, const float* from, const int* target, int count, int width, bool accumulate) {
  const long at = thread_of_grid();
  if (at < static_cast<long>(count) * width)
    put(to + static_cast<long>(target[at / width]) * width + at % width, from[at], accumulate);
}

unsigned blocks_for(long items) { return blocks_of(items, kThreads); }

}  // namespace

void rmsnorm_many(float* to, const float* from, const float* x, const float* rstd, const float* w,
                  PackedRows rows, int width, bool tangent, bool accumulate, cudaStream_t stream) {
  EMISOPT_LAUNCH(rmsnorm_many_kernel, blocks_of(rows.count, kWarps), kThreads, 0, stream, to, from, x, rstd,
                 w, rows, width, tangent, accumulate);
}

void rope_many(float* to, const float* from, const float* cosine, const float* sine, PackedRows rows,
               int width, int heads, int head_dim, bool inverse, bool accumulate, cudaStream_t stream) {
  const long items = static_cast<long>(rows.count) * (width - heads * (head_dim / 2));
  EMISOPT_LAUNCH(rope_many_kernel, blocks_for(items), kThreads, 0, stream, to, from, cosine, sine, rows,
                 width, heads, head_dim, inverse, accumulate);
}

void swiglu_backward_many(float* dx, const float* dy, const float* x, PackedRows rows, int width,
                          bool accumulate, cudaStream_t stream) {
  EMISOPT_LAUNCH(swiglu_backward_kernel, blocks_for(static_cast<long>(rows.count) * width), kThreads, 0,
                 stream, dx, dy, x, rows, width, accumulate);
}

void swiglu_tangent_many(float* dy, const float* dx, const float* x, PackedRows rows, int width,
                         cudaStream_t stream) {
  EMISOPT_LAUNCH(swiglu_tangent_kernel, blocks_for(static_cast<long>(rows.count) * width), kThreads, 0,
                 stream, dy, dx, x, rows, width);
}

void quantiles_backward_many(float* draw, const float* dq, const float* raw, PackedRows rows, int outputs,
                             int levels, int middle, bool accumulate, cudaStream_t stream) {
  EMISOPT_LAUNCH(quantiles_backward_kernel, blocks_for(static_cast<long>(rows.count) * outputs), kThreads, 0,
                 stream, draw, dq, raw, rows, outputs, levels, middle, accumulate);
}

void quantiles_tangent_many(float* dq, const float* draw, const float* raw, PackedRows rows, int outputs,
                            int levels, int middle, cudaStream_t stream) {
  EMISOPT_LAUNCH(quantiles_tangent_kernel, blocks_for(static_cast<long>(rows.count) * outputs), kThreads, 0,
                 stream, dq, draw, raw, rows, outputs, levels, middle);
}

void seed_rows(float* to, const int* hot, int count, int width, cudaStream_t stream) {
  EMISOPT_LAUNCH(seed_rows_kernel, blocks_for(static_cast<long>(count) * width), kThreads, 0, stream, to, hot,
                 count, width);
}

void take_rows(float* to, const float* from, const int* source, int count, int width, cudaStream_t stream) {
  EMISOPT_LAUNCH(take_rows_kernel, blocks_for(static_cast<long>(count) * width), kThreads, 0, stream, to,
                 from, source, count, width);
}

void put_rows(float* to, const float* from, const int* target, int count, int width, bool accumulate,
              cudaStream_t stream) {
  EMISOPT_LAUNCH(put_rows_kernel, blocks_for(static_cast<long>(count) * width), kThreads, 0, stream, to, from,
                 target, count, width, accumulate);
}

}  // namespace emisopt::kernels::cuda
