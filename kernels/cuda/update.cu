// The optimiser's one pass over the weights (kernels/ref/update.hpp is the definition), and the gradient's
// norm, which stays on the device: nothing waits for it.
#include <cmath>

#include "kernels/cuda/device.hpp"

namespace emisopt::kernels::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * kLanes;
constexpr long kPerBlock = 32L * kThreads;  // scalars whose squares one block adds up: fixed, so the bits are

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

// The loss by its parts, whether all is finite, and what the gradient is multiplied by. One block.
__global__ void __launch_bounds__(kThreads)
    verdict_kernel(StepVerdict* verdict, const double* losses, int windows, LossWeights weights,
                   const double* norm2, double clip, const double* votes) {
  __shared__ double warps[kWarps];
  double loss = 0;
  for (int part = 0; part < LossWeights::kParts; ++part) {
    double own = 0;
    for (int w = static_cast<int>(threadIdx.x); w < windows; w += kThreads)
      own += losses[static_cast<long>(part) * windows + w];
    own = block_sum(own, warps, kWarps);
    if (threadIdx.x == 0) verdict->parts[part] = own;
    if (weights.of[part] != 0) loss += weights.of[part] * own;
  }
  if (threadIdx.x != 0) return;
  const double norm = sqrt(*norm2);
  verdict->loss = loss;
  verdict->norm = norm;
  verdict->votes = votes ? *votes : 0;
  verdict->clip = clip > 0 && norm > clip ? static_cast<float>(clip / norm) : 1.0f;
  const bool finite = loss - loss == 0 && norm - norm == 0;
  if (!finite) verdict->stopped = 1;  // and stays so
}

__global__ void __launch_bounds__(kThreads)
    update_kernel(UpdateArrays a, long count, const UpdateStep* step, const StepVerdict* verdict) {
  const long i = static_cast<long>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count || verdict->stopped || (a.moves && !a.moves[i])) return;
  const UpdateStep s = *step;
  const float old = a.theta[i];
  float g = a.gradient[i] * verdict->clip;
  if (a.anchor) g += (s.l2sp + (a.fisher ? s.ewc * a.fisher[i] : 0.0f)) * (old - a.anchor[i]);
  const float m = s.beta1 * a.m[i] + (1.0f - s.beta1) * g;
  const float v = s.beta2 * a.v[i] + (1.0f - s.beta2) * g * g;
  a.m[i] = m;
  a.v[i] = v;
  const float shrink = s.shrink * (a.mask ? a.mask[i] : 1.0f);
  const float now = old - (s.step_size * m / (sqrtf(v) * s.root_scale + s.eps) + shrink * old);
  a.theta[i] = now;
  if (a.working) a.working[i] = now;
  if (a.shadow) a.shadow[i] = s.keep >= 0 ? s.keep * a.shadow[i] + (1.0f - s.keep) * now : old;
}

}  // namespace

int norm_blocks(long count) { return static_cast<int>((count + kPerBlock - 1) / kPerBlock); }

void squared_norm(double* sum, double* partial, const float* x, long count, cudaStream_t stream) {
  const int blocks = norm_blocks(count);
  if (blocks > 0)
    EMISOPT_LAUNCH(squares_kernel, static_cast<unsigned>(blocks), kThreads, 0, stream, partial, x, count);
  EMISOPT_LAUNCH(sum_kernel, 1, kThreads, 0, stream, sum, partial, blocks);
}

void verdict(StepVerdict* verdict, const double* losses, int windows, const LossWeights& weights,
             const double* norm2, double clip, cudaStream_t stream, const double* votes) {
  EMISOPT_LAUNCH(verdict_kernel, 1, kThreads, 0, stream, verdict, losses, windows, weights, norm2, clip,
                 votes);
}

UpdateStep update_step(const AdamW& o, float keep) {
  const double t = static_cast<double>(o.step);
  const double left1 = 1 - std::pow(static_cast<double>(o.beta1), t);
  const double left2 = 1 - std::pow(static_cast<double>(o.beta2), t);
  return {2 * o.l2sp,
          o.ewc,
          o.beta1,
          o.beta2,
          o.eps,
          static_cast<float>(static_cast<double>(o.rate) / left1),
          static_cast<float>(1 / std::sqrt(left2)),
          o.rate * o.decay,
          keep,
          0};
}

void update(const UpdateArrays& arrays, std::size_t count, const UpdateStep* step, const StepVerdict* verdict,
            cudaStream_t stream) {
  if (count == 0) return;
  const long n = static_cast<long>(count);
  EMISOPT_LAUNCH(update_kernel, blocks_of(n, kThreads), kThreads, 0, stream, arrays, n, step, verdict);
}

}  // namespace emisopt::kernels::cuda
