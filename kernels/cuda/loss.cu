// Losses of train mode (kernels/ref/loss.hpp is the definition): a block per window, sums in double and in a
// fixed order, so that a loss is the same bits whatever else the GPU does.
#include <cmath>

#include "kernels/cuda/device.hpp"

namespace emisopt::kernels::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * kLanes;

__global__ void __launch_bounds__(kThreads)
    positive_sum_kernel(double* sum, const float* weight, long count) {
  __shared__ double warps[kWarps];
  double own = 0;
  for (long i = threadIdx.x; i < count; i += kThreads)
    if (weight[i] > 0) own += static_cast<double>(weight[i]);
  own = block_sum(own, warps, kWarps);
  if (threadIdx.x == 0) *sum = own;
}

__global__ void __launch_bounds__(kThreads)
    label_loss_kernel(float* dq, double* window_loss, const float* q, const float* target,
                      const float* weight, const double* weight_sum, int rows, LossKernel a) {
  __shared__ double warps[kWarps];
  const double scale = *weight_sum > 0 ? 1 / *weight_sum : 0;
  const long entries = static_cast<long>(rows) * a.outputs, first = static_cast<long>(blockIdx.x) * entries;
  double total = 0;
  for (long i = first + threadIdx.x; i < first + entries; i += kThreads) {
    float* d = dq + i * a.levels;
    const float* qi = q + i * a.levels;
    for (int l = 0; l < a.levels; ++l) d[l] = 0;
    if (!(weight[i] > 0)) continue;
    const double w = scale * static_cast<double>(weight[i]);
    const double e = static_cast<double>(target[i]) - static_cast<double>(qi[a.middle]);
    if (a.kind == Loss::squared) {
      total += w * e * e;
      d[a.middle] = static_cast<float>(-2 * w * e);
    } else if (a.kind == Loss::huber) {
      const double size = fabs(e), delta = a.huber_delta;
      total += w * (size <= delta ? 0.5 * e * e : delta * (size - 0.5 * delta));
      d[a.middle] = static_cast<float>(-w * (size <= delta ? e : copysign(delta, e)));
    } else {
      for (int l = 0; l < a.levels; ++l) {
        const double share =
            w * a.inverse_level_weight * (a.level_weights ? static_cast<double>(a.level_weights[l]) : 1.0);
        const double el = static_cast<double>(target[i]) - static_cast<double>(qi[l]);
        const double slope = static_cast<double>(a.taus[l]) - (el < 0 ? 1.0 : 0.0);
        total += share * slope * el;
        d[l] = static_cast<float>(-share * slope);
      }
    }
  }
  total = block_sum(total, warps, kWarps);
  if (threadIdx.x == 0) window_loss[blockIdx.x] = total;
}

__global__ void __launch_bounds__(kThreads)
    squared_distance_kernel(float* dx, double* window_loss, const float* x, const float* target,
                            const float* weight, const double* weight_sum, int rows, int width,
                            double coefficient) {
  __shared__ double warps[kWarps];
  const double scale = *weight_sum > 0 ? 1 / (*weight_sum * width) : 0;
  const long entries = static_cast<long>(rows) * width, first = static_cast<long>(blockIdx.x) * entries;
  double total = 0;
  for (long i = first + threadIdx.x; i < first + entries; i += kThreads) {
    const float own = weight[i / width];
    if (!(own > 0)) continue;
    const double w = scale * static_cast<double>(own);
    const double e = static_cast<double>(target[i]) - static_cast<double>(x[i]);
    total += w * e * e;
    dx[i] += static_cast<float>(-2 * coefficient * w * e);
  }
  total = block_sum(total, warps, kWarps);
  if (threadIdx.x == 0) window_loss[blockIdx.x] = total;
}

// A thread per column, its scales and blocks of rows one after another.
__global__ void __launch_bounds__(kThreads)
    pooled_kernel(float* dx, double* window_loss, const float* x, const float* target, const float* weight,
                  const double* weight_sum, int rows, Pooled p, double coefficient) {
  __shared__ double warps[kWarps];
  const double share = (*weight_sum > 0 ? 1 / *weight_sum : 0) / p.scale_count;
  const long first_row = static_cast<long>(blockIdx.x) * rows;
  double total = 0;
  for (int c = static_cast<int>(threadIdx.x); c < p.columns; c += kThreads) {
    const long at_x = first_row * p.x_width + p.x_first + static_cast<long>(c) * p.x_step;
    const long at_y = first_row * p.columns + c;
    for (int s = 0; s < p.scale_count; ++s)
      for (int first = 0; first < rows; first += p.scales[s]) {
        const int end = rows - first < p.scales[s] ? rows : first + p.scales[s];
        double weights = 0, errors = 0;
        for (int t = first; t < end; ++t) {
          const double w = static_cast<double>(weight[at_y + static_cast<long>(t) * p.columns]);
          if (!(w > 0)) continue;
          weights += w;
          errors += w * (static_cast<double>(target[at_y + static_cast<long>(t) * p.columns]) -
                         static_cast<double>(x[at_x + static_cast<long>(t) * p.x_width]));
        }
        if (!(weights > 0)) continue;
        const double mean = errors / weights;
        total += share * errors * mean;
        for (int t = first; t < end; ++t) {
          const double w = static_cast<double>(weight[at_y + static_cast<long>(t) * p.columns]);
          if (w > 0)
            dx[at_x + static_cast<long>(t) * p.x_width] +=
                static_cast<float>(-2 * coefficient * share * mean * w);
        }
      }
  }
  total = block_sum(total, warps, kWarps);
  if (threadIdx.x == 0) window_loss[blockIdx.x] = total;
}

}  // namespace

void positive_sum(double* sum, const float* weight, long count, cudaStream_t stream) {
  EMISOPT_LAUNCH(positive_sum_kernel, 1, kThreads, 0, stream, sum, weight, count);
}

void label_loss(float* dq, double* window_loss, const float* q, const float* target, const float* weight,
                const double* weight_sum, Grid grid, const LossKernel& loss, cudaStream_t stream) {
  if (grid.count() == 0) return;
  EMISOPT_LAUNCH(label_loss_kernel, static_cast<unsigned>(grid.windows), kThreads, 0, stream, dq, window_loss,
                 q, target, weight, weight_sum, grid.rows, loss);
}

void squared_distance(float* dx, double* window_loss, const float* x, const float* target,
                      const float* weight, const double* weight_sum, Grid grid, int width, double coefficient,
                      cudaStream_t stream) {
  if (grid.count() == 0) return;
  EMISOPT_LAUNCH(squared_distance_kernel, static_cast<unsigned>(grid.windows), kThreads, 0, stream, dx,
                 window_loss, x, target, weight, weight_sum, grid.rows, width, coefficient);
}

void pooled_distance(float* dx, double* window_loss, const float* x, const float* target, const float* weight,
                     const double* weight_sum, Grid grid, const Pooled& pooled, double coefficient,
                     cudaStream_t stream) {
  if (grid.count() == 0) return;
  EMISOPT_LAUNCH(pooled_kernel, static_cast<unsigned>(grid.windows), kThreads, 0, stream, dx, window_loss, x,
                 target, weight, weight_sum, grid.rows, pooled, coefficient);
}

}  // namespace emisopt::kernels::cuda
