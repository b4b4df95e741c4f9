// Products of bf16 operands with fp32 sums on tensor cores: tiles of 128 x 64 over 32 of the inner dimension,
// eight warps with 32 x 32 results each. The next tile is on its way in registers while this one is
// multiplied, and goes to the other half of shared memory. fp32 operands (master weights) are rounded on that
// way.
#include <algorithm>

#include "kernels/cuda/device.hpp"
#include "kernels/cuda/mma.hpp"

namespace emisopt::kernels::cuda {
namespace {

using Bf16 = __nv_bfloat16;

constexpr int kRows = 128, kColumns = 64, kInner = 32;  // of a tile
constexpr int kThreads = 256;
constexpr int kPad = 8;     // elements: ldmatrix's eight rows then lie in different banks
constexpr int kVector = 8;  // elements of 16 bytes
constexpr int kVectorsA = kRows * kInner / kVector / kThreads;
constexpr int kVectorsB = kColumns * kInner / kVector / kThreads;
static_assert(kVectorsA == 2 && kVectorsB == 1);
constexpr long kBlocks = 264;      // products over rows aim at: two for each SM of an H200
constexpr long kLeastShare = 128;  // rows of one such block

// An operand's tile as it lies in memory: `turned` says that the inner dimension runs over its lines.
template <bool kTurned, int kOuter>
struct Tile {
  static constexpr int kLine = kTurned ? kOuter : kInner;  // elements side by side
  static constexpr int kStride = kLine + kPad;
  static constexpr int kSize = (kTurned ? kInner : kOuter) * kStride;
};

__device__ __forceinline__ std::uint32_t pack(float low, float high) {
  const auto bits = [](float x) -> std::uint32_t { return __nv_bfloat16_raw(__float2bfloat16_rn(x)).x; };
  return bits(low) | bits(high) << 16;
}

__device__ __forceinline__ bool on_boundary(const void* at, int bytes) {
  return reinterpret_cast<std::uintptr_t>(at) % static_cast<unsigned>(bytes) == 0;
}

// Eight elements of a line from `first` on as bf16; 0 from `end` on. line null: all 0.
template <class T>
__device__ __forceinline__ uint4 load_vector(const T* line, int first, int end) {
  if (!line || first >= end) return {0, 0, 0, 0};
  const T* from = line + first;
  if (first + kVector <= end && on_boundary(from, 16)) {
    if constexpr (sizeof(T) == 2) {
      return *reinterpret_cast<const uint4*>(from);
    } else {
      const float4 a = *reinterpret_cast<const float4*>(from), b = *reinterpret_cast<const float4*>(from + 4);
      return {pack(a.x, a.y), pack(a.z, a.w), pack(b.x, b.y), pack(b.z, b.w)};
    }
  }
  float x[kVector];
#pragma unroll
  for (int i = 0; i < kVector; ++i) x[i] = first + i < end ? to_float(from[i]) : 0.0f;
  return {pack(x[0], x[1]), pack(x[2], x[3]), pack(x[4], x[5]), pack(x[6], x[7])};
}

// Line and column of a thread's `v`-th vector of a tile.
template <class Tile>
struct Place {
  int line, column;
  __device__ explicit Place(int v) {
    const int at = v * kThreads + static_cast<int>(threadIdx.x);
    line = at / (Tile::kLine / kVector);
    column = at % (Tile::kLine / kVector) * kVector;
  }
  __device__ int offset() const { return line * Tile::kStride + column; }
};

// A row without a division where all rows follow one another.
template <class T>
__device__ __forceinline__ const T* line_of(View<const T> view, Grid grid, long r, int width) {
  return grid.windows == 1 ? view.data + r * width : row_of(view, grid, r, width);
}

template <bool kTurnedA, bool kTurnedB>
struct Shared {
  using A = Tile<kTurnedA, kRows>;
  using B = Tile<kTurnedB, kColumns>;
  alignas(16) Bf16 a[2][A::kSize];
  alignas(16) Bf16 b[2][B::kSize];
};

struct Sums {
  float x[2][4][4];  // 16 rows, 8 columns, the lane's four
};

// sums += a b over one tile. Which rows a lane names for ldmatrix follows from the order of its four
// matrices: a's rows first, then its inner dimension; b's inner dimension first, then its columns.
template <bool kTurnedA, bool kTurnedB>
__device__ __forceinline__ void multiply(Sums& sums, const Bf16* a, const Bf16* b) {
  using TileA = Tile<kTurnedA, kRows>;
  using TileB = Tile<kTurnedB, kColumns>;
  const int lane = static_cast<int>(threadIdx.x) % kLanes, warp = static_cast<int>(threadIdx.x) / kLanes;
  const int row0 = warp / 2 * 32, column0 = warp % 2 * 32;
#pragma unroll
  for (int l0 = 0; l0 < kInner; l0 += 16) {
    FragmentA left[2];
    FragmentB right[4];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int row = row0 + i * 16;
      load_matrices<kTurnedA>(
          left[i].x, kTurnedA ? a + (l0 + lane % 8 + lane / 16 * 8) * TileA::kStride + row + lane / 8 % 2 * 8
                              : a + (row + lane % 16) * TileA::kStride + l0 + lane / 16 * 8);
    }
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int column = column0 + j * 16;
      std::uint32_t x[4];
      load_matrices<kTurnedB>(
          x, kTurnedB ? b + (l0 + lane % 16) * TileB::kStride + column + lane / 16 * 8
                      : b + (column + lane % 8 + lane / 16 * 8) * TileB::kStride + l0 + lane / 8 % 2 * 8);
      right[2 * j] = {{x[0], x[1]}};
      right[2 * j + 1] = {{x[2], x[3]}};
    }
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) mma_bf16(sums.x[i][j], left[i], right[j]);
  }
}

