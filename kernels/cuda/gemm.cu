// Products in fp32, without cuBLAS: tiles of 64 x 64 over 16 of the inner dimension, 4 x 4 results per
// thread. For checking, for machines without cuBLAS, and for the host.
#include "kernels/cuda/device.hpp"

namespace emisopt::kernels::cuda {
namespace {

constexpr int kTile = 64, kInner = 16, kEach = 4;
constexpr int kSide = kTile / kEach;     // threads along a side of a tile
constexpr int kThreads = kSide * kSide;  // 256
constexpr int kRowsPerPartial = 2048;    // of a product over rows that one block sums

// acc += left(l, i) right(l, j) over the tile: i, j of this thread at side * 16 + own. A tile's rows are one
// longer, so that storing a turned tile meets different banks.
struct Tiles {
  float left[kInner][kTile + 1], right[kInner][kTile + 1];
};
__device__ __forceinline__ void multiply(float (&acc)[kEach][kEach], const Tiles& t, int ty, int tx) {
  for (int l = 0; l < kInner; ++l) {
    float a[kEach], b[kEach];
    for (int e = 0; e < kEach; ++e) {
      a[e] = t.left[l][ty + e * kSide];
      b[e] = t.right[l][tx + e * kSide];
    }
    for (int i = 0; i < kEach; ++i)
      for (int j = 0; j < kEach; ++j) acc[i][j] += a[i] * b[j];
  }
}

// c (rows, n) = or += a (rows, k) b
__global__ void __launch_bounds__(kThreads)
    gemm_kernel(View<float> c, View<const float> a, const float* b, bool turned, const float* bias, Grid grid,
                int n, int k, bool accumulate) {
  __shared__ Tiles t;
  const int thread = static_cast<int>(threadIdx.x), ty = thread / kSide, tx = thread % kSide;
  const long row0 = static_cast<long>(blockIdx.x) * kTile;
  const int column0 = static_cast<int>(blockIdx.y) * kTile;
  float acc[kEach][kEach] = {};
  for (int l0 = 0; l0 < k; l0 += kInner) {
    for (int at = thread; at < kTile * kInner; at += kThreads) {
      const int i = at / kInner, l = at % kInner;
      const bool inside = row0 + i < grid.count() && l0 + l < k;
      t.left[l][i] = inside ? row_of(a, grid, row0 + i, k)[l0 + l] : 0.0f;
      // neighbours read neighbours: along l when b is turned, else along j
      const int j = turned ? i : at % kTile, m = turned ? l : at / kTile;
      const bool is_b = column0 + j < n && l0 + m < k;
      t.right[m][j] = !is_b    ? 0.0f
                      : turned ? b[static_cast<long>(column0 + j) * k + l0 + m]
                               : b[static_cast<long>(l0 + m) * n + column0 + j];
    }
    __syncthreads();
    multiply(acc, t, ty, tx);
    __syncthreads();
  }
  for (int i = 0; i < kEach; ++i) {
    const long r = row0 + ty + i * kSide;
    if (r >= grid.count()) continue;
    float* to = row_of(c, grid, r, n);
    for (int j = 0; j < kEach; ++j) {
      const int column = column0 + tx + j * kSide;
      if (column < n)
        to[column] = acc[i][j] + (accumulate ? to[column] : 0.0f) + (bias ? bias[column] : 0.0f);
    }
  }
}

// partial[block.z] (k, n) = a^T b over the block's rows
__global__ void __launch_bounds__(kThreads)
    over_rows_kernel(float* partial, View<const float> a, View<const float> b, Grid grid, int k, int n) {
  __shared__ Tiles t;
  const int thread = static_cast<int>(threadIdx.x), ty = thread / kSide, tx = thread % kSide;
  const int row0 = static_cast<int>(blockIdx.x) * kTile, column0 = static_cast<int>(blockIdx.y) * kTile;
  const long begin = static_cast<long>(blockIdx.z) * kRowsPerPartial;
  const long end = begin + kRowsPerPartial < grid.count() ? begin + kRowsPerPartial : grid.count();
  float acc[kEach][kEach] = {};
  for (long r0 = begin; r0 < end; r0 += kInner) {
    for (int at = thread; at < kTile * kInner; at += kThreads) {
      const int l = at / kTile, i = at % kTile;
      const bool inside = r0 + l < end;
      t.left[l][i] = inside && row0 + i < k ? row_of(a, grid, r0 + l, k)[row0 + i] : 0.0f;
      t.right[l][i] = inside && column0 + i < n ? row_of(b, grid, r0 + l, n)[column0 + i] : 0.0f;
    }
    __syncthreads();
    multiply(acc, t, ty, tx);
    __syncthreads();
  }
  float* to = partial + static_cast<long>(blockIdx.z) * k * n;
  for (int i = 0; i < kEach; ++i)
    for (int j = 0; j < kEach; ++j) {
      const int row = row0 + ty + i * kSide, column = column0 + tx + j * kSide;
      if (row < k && column < n) to[static_cast<long>(row) * n + column] = acc[i][j];
    }
}

unsigned parts_of(Grid grid) { return blocks_of(grid.count(), kRowsPerPartial); }

}  // namespace

void gemm(View<float> c, View<const float> a, const float* b, bool turned, const float* bias, Grid grid,
          int n, int k, bool accumulate, cudaStream_t stream) {
  if (grid.count() == 0 || n == 0) return;
  const dim3 blocks(blocks_of(grid.count(), kTile), blocks_of(n, kTile));
  EMISOPT_LAUNCH(gemm_kernel, blocks, kThreads, 0, stream, c, a, b, turned, bias, grid, n, k, accumulate);
}

std::size_t gemm_partials(Grid grid, int k, int n) { return 1ul * parts_of(grid) * k * n; }

void gemm_over_rows(float* c, float* partial, View<const float> a, View<const float> b, Grid grid, int k,
                    int n, bool accumulate, cudaStream_t stream) {
  if (grid.count() > 0) {
    const dim3 blocks(blocks_of(k, kTile), blocks_of(n, kTile), parts_of(grid));
    EMISOPT_LAUNCH(over_rows_kernel, blocks, kThreads, 0, stream, partial, a, b, grid, k, n);
  }
  add_partials(c, partial, static_cast<int>(parts_of(grid)), k * n, accumulate, stream);
}

}  // namespace emisopt::kernels::cuda
