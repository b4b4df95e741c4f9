// The optimiser's one pass over the weights (kernels/ref/update.hpp is the definition), and the gradient's
// norm, which stays on the device: nothing waits for it.
#include <cmath>

#include "kernels/cuda/device.hpp"

namespace emisopt::kernels::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * kLanes;
constexpr long kPerBlock = 32L * kThreads;  // scalars whose squares one block adds up: fixed, so the bits are

struct Step {  // as kernels/table.hpp, AdamWStep
  float clip, l2sp, ewc, beta1, beta2, eps, step_size, root_scale, shrink;
};

__global__ void __launch_bounds__(kThreads) squares_kernel(double* partial, const float* x, long count) {
  __shared__ double warps[kWarps];
  const long begin = static_cast<long>(blockIdx.x) * kPerBlock;
  const long end = begin + kPerBlock < count ? begin + kPerBlock : count;
  double own = 0;
  for (long i = begin + threadIdx.x; i < end; i += kThreads)
    own += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  own = block_sum(own, warps, kWarps);
  if (threadIdx.x == 0) partial[blockIdx.x] = own;
}

__global__ void __launch_bounds__(kThreads) sum_kernel(double* sum, const double* partial, int count) {
  __shared__ double warps[kWarps];
  double own = 0;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) own += partial[i];
  own = block_sum(own, warps, kWarps);
  if (threadIdx.x == 0) *sum = own;
}

__global__ void __launch_bounds__(kThreads)
    adamw_kernel(float* theta, float* m, float* v, const float* gradient, const float* mask,
                 const float* anchor, const float* fisher, long count, Step s, const double* norm2,
                 float clip) {
  const long i = static_cast<long>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) return;
  if (norm2) {
    const float norm = static_cast<float>(sqrt(*norm2));
    s.clip = norm > clip ? clip / norm : 1.0f;
  }
  const float old = theta[i];
  float g = gradient[i] * s.clip;
  if (anchor) g += (s.l2sp + (fisher ? s.ewc * fisher[i] : 0.0f)) * (old - anchor[i]);
  m[i] = s.beta1 * m[i] + (1.0f - s.beta1) * g;
  v[i] = s.beta2 * v[i] + (1.0f - s.beta2) * g * g;
  const float shrink = s.shrink * (mask ? mask[i] : 1.0f);
  theta[i] = old - (s.step_size * m[i] / (sqrtf(v[i]) * s.root_scale + s.eps) + shrink * old);
}

}  // namespace

int norm_blocks(long count) { return static_cast<int>((count + kPerBlock - 1) / kPerBlock); }

void squared_norm(double* sum, double* partial, const float* x, long count, cudaStream_t stream) {
  const int blocks = norm_blocks(count);
  if (blocks > 0)
    EMISOPT_LAUNCH(squares_kernel, static_cast<unsigned>(blocks), kThreads, 0, stream, partial, x, count);
  EMISOPT_LAUNCH(sum_kernel, 1, kThreads, 0, stream, sum, partial, blocks);
}

void adamw(float* theta, float* m, float* v, const float* gradient, const float* decay_mask,
           const float* anchor, const float* fisher, std::size_t count, const AdamW& o, const double* norm2,
           float clip, cudaStream_t stream) {
  if (count == 0) return;
  const double t = static_cast<double>(o.step);
  const double left1 = 1 - std::pow(static_cast<double>(o.beta1), t);
  const double left2 = 1 - std::pow(static_cast<double>(o.beta2), t);
  const Step step{o.clip_scale,
                  2 * o.l2sp,
                  o.ewc,
                  o.beta1,
                  o.beta2,
                  o.eps,
                  static_cast<float>(static_cast<double>(o.rate) / left1),
                  static_cast<float>(1 / std::sqrt(left2)),
                  o.rate * o.decay};
  const long n = static_cast<long>(count);
  EMISOPT_LAUNCH(adamw_kernel, blocks_of(n, kThreads), kThreads, 0, stream, theta, m, v, gradient, decay_mask,
                 anchor, fisher, n, step, norm2, clip);
}

}  // namespace emisopt::kernels::cuda