// load_a(l0, v), load_b(l0, v): the thread's vectors of the tile at l0 of the inner dimension, begin <= l0 <
// end
template <bool kTurnedA, bool kTurnedB, class LoadA, class LoadB>
__device__ __forceinline__ void multiply_all(Sums& sums, Shared<kTurnedA, kTurnedB>& shared, long begin,
                                             long end, LoadA load_a, LoadB load_b) {
  using S = Shared<kTurnedA, kTurnedB>;
  uint4 a[kVectorsA], b;
  const auto fetch = [&](long l0) {
#pragma unroll
    for (int v = 0; v < kVectorsA; ++v) a[v] = load_a(l0, v);
    b = load_b(l0);
  };
  const auto keep = [&](int half) {
#pragma unroll
    for (int v = 0; v < kVectorsA; ++v)
      *reinterpret_cast<uint4*>(shared.a[half] + Place<typename S::A>(v).offset()) = a[v];
    *reinterpret_cast<uint4*>(shared.b[half] + Place<typename S::B>(0).offset()) = b;
  };
  fetch(begin);
  keep(0);
  __syncthreads();
  int half = 0;
  for (long l0 = begin; l0 < end; l0 += kInner) {
    const bool more = l0 + kInner < end;
    if (more) fetch(l0 + kInner);
    multiply<kTurnedA, kTurnedB>(sums, shared.a[half], shared.b[half]);
    if (more) keep(half ^ 1);  // whom all warps have left before the last barrier
    __syncthreads();
    half ^= 1;
  }
}

// visit(row, column, sum, next column's sum) for what the lane holds, in the tile
template <class F>
__device__ __forceinline__ void for_each_pair(const Sums& sums, F visit) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes, warp = static_cast<int>(threadIdx.x) / kLanes;
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int h = 0; h < 2; ++h)
#pragma unroll
      for (int j = 0; j < 4; ++j)
        visit(warp / 2 * 32 + i * 16 + h * 8 + lane / 4, warp % 2 * 32 + j * 8 + lane % 4 * 2,
              sums.x[i][j][2 * h], sums.x[i][j][2 * h + 1]);
}

