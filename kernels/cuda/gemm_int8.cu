// Products in 8 bits: tiles of 64 x 64 over 64 of the inner dimension, 4 x 4 results per thread, four
// products an instruction.
#include "kernels/cuda/pack.hpp"
#include "kernels/cuda/rounding.hpp"

namespace emisopt::kernels::cuda {
namespace {

constexpr int kTile = 64, kInner = 16, kEach = 4;  // kInner: quads
constexpr int kSide = kTile / kEach, kThreads = kSide * kSide;
constexpr int kWarps = kThreads / kLanes;

// A warp per row.
__global__ void __launch_bounds__(kThreads)
    quantize_kernel(std::int32_t* q, float* scale, View<const float> x, Grid grid, int k) {
  const long r = static_cast<long>(blockIdx.x) * kWarps + threadIdx.x / kLanes;
  if (r >= grid.count()) return;  // whole warps only
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const float* row = row_of(x, grid, r, k);
  Largest own;
  for (int l = lane; l < k; l += kLanes) own.see(row[l]);
  own.top = warp_max(own.top);
  own.bad = warp_max(own.bad);
  if (lane == 0) scale[r] = own.scale();
  const float steps = own.steps();
  const auto rounded = [&](int l) { return l < k ? int8_rounded(row[l], steps) : 0; };
  for (int l = lane; l < quads_of(k); l += kLanes)
    q[r * quads_of(k) + l] = quad(rounded(4 * l), rounded(4 * l + 1), rounded(4 * l + 2), rounded(4 * l + 3));
}

__global__ void __launch_bounds__(kThreads)
    gemm_int8_kernel(View<float> c, const std::int32_t* q, const float* row_scale, const std::int32_t* packed,
                     const float* column_scale, const float* bias, Grid grid, int n, int quads) {
  __shared__ std::int32_t left[kInner][kTile + 1], right[kInner][kTile + 1];
  const int thread = static_cast<int>(threadIdx.x), ty = thread / kSide, tx = thread % kSide;
  const long row0 = static_cast<long>(blockIdx.x) * kTile;
  const int column0 = static_cast<int>(blockIdx.y) * kTile;
  std::int32_t acc[kEach][kEach] = {};
  for (int l0 = 0; l0 < quads; l0 += kInner) {
    for (int at = thread; at < kTile * kInner; at += kThreads) {
      const int i = at / kInner, l = at % kInner;  // neighbours read neighbours
      const bool inside = row0 + i < grid.count() && l0 + l < quads;
      left[l][i] = inside ? q[(row0 + i) * quads + l0 + l] : 0;
      const int j = at % kTile, m = at / kTile;
      const bool is_b = column0 + j < n && l0 + m < quads;
      right[m][j] = is_b ? packed[static_cast<long>(l0 + m) * n + column0 + j] : 0;
    }
    __syncthreads();
    for (int l = 0; l < kInner; ++l) {
      std::int32_t a[kEach], b[kEach];
      for (int e = 0; e < kEach; ++e) {
        a[e] = left[l][ty + e * kSide];
        b[e] = right[l][tx + e * kSide];
      }
      for (int i = 0; i < kEach; ++i)
        for (int j = 0; j < kEach; ++j) acc[i][j] = __dp4a(a[i], b[j], acc[i][j]);
    }
    __syncthreads();
  }
  for (int i = 0; i < kEach; ++i) {
    const long r = row0 + ty + i * kSide;
    if (r >= grid.count()) continue;
    float* to = row_of(c, grid, r, n);
    for (int j = 0; j < kEach; ++j) {
      const int column = column0 + tx + j * kSide;
      if (column >= n) continue;
      // each of them rounded, as on the CPU: no fused operation
      const float y = __fmul_rn(static_cast<float>(acc[i][j]), __fmul_rn(row_scale[r], column_scale[column]));
      to[column] = bias ? __fadd_rn(y, bias[column]) : y;
    }
  }
}

}  // namespace

void quantize(std::int32_t* q, float* scale, View<const float> x, Grid grid, int k, cudaStream_t stream) {
  if (grid.count() == 0) return;
  EMISOPT_LAUNCH(quantize_kernel, blocks_of(grid.count(), kWarps), kThreads, 0, stream, q, scale, x, grid, k);
}

void gemm_int8(View<float> c, const std::int32_t* q, const float* row_scale, const std::int32_t* packed,
               const float* column_scale, const float* bias, Grid grid, int n, int k, cudaStream_t stream) {
  if (grid.count() == 0) return;
  const dim3 blocks(blocks_of(grid.count(), kTile), blocks_of(n, kTile));
  EMISOPT_LAUNCH(gemm_int8_kernel, blocks, kThreads, 0, stream, c, q, row_scale, packed, column_scale, bias,
                 grid, n, quads_of(k));
}

}  // namespace emisopt::kernels::cuda
