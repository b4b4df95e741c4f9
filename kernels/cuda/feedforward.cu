// The SwiGLU layer with its three products in one kernel. A block holds a tile of rows and goes through the
// inner channels slice by slice: gate, up and what they make of each other are never in global memory, and
// the backward pass makes them anew. Backward is two kernels, one with an owner for each row of dx, one with
// an owner for each slice of weights and share of rows.
#include <algorithm>

#include "kernels/cuda/tile.hpp"

namespace emisopt::kernels::cuda {
namespace {

using Bf16 = __nv_bfloat16;

// Rows of a tile and inner channels of a slice, for widths up to D: as many as fit the registers of a block
// and the 163 KiB of shared memory of sm_80.
template <class T, int D>
struct Sizes {
  static constexpr bool kNarrow = sizeof(T) == 4 && D == 256;
  static constexpr int kWidth = D, kRows = kNarrow ? 32 : 64, kSlice = kNarrow ? 16 : 32;
  static constexpr int kThreads = kNarrow ? 128 : 256, kWarps = kThreads / kLanes;
  static constexpr int kWide = tile_stride<T>(D), kShort = tile_stride<T>(kSlice);  // lines
  using RowsByWidth = TileSums<kRows, D, kWarps / 2, 2>;
  using RowsBySlice = TileSums<kRows, kSlice, kWarps / 2, 2>;
  using WidthBySlice = TileSums<D, kSlice, 4, kNarrow ? 1 : 2>;
  using SliceByWidth = TileSums<kSlice, D, kNarrow ? 1 : 2, 4>;
  // scalars in shared memory
  static constexpr int kRowTile = tile_size<T>(kRows, D), kInnerTile = tile_size<T>(kRows, kSlice);
  static constexpr int kUpTile = tile_size<T>(D, kSlice), kDownTile = tile_size<T>(kSlice, D);
  static constexpr std::size_t kForward = sizeof(T) * (kRowTile + 2 * kUpTile + kDownTile + kInnerTile);
  static constexpr std::size_t kBackward =
      sizeof(T) * (2 * kRowTile + 2 * kUpTile + kDownTile + 2 * kInnerTile);
  static constexpr std::size_t kOverRows = kBackward + sizeof(T) * kInnerTile;
  static_assert(kOverRows <= 163 * 1024);
};

// channels of the slice that begins at `first`
template <class S>
__device__ __forceinline__ int columns_of(const FeedForward& f, int first) {
  return f.inner - first < S::kSlice ? f.inner - first : S::kSlice;
}

// rows of the tile that begins at row0
template <class S>
__device__ __forceinline__ int rows_of(long end, long row0) {
  return end - row0 < S::kRows ? static_cast<int>(end - row0) : S::kRows;
}

template <class S, class T>
struct Slice {  // of the weights, in shared memory
  T *gate, *up, *down;
  __device__ Slice(T* shared) : gate(shared), up(gate + S::kUpTile), down(up + S::kUpTile) {}
  __device__ void stage(const FeedForward& f, int first) const {
    const int columns = columns_of<S>(f, first);
    const auto line = [&](int column) {
      return [&f, column](int r) {
        return r < f.width ? f.gate_up + static_cast<long>(r) * 2 * f.inner + column : nullptr;
      };
    };
    stage_tile<S::kWidth, S::kSlice, S::kThreads>(gate, columns, line(first));
    stage_tile<S::kWidth, S::kSlice, S::kThreads>(up, columns, line(f.inner + first));
    stage_tile<S::kSlice, S::kWidth, S::kThreads>(down, f.width, [&](int r) {
      return first + r < f.inner ? f.down + static_cast<long>(first + r) * f.width : nullptr;
    });
  }
};
template <class S>
constexpr int kSliceSize = 2 * S::kUpTile + S::kDownTile;

template <class S, class T>
__device__ void stage_rows(T* to, View<const T> from, Grid grid, long row0, long end, int width) {
  stage_tile<S::kRows, S::kWidth, S::kThreads>(
      to, width, [&](int r) { return row0 + r < end ? row_of(from, grid, row0 + r, width) : nullptr; });
}

// gate and up of the tile's rows
template <class S, class T>
struct Inner {
  typename S::RowsBySlice gate, up;
  __device__ void make(const T* x, const Slice<S, T>& w, const FeedForward& f, int first, int count) {
    gate.clear(count, columns_of<S>(f, first));
    up.clear(count, columns_of<S>(f, first));
    multiply_tile<false, false, S::kWide, S::kShort>(gate, x, w.gate, f.width);
    multiply_tile<false, false, S::kWide, S::kShort>(up, x, w.up, f.width);
    if (!f.gate_up_bias) return;
    gate.each([&](int, int column, int i, int j, int e) {
      if (first + column >= f.inner) return;
      gate.x[i][j][e] += f.gate_up_bias[first + column];
      up.x[i][j][e] += f.gate_up_bias[f.inner + first + column];
    });
  }
};

// to = sums + bias + other, where rows and columns exist; `other` may be `to`
template <class T, class Sums>
__device__ void store_rows(View<T> to, const Sums& sums, const float* bias, View<const T> other, Grid grid,
                           long row0, int width) {
  sums.each([&](int row, int column, int i, int j, int e) {
    const long r = row0 + row;
    if (r >= grid.count() || column >= width) return;
    const float more = other.data ? to_float(row_of(other, grid, r, width)[column]) : 0.0f;
    row_of(to, grid, r, width)[column] = from_float<T>(sums.x[i][j][e] + (bias ? bias[column] : 0.0f) + more);
  });
}

template <class T, int D>
__global__ void __launch_bounds__(Sizes<T, D>::kThreads)
    forward_kernel(View<T> y, View<const T> x, View<const T> other, FeedForward f, Grid grid) {
  using S = Sizes<T, D>;
  EMISOPT_DYNAMIC_SHARED(T, shared);
  T* const rows = shared;
  const Slice<S, T> w(rows + S::kRowTile);
  T* const h = rows + S::kRowTile + kSliceSize<S>;
  const long row0 = static_cast<long>(blockIdx.x) * S::kRows;
  stage_rows<S, T>(rows, x, grid, row0, grid.count(), f.width);
  const int count = rows_of<S>(grid.count(), row0);
  typename S::RowsByWidth sums;
  sums.clear(count, f.width);
  for (int first = 0; first < f.inner; first += S::kSlice) {
    w.stage(f, first);
    __syncthreads();
    Inner<S, T> inner;
    inner.make(rows, w, f, first, count);
    inner.gate.each([&](int row, int column, int i, int j, int e) {
      const float gate = inner.gate.x[i][j][e];
      h[row * S::kShort + column] = from_float<T>(gate * sigmoid(gate) * inner.up.x[i][j][e]);
    });
    __syncthreads();
    multiply_tile<false, false, S::kShort, S::kWide>(sums, h, w.down, columns_of<S>(f, first));
    __syncthreads();  // before the next slice takes the place of this one
  }
  store_rows<T>(y, sums, f.down_bias, other, grid, row0, f.width);
}

// What the gradients by gate and up are, to shared memory; h, null: not wanted, what they made.
template <class S, class T>
__device__ __forceinline__ void inner_gradients(T* dgate, T* dup, T* h, const T* rows, const T* slopes,
                                                const Slice<S, T>& w, const FeedForward& f, int first,
                                                int count) {
  Inner<S, T> inner;
  inner.make(rows, w, f, first, count);
  typename S::RowsBySlice d;
  d.clear(count, columns_of<S>(f, first));
  multiply_tile<false, true, S::kWide, S::kWide>(d, slopes, w.down, f.width);
  d.each([&](int row, int column, int i, int j, int e) {
    const float gate = inner.gate.x[i][j][e], up = inner.up.x[i][j][e], s = sigmoid(gate);
    const int at = row * S::kShort + column;
    dgate[at] = from_float<T>(d.x[i][j][e] * up * s * (1.0f + gate * (1.0f - s)));
    dup[at] = from_float<T>(d.x[i][j][e] * gate * s);
    if (h) h[at] = from_float<T>(gate * s * up);
  });
}

template <class T, int D>
__global__ void __launch_bounds__(Sizes<T, D>::kThreads)
    backward_kernel(View<T> dx, View<const T> dy, View<const T> x, FeedForward f, Grid grid,
                    bool accumulate) {
  using S = Sizes<T, D>;
  EMISOPT_DYNAMIC_SHARED(T, shared);
  T *const rows = shared, *const slopes = rows + S::kRowTile;
  const Slice<S, T> w(slopes + S::kRowTile);
  T *const dgate = slopes + S::kRowTile + kSliceSize<S>, *const dup = dgate + S::kInnerTile;
  const long row0 = static_cast<long>(blockIdx.x) * S::kRows;
  stage_rows<S, T>(rows, x, grid, row0, grid.count(), f.width);
  stage_rows<S, T>(slopes, dy, grid, row0, grid.count(), f.width);
  const int count = rows_of<S>(grid.count(), row0);
  typename S::RowsByWidth sums;
  sums.clear(count, f.width);
  for (int first = 0; first < f.inner; first += S::kSlice) {
    w.stage(f, first);
    __syncthreads();
    inner_gradients<S, T>(dgate, dup, nullptr, rows, slopes, w, f, first, count);
    __syncthreads();
    multiply_tile<false, true, S::kShort, S::kShort>(sums, dgate, w.gate, columns_of<S>(f, first));
    multiply_tile<false, true, S::kShort, S::kShort>(sums, dup, w.up, columns_of<S>(f, first));
    __syncthreads();
  }
  store_rows<T>(dx, sums, nullptr, accumulate ? View<const T>(dx) : View<const T>(), grid, row0, f.width);
}

// A slice of the weights, blockIdx.x, over one share of the rows, blockIdx.y
template <class T, int D>
__global__ void __launch_bounds__(Sizes<T, D>::kThreads)
    over_rows_kernel(float* gate_up, float* down, float* bias, View<const T> dy, View<const T> x,
                     FeedForward f, Grid grid, long share) {
  using S = Sizes<T, D>;
  EMISOPT_DYNAMIC_SHARED(T, shared);
  T *const rows = shared, *const slopes = rows + S::kRowTile;
  const Slice<S, T> w(slopes + S::kRowTile);
  T *const dgate = slopes + S::kRowTile + kSliceSize<S>, *const dup = dgate + S::kInnerTile,
           *const h = dup + S::kInnerTile;
  const int first = static_cast<int>(blockIdx.x) * S::kSlice;
  const long begin = static_cast<long>(blockIdx.y) * share;
  const long end = begin + share < grid.count() ? begin + share : grid.count();
  w.stage(f, first);
  typename S::WidthBySlice gate_sums, up_sums;
  typename S::SliceByWidth down_sums;
  const int columns = columns_of<S>(f, first);
  gate_sums.clear(f.width, columns), up_sums.clear(f.width, columns), down_sums.clear(columns, f.width);
  float bias_sum = 0;  // of channel threadIdx.x: gates, then ups
  for (long row0 = begin; row0 < end; row0 += S::kRows) {
    stage_rows<S, T>(rows, x, grid, row0, end, f.width);
    stage_rows<S, T>(slopes, dy, grid, row0, end, f.width);
    __syncthreads();
    const int count = rows_of<S>(end, row0);
    inner_gradients<S, T>(dgate, dup, h, rows, slopes, w, f, first, count);
    __syncthreads();
    multiply_tile<true, false, S::kWide, S::kShort>(gate_sums, rows, dgate, count);
    multiply_tile<true, false, S::kWide, S::kShort>(up_sums, rows, dup, count);
    multiply_tile<true, false, S::kShort, S::kWide>(down_sums, h, slopes, count);
    const int channel = static_cast<int>(threadIdx.x);
    if (bias && channel < 2 * S::kSlice) {
      const T* column = channel < S::kSlice ? dgate + channel : dup + channel - S::kSlice;
      for (int r = 0; r < S::kRows; ++r) bias_sum += to_float(column[r * S::kShort]);
    }
    __syncthreads();
  }
  const long part = blockIdx.y;
  gate_sums.each([&](int row, int column, int i, int j, int e) {
    if (row >= f.width || first + column >= f.inner) return;
    float* to = gate_up + (part * f.width + row) * 2 * f.inner + first + column;
    to[0] = gate_sums.x[i][j][e];
    to[f.inner] = up_sums.x[i][j][e];
  });
  down_sums.each([&](int row, int column, int i, int j, int e) {
    if (first + row < f.inner && column < f.width)
      down[(part * f.inner + first + row) * f.width + column] = down_sums.x[i][j][e];
  });
  const int channel = static_cast<int>(threadIdx.x) % S::kSlice,
            which = static_cast<int>(threadIdx.x) / S::kSlice;
  if (bias && which < 2 && first + channel < f.inner)
    bias[part * 2 * f.inner + which * f.inner + first + channel] = bias_sum;
}

// run(Sizes) for the narrowest tile that takes the width
template <class T, class F>
void by_width(int width, F run) {
  if (width <= 64)
    run(Sizes<T, 64>());
  else if (width <= 128)
    run(Sizes<T, 128>());
  else
    run(Sizes<T, 256>());
}

constexpr long kBlocks = 264;      // that a sum over rows aims at: two for each SM of an H200
constexpr long kLeastShare = 256;  // rows of one such block

// Of the shapes only, so that the order of the sum is, too.
long share_of(Grid grid, int inner) {
  const long slices = blocks_of(inner, 32), shares = std::max(1L, kBlocks / slices);
  const long wanted = (grid.count() + shares - 1) / shares;
  return std::max(kLeastShare, (wanted + 63) / 64 * 64);
}
int shares_of(Grid grid, int inner) {
  return static_cast<int>(blocks_of(grid.count(), static_cast<int>(share_of(grid, inner))));
}

}  // namespace

template <class T>
void feedforward_forward(View<T> y, View<const T> x, View<const T> other, const FeedForward& f, Grid grid,
                         cudaStream_t stream) {
  if (grid.count() == 0) return;
  by_width<T>(f.width, [&](auto sizes) {
    using S = decltype(sizes);
    allow_shared(forward_kernel<T, S::kWidth>, S::kForward);
    EMISOPT_LAUNCH((forward_kernel<T, S::kWidth>), blocks_of(grid.count(), S::kRows), S::kThreads,
                   S::kForward, stream, y, x, other, f, grid);
  });
}

template <class T>
void feedforward_backward(View<T> dx, View<const T> dy, View<const T> x, const FeedForward& f, Grid grid,
                          bool accumulate, cudaStream_t stream) {
  if (grid.count() == 0) return;
  by_width<T>(f.width, [&](auto sizes) {
    using S = decltype(sizes);
    allow_shared(backward_kernel<T, S::kWidth>, S::kBackward);
    EMISOPT_LAUNCH((backward_kernel<T, S::kWidth>), blocks_of(grid.count(), S::kRows), S::kThreads,
                   S::kBackward, stream, dx, dy, x, f, grid, accumulate);
  });
}

template <class T>
FeedForwardBytes feedforward_bytes(int width) {
  FeedForwardBytes bytes;
  by_width<T>(width, [&](auto sizes) {
    using S = decltype(sizes);
    bytes = {S::kForward, S::kBackward, S::kOverRows};
  });
  return bytes;
}

std::size_t feedforward_partials(Grid grid, int width, int inner) {
  return 1ul * static_cast<std::size_t>(shares_of(grid, inner)) * static_cast<std::size_t>(inner) *
         static_cast<std::size_t>(3 * width + 2);
}

template <class T>
void feedforward_over_rows(const FeedForwardSlopes& to, float* partial, View<const T> dy, View<const T> x,
                           const FeedForward& f, Grid grid, cudaStream_t stream) {
  if (grid.count() == 0) return;
  const int shares = shares_of(grid, f.inner), size = f.width * f.inner;
  float* const down = partial + 2L * shares * size;
  float* const bias = to.gate_up_bias ? down + 1L * shares * size : nullptr;
  by_width<T>(f.width, [&](auto sizes) {
    using S = decltype(sizes);
    allow_shared(over_rows_kernel<T, S::kWidth>, S::kOverRows);
    const dim3 blocks(blocks_of(f.inner, S::kSlice), static_cast<unsigned>(shares));
    EMISOPT_LAUNCH((over_rows_kernel<T, S::kWidth>), blocks, S::kThreads, S::kOverRows, stream, partial, down,
                   bias, dy, x, f, grid, share_of(grid, f.inner));
  });
  if (to.gate_up) add_partials(to.gate_up, partial, shares, 2 * size, true, stream);
  if (to.down) add_partials(to.down, down, shares, size, true, stream);
  if (bias) add_partials(to.gate_up_bias, bias, shares, 2 * f.inner, true, stream);
}

#define EMISOPT_INSTANTIATE(T)                                                                              \
  template void feedforward_forward(View<T>, View<const T>, View<const T>, const FeedForward&, Grid,        \
                                    cudaStream_t);                                                          \
  template FeedForwardBytes feedforward_bytes<T>(int);                                                      \
  template void feedforward_backward(View<T>, View<const T>, View<const T>, const FeedForward&, Grid, bool, \
                                     cudaStream_t);                                                         \
  template void feedforward_over_rows(const FeedForwardSlopes&, float*, View<const T>, View<const T>,       \
                                      const FeedForward&, Grid, cudaStream_t);
EMISOPT_INSTANTIATE(float)
EMISOPT_INSTANTIATE(__nv_bfloat16)

}  // namespace emisopt::kernels::cuda