__device__ __forceinline__ void store_pair(float* to, float x, float y) {
  *reinterpret_cast<float2*>(to) = {x, y};
}
__device__ __forceinline__ void store_pair(Bf16* to, float x, float y) {
  *reinterpret_cast<std::uint32_t*>(to) = pack(x, y);
}

// c (rows, n) = or += a (rows, k) b + bias
template <class C, class A, class B, bool kTurned>
__global__ void __launch_bounds__(kThreads)
    product_kernel(View<C> c, View<const A> a, const B* b, const float* bias, Grid grid, int n, int k,
                   bool accumulate) {
  // b (n, k) has the inner dimension along its lines already
  using S = Shared<false, !kTurned>;
  __shared__ S shared;
  const long row0 = static_cast<long>(blockIdx.x) * kRows;
  const int column0 = static_cast<int>(blockIdx.y) * kColumns;
  const A* lines[kVectorsA];
#pragma unroll
  for (int v = 0; v < kVectorsA; ++v) {
    const long r = row0 + Place<typename S::A>(v).line;
    lines[v] = r < grid.count() ? line_of(a, grid, r, k) : nullptr;
  }
  Sums sums = {};
  multiply_all<false, !kTurned>(
      sums, shared, 0, k,
      [&](long l0, int v) {
        return load_vector(lines[v], static_cast<int>(l0) + Place<typename S::A>(v).column, k);
      },
      [&](long l0) {
        const Place<typename S::B> at(0);
        const int inner = static_cast<int>(l0);
        if (kTurned) {
          const int j = column0 + at.line;
          return load_vector(j < n ? b + static_cast<long>(j) * k : nullptr, inner + at.column, k);
        }
        const int l = inner + at.line;
        return load_vector(l < k ? b + static_cast<long>(l) * n : nullptr, column0 + at.column, n);
      });
  for_each_pair(sums, [&](int i, int j, float x, float y) {
    const long r = row0 + i;
    const int column = column0 + j;
    if (r >= grid.count() || column >= n) return;
    C* to = (grid.windows == 1 ? c.data + r * n : row_of(c, grid, r, n)) + column;
    const bool both = column + 1 < n;
    if (bias) {
      x += bias[column];
      if (both) y += bias[column + 1];
    }
    if (accumulate) {
      x += to_float(to[0]);
      if (both) y += to_float(to[1]);
    }
    if (both && on_boundary(to, 2 * sizeof(C))) {
      store_pair(to, x, y);
    } else {
      to[0] = from_float<C>(x);
      if (both) to[1] = from_float<C>(y);
    }
  });
}

// partial[block.z] (k, n) = aᵀ b over the block's share of rows
template <class A, class B>
__global__ void __launch_bounds__(kThreads)
    over_rows_kernel(float* partial, View<const A> a, View<const B> b, Grid grid, int k, int n, long share) {
  using S = Shared<true, true>;
  __shared__ S shared;
  const int row0 = static_cast<int>(blockIdx.x) * kRows, column0 = static_cast<int>(blockIdx.y) * kColumns;
  const long begin = static_cast<long>(blockIdx.z) * share;
  const long end = begin + share < grid.count() ? begin + share : grid.count();
  Sums sums = {};
  multiply_all<true, true>(
      sums, shared, begin, end,
      [&](long r0, int v) {
        const Place<typename S::A> at(v);
        const long r = r0 + at.line;
        return load_vector(r < end ? line_of(a, grid, r, k) : nullptr, row0 + at.column, k);
      },
      [&](long r0) {
        const Place<typename S::B> at(0);
        const long r = r0 + at.line;
        return load_vector(r < end ? line_of(b, grid, r, n) : nullptr, column0 + at.column, n);
      });
  float* to = partial + static_cast<long>(blockIdx.z) * k * n;
  for_each_pair(sums, [&](int i, int j, float x, float y) {
    const int row = row0 + i, column = column0 + j;
    if (row >= k || column >= n) return;
    float* at = to + static_cast<long>(row) * n + column;
    at[0] = x;
    if (column + 1 < n) at[1] = y;
  });
}

