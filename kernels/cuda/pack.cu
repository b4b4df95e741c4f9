// Weights in bf16 and in 8 bits: once per load() or step, so that neither has to be fast, only not slow.
#include "kernels/cuda/pack.hpp"
#include "kernels/cuda/rounding.hpp"

namespace emisopt::kernels::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / kLanes;

__global__ void __launch_bounds__(kThreads)
    pack_bf16_kernel(__nv_bfloat16* to, const float* from, long count) {
  const long at = static_cast<long>(blockIdx.x) * kThreads + threadIdx.x;
  if (at < count) to[at] = __float2bfloat16_rn(from[at]);
}

__global__ void __launch_bounds__(kThreads)
    unpack_bf16_kernel(float* to, const __nv_bfloat16* from, long count) {
  const long at = static_cast<long>(blockIdx.x) * kThreads + threadIdx.x;
  if (at < count) to[at] = __bfloat162float(from[at]);
}

// A block per 32 columns, a lane each; warps share the rows.
__global__ void __launch_bounds__(kThreads)
    pack_int8_kernel(std::int32_t* packed, float* scale, const float* b, int k, int n) {
  __shared__ float tops[kWarps][kLanes], bads[kWarps][kLanes];
  const int warp = static_cast<int>(threadIdx.x) / kLanes, lane = static_cast<int>(threadIdx.x) % kLanes;
  const int j = static_cast<int>(blockIdx.x) * kLanes + lane;
  const auto value = [&](int l) { return l < k && j < n ? b[static_cast<long>(l) * n + j] : 0.0f; };
  Largest own;
  for (int l = warp; l < k; l += kWarps) own.see(value(l));
  tops[warp][lane] = own.top;
  bads[warp][lane] = own.bad;
  __syncthreads();
  for (int w = 0; w < kWarps; ++w) {
    own.top = fmaxf(own.top, tops[w][lane]);
    own.bad = fmaxf(own.bad, bads[w][lane]);
  }
  if (j >= n) return;
  if (warp == 0) scale[j] = own.scale();
  const float steps = own.steps();
  for (int l = warp; l < quads_of(k); l += kWarps)
    packed[static_cast<long>(l) * n + j] =
        quad(int8_rounded(value(4 * l), steps), int8_rounded(value(4 * l + 1), steps),
             int8_rounded(value(4 * l + 2), steps), int8_rounded(value(4 * l + 3), steps));
}

}  // namespace

void pack_bf16(__nv_bfloat16* to, const float* from, long count, cudaStream_t stream) {
  if (count > 0)
    EMISOPT_LAUNCH(pack_bf16_kernel, blocks_of(count, kThreads), kThreads, 0, stream, to, from, count);
}

void unpack_bf16(float* to, const __nv_bfloat16* from, long count, cudaStream_t stream) {
  if (count > 0)
    EMISOPT_LAUNCH(unpack_bf16_kernel, blocks_of(count, kThreads), kThreads, 0, stream, to, from, count);
}

void pack_int8(std::int32_t* packed, float* scale, const float* b, int k, int n, cudaStream_t stream) {
  EMISOPT_LAUNCH(pack_int8_kernel, blocks_of(n, kLanes), kThreads, 0, stream, packed, scale, b, k, n);
}

}  // namespace emisopt::kernels::cuda