// Of the shapes only, so that the order of the sum is, too.
long share_of(Grid grid, int k, int n) {
  const long tiles = static_cast<long>(blocks_of(k, kRows)) * blocks_of(n, kColumns);
  const long wanted = (grid.count() * tiles + kBlocks - 1) / kBlocks;
  return std::max(kLeastShare, (wanted + kInner - 1) / kInner * kInner);
}
unsigned parts_of(Grid grid, int k, int n) {
  const long share = share_of(grid, k, n);
  return static_cast<unsigned>((grid.count() + share - 1) / share);
}

// One window where the rows of all follow one another.
template <class T>
bool is_flat(View<T> view, Grid grid, int width) {
  return grid.windows == 1 || view.window == static_cast<long>(grid.rows) * width;
}
Grid flat(Grid grid) { return {1, static_cast<int>(grid.count())}; }

}  // namespace

template <class C, class A, class B>
void gemm_bf16(View<C> c, View<const A> a, const B* b, bool turned, const float* bias, Grid grid, int n,
               int k, bool accumulate, cudaStream_t stream) {
  if (grid.count() == 0 || n == 0) return;
  if (is_flat(c, grid, n) && is_flat(a, grid, k)) grid = flat(grid);
  const dim3 blocks(blocks_of(grid.count(), kRows), blocks_of(n, kColumns));
  if (turned)
    EMISOPT_LAUNCH((product_kernel<C, A, B, true>), blocks, kThreads, 0, stream, c, a, b, bias, grid, n, k,
                   accumulate);
  else
    EMISOPT_LAUNCH((product_kernel<C, A, B, false>), blocks, kThreads, 0, stream, c, a, b, bias, grid, n, k,
                   accumulate);
}

std::size_t gemm_bf16_partials(Grid grid, int k, int n) { return 1ul * parts_of(grid, k, n) * k * n; }

template <class A, class B>
void gemm_bf16_over_rows(float* c, float* partial, View<const A> a, View<const B> b, Grid grid, int k, int n,
                         bool accumulate, cudaStream_t stream) {
  const unsigned parts = parts_of(grid, k, n);
  const long share = share_of(grid, k, n);
  if (is_flat(a, grid, k) && is_flat(b, grid, n)) grid = flat(grid);
  if (parts > 0) {
    const dim3 blocks(blocks_of(k, kRows), blocks_of(n, kColumns), parts);
    EMISOPT_LAUNCH((over_rows_kernel<A, B>), blocks, kThreads, 0, stream, partial, a, b, grid, k, n, share);
  }
  add_partials(c, partial, static_cast<int>(parts), k * n, accumulate, stream);
}

#define EMISOPT_INSTANTIATE(C, A, B)                                                                  \
  template void gemm_bf16(View<C>, View<const A>, const B*, bool, const float*, Grid, int, int, bool, \
                          cudaStream_t);
#define EMISOPT_OVER_ROWS(A, B)                                                                         \
  EMISOPT_INSTANTIATE(float, A, B)                                                                      \
  EMISOPT_INSTANTIATE(Bf16, A, B)                                                                       \
  template void gemm_bf16_over_rows(float*, float*, View<const A>, View<const B>, Grid, int, int, bool, \
                                    cudaStream_t);
EMISOPT_OVER_ROWS(float, float)
EMISOPT_OVER_ROWS(float, Bf16)
EMISOPT_OVER_ROWS(Bf16, float)
EMISOPT_OVER_ROWS(Bf16, Bf16)

}  // namespace emisopt::kernels::cuda
