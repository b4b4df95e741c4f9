// A control tick's ops for a few rows (tick.hpp). Weights come straight from the L2 cache, each of them once
// per block; the inner dimension of a product is shared out among as many threads as there are, and the
// shares are added in order.
#include <cmath>

#include "kernels/cuda/device.hpp"
#include "kernels/cuda/tick.hpp"
#include "kernels/cuda/tick_block.hpp"
#include "kernels/cuda/tick_heads.hpp"

namespace emisopt::kernels::cuda {
namespace {

using namespace tape;

// acc[r] += x[r][l ...] w[l ...][column], kEach terms: their weights are on their way together.
template <int R, int kEach>
__device__ __forceinline__ void take_terms(float (&acc)[R], const float* x, int line, const float* w,
                                           long n) {
  float weight[kEach];
#pragma unroll
  for (int e = 0; e < kEach; ++e) weight[e] = w[e * n];
#pragma unroll
  for (int r = 0; r < R; ++r) {
    if constexpr (kEach == 1) {
      acc[r] += x[r * line] * weight[0];
    } else {
#pragma unroll
      for (int e = 0; e < kEach; e += 4) {
        const float4 v = *reinterpret_cast<const float4*>(x + r * line + e);
        acc[r] += v.x * weight[e] + v.y * weight[e + 1] + v.z * weight[e + 2] + v.w * weight[e + 3];
      }
    }
  }
}

template <int R>
__device__ void linear(const TickStep& s, const Rows<R>& rows) {
  const int k = s.x_width, n = s.y_width, line = tick_line(k);
  const float* x = rows.line(s.x, 0, k);
  const auto finish = [&](int r, int column, float sum) {
    put(rows.line(s.y, r, n)[column], sum + (s.b ? s.b[column] : 0.0f), s.accumulate);
  };
  for (int first = 0; first < n; first += kThreads) {
    const int count = smaller(n - first, kThreads), padded = (count + kLanes - 1) / kLanes * kLanes;
    const int ways = kThreads / padded, share = tick_line((k + ways - 1) / ways);
    const int way = thread() / padded, own = thread() % padded;
    const bool works = way < ways && own < count;
    float acc[R] = {};
    if (works) {
      int l = smaller(way * share, k);
      const int end = smaller(l + share, k);
      const float* w = s.w + first + own;
      for (; l + 16 <= end; l += 16) take_terms<R, 16>(acc, x + l, line, w + static_cast<long>(l) * n, n);
      for (; l + 4 <= end; l += 4) take_terms<R, 4>(acc, x + l, line, w + static_cast<long>(l) * n, n);
      for (; l < end; ++l) take_terms<R, 1>(acc, x + l, line, w + static_cast<long>(l) * n, n);
    }
    if (ways == 1) {
      if (works)
#pragma unroll
        for (int r = 0; r < R; ++r) finish(r, first + own, acc[r]);
      continue;
    }
    if (works)
#pragma unroll
      for (int r = 0; r < R; ++r) rows.partial[(way * R + r) * padded + own] = acc[r];
    __syncthreads();
    for (int at = thread(); at < R * count; at += kThreads) {
      const int r = at / count, column = at % count;
      float sum = 0;
      for (int w = 0; w < ways; ++w) sum += rows.partial[(w * R + r) * padded + column];
      finish(r, first + column, sum);
    }
    __syncthreads();
  }
}

// Eight lanes per result go along a line of w together.
template <int R>
__device__ void turned(const TickStep& s, const Rows<R>& rows) {
  constexpr int kTogether = 8, kGroups = kThreads / kTogether;
  const int n = s.x_width, results = s.y_width, line = tick_line(n);
  const int group = thread() / kTogether, part = thread() % kTogether;
  const float* x = rows.line(s.x, 0, n);
  const bool fours = by_fours(s.w, n);
  for (int first = 0; first < results; first += kGroups) {
    const int own = first + group;
    float acc[R] = {};
    if (own < results) {
      const float* w = s.w + static_cast<long>(own) * n;
      if (fours) {
#pragma unroll 4
        for (int j = part * 4; j < n; j += kTogether * 4) {
          const float4 weight = *reinterpret_cast<const float4*>(w + j);
#pragma unroll
          for (int r = 0; r < R; ++r) {
            const float4 v = *reinterpret_cast<const float4*>(x + r * line + j);
            acc[r] += v.x * weight.x + v.y * weight.y + v.z * weight.z + v.w * weight.w;
          }
        }
      } else {
        for (int j = part; j < n; j += kTogether) {
          const float weight = w[j];
#pragma unroll
          for (int r = 0; r < R; ++r) acc[r] += x[r * line + j] * weight;
        }
      }
    }
#pragma unroll
    for (int r = 0; r < R; ++r) {
#pragma unroll
      for (int bits = kTogether / 2; bits > 0; bits /= 2) acc[r] += __shfl_xor_sync(kAllLanes, acc[r], bits);
      if (own < results && part == r) put(rows.line(s.y, r, results)[own], acc[r], s.accumulate);
    }
  }
}

template <int R>
__device__ void rmsnorm(const TickStep& s, const Rows<R>& rows) {
  const int r = thread() / kLanes, lane = thread() % kLanes, width = s.x_width;
  if (r >= R) return;  // whole warps
  const float* x = rows.line(s.x, r, width);
  float* y = rows.line(s.y, r, width);
  float squares = 0;
  for (int c = lane; c < width; c += kLanes) squares += x[c] * x[c];
  const float scale = rsqrtf(warp_sum(squares) / static_cast<float>(width) + s.eps);
  if (lane == 0) rows.line(s.x2, r, 1)[0] = scale;
  for (int c = lane; c < width; c += kLanes) y[c] = x[c] * scale * s.w[c];
}

template <int R>
__device__ void unnorm(const TickStep& s, const Rows<R>& rows) {
  const int r = thread() / kLanes, lane = thread() % kLanes, width = s.x_width;
  if (r >= R) return;
  const float *dy = rows.line(s.x, r, width), *x = rows.line(s.x2, r, width);
  float* dx = rows.line(s.y, r, width);
  float dot = 0;
  for (int c = lane; c < width; c += kLanes) dot += dy[c] * s.w[c] * x[c];
  const float scale = rows.line(s.x3, r, 1)[0];
  const float pull = scale * scale * scale * warp_sum(dot) / static_cast<float>(width);
  for (int c = lane; c < width; c += kLanes) put(dx[c], scale * dy[c] * s.w[c] - pull * x[c], s.accumulate);
}

template <int R>
__device__ void rope(const TickStep& s, const Rows<R>& rows) {
  const int half = s.head_dim / 2, pairs = s.heads * half, width = s.x_width;
  each<R>(width - pairs, [&](int r, int item) {
    const float* x = rows.line(s.x, r, width);
    float* y = rows.line(s.y, r, width);
    if (item >= pairs) {
      put(y[item + pairs], x[item + pairs], s.accumulate);
      return;
    }
    const int i = item % half, a = item / half * s.head_dim + i, b = a + half;
    const long angle = static_cast<long>(rows.in_window(r)) * half + i;
    const float cosine = s.w[angle], sine = s.inverse ? -s.b[angle] : s.b[angle];
    put(y[a], x[a] * cosine - x[b] * sine, s.accumulate);
    put(y[b], x[b] * cosine + x[a] * sine, s.accumulate);
  });
}

template <int R>
__device__ void swiglu(const TickStep& s, const Rows<R>& rows) {
  const int width = s.y_width;
  each<R>(width, [&](int r, int c) {
    const float* x = rows.line(s.x, r, 2 * width);
    rows.line(s.y, r, width)[c] = x[c] * sigmoid(x[c]) * x[width + c];
  });
}

template <int R>
__device__ void unswiglu(const TickStep& s, const Rows<R>& rows) {
  const int width = s.x_width;
  each<R>(width, [&](int r, int c) {
    const float* x = rows.line(s.x2, r, 2 * width);
    float* dx = rows.line(s.y, r, 2 * width);
    const float gate = x[c], up = x[width + c], d = rows.line(s.x, r, width)[c], o = sigmoid(gate);
    put(dx[c], d * up * o * (1.0f + gate * (1.0f - o)), s.accumulate);
    put(dx[width + c], d * gate * o, s.accumulate);
  });
}

template <int R>
__device__ void quantiles(const TickStep& s, const Rows<R>& rows) {
  each<R>(s.outputs, [&](int r, int output) {
    const float* raw = rows.line(s.x, r, s.x_width) + output * s.levels;
    float* q = rows.line(s.y, r, s.x_width) + output * s.levels;
    q[s.middle] = raw[s.middle];
    for (int l = s.middle + 1; l < s.levels; ++l) q[l] = q[l - 1] + softplus(raw[l]);
    for (int l = s.middle - 1; l >= 0; --l) q[l] = q[l + 1] - softplus(raw[l]);
  });
}

template <int R>
__device__ void unquantile(const TickStep& s, const Rows<R>& rows) {
  each<R>(s.outputs, [&](int r, int output) {
    const int at = output * s.levels;
    const float *dq = rows.line(s.x, r, s.x_width) + at, *raw = rows.line(s.x2, r, s.x_width) + at;
    float* draw = rows.line(s.y, r, s.x_width) + at;
    float all = dq[s.middle], beyond = 0;
    for (int l = s.levels - 1; l > s.middle; --l) {
      beyond += dq[l];
      put(draw[l], beyond * sigmoid(raw[l]), s.accumulate);
    }
    all += beyond;
    beyond = 0;
    for (int l = 0; l < s.middle; ++l) {
      beyond += dq[l];
      put(draw[l], -beyond * sigmoid(raw[l]), s.accumulate);
    }
    put(draw[s.middle], all + beyond, s.accumulate);
  });
}

template <int R>
__device__ void compute(const TickStep& s, const Rows<R>& rows) {
  switch (s.kind) {
    case TickKind::linear:
      return linear<R>(s, rows);
    case TickKind::turned:
      return turned<R>(s, rows);
    case TickKind::rmsnorm:
      return rmsnorm<R>(s, rows);
    case TickKind::unnorm:
      return unnorm<R>(s, rows);
    case TickKind::rope:
      return rope<R>(s, rows);
    case TickKind::sum:
      return each<R>(s.x_width, [&](int r, int c) {
        float& y = rows.line(s.y, r, s.x_width)[c];
        y = rows.line(s.x, r, s.x_width)[c] + (s.accumulate ? y : rows.line(s.x2, r, s.x_width)[c]);
      });
    case TickKind::copy:
      return each<R>(s.x_width, [&](int r, int c) {
        rows.line(s.y, r, s.x_width)[c] = rows.line(s.x, r, s.x_width)[c];
      });
    case TickKind::swiglu:
      return swiglu<R>(s, rows);
    case TickKind::unswiglu:
      return unswiglu<R>(s, rows);
    case TickKind::quantiles:
      return quantiles<R>(s, rows);
    case TickKind::unquantile:
      return unquantile<R>(s, rows);
    case TickKind::attend:
      return attend<R>(s, rows);
    case TickKind::unattend:
      return unattend<R>(s, rows);
    case TickKind::unkeys:
      return unkeys<R>(s, rows);
    case TickKind::load:
    case TickKind::store:
      return;  // below
  }
}

EMISOPT_BOTH int step_scalars(int steps) {
  return tick_line(static_cast<int>((steps * sizeof(TickStep) + sizeof(float) - 1) / sizeof(float)));
}

template <int R>
__global__ void __launch_bounds__(kThreads, 1) tick_kernel(TickTape tape, Grid grid) {
  EMISOPT_DYNAMIC_SHARED(float, shared);
  const int count = tape.loads + tape.computes + tape.stores;
  auto* steps = reinterpret_cast<TickStep*>(shared);
  for (int i = thread(); i < count; i += kThreads) steps[i] = tape.steps[i];
  Rows<R> rows;
  rows.partial = shared + step_scalars(count);
  rows.scores = rows.partial + R * kThreads;
  rows.values = rows.scores + R * tape.scores;
  rows.grid = grid;
  rows.first = static_cast<long>(blockIdx.x) * R;
  rows.count = grid.count() - rows.first < R ? static_cast<int>(grid.count() - rows.first) : R;
  const int warp = thread() / kLanes, lane = thread() % kLanes;
  __syncthreads();
  // a warp per value, so that all are on their way at once
  for (int i = warp; i < tape.loads; i += kWarps) {
    const TickStep& s = steps[i];
    for (int r = 0; r < R; ++r) {
      const float* from = s.from + (rows.first + r) * s.y_width;
      float* to = rows.line(s.y, r, s.y_width);
#pragma unroll 4
      for (int c = lane; c < s.y_width; c += kLanes) to[c] = r < rows.count ? from[c] : 0.0f;
    }
  }
  __syncthreads();
  for (int i = 0; i < tape.computes; ++i) {
    compute<R>(steps[tape.loads + i], rows);
    __syncthreads();
  }
  for (int i = warp; i < tape.stores; i += kWarps) {
    const TickStep& s = steps[tape.loads + tape.computes + i];
    for (int r = 0; r < rows.count; ++r) {
      const float* from = rows.line(s.x, r, s.x_width);
      float* to = s.to + (rows.first + r) * s.x_width;
      for (int c = lane; c < s.x_width; c += kLanes) to[c] = from[c];
    }
  }
}

template <int R>
void launch(const TickTape& tape, Grid grid, cudaStream_t stream) {
  const std::size_t bytes = tick_bytes(tape, R);
  allow_shared(tick_kernel<R>, bytes);
  EMISOPT_LAUNCH((tick_kernel<R>), blocks_of(grid.count(), R), kThreads, bytes, stream, tape, grid);
}

}  // namespace

// A block reads all weights, whatever its rows: while there are few, the L2 cache feeds a block to each.
int tick_rows(Grid grid) { return grid.count() <= 48 ? 1 : grid.count() <= 96 ? 2 : kTickRows; }

std::size_t tick_bytes(const TickTape& tape, int rows) {
  const int each = kThreads + tape.scores + tape.values;
  return sizeof(float) *
         static_cast<std::size_t>(step_scalars(tape.loads + tape.computes + tape.stores) + rows * each);
}

void tick(const TickTape& tape, Grid grid, cudaStream_t stream) {
  if (grid.count() == 0) return;
  switch (tick_rows(grid)) {
    case 1:
      return launch<1>(tape, grid, stream);
    case 2:
      return launch<2>(tape, grid, stream);
    default:
      return launch<kTickRows>(tape, grid, stream);
  }
}

}  // namespace emisopt::kernels::cuda
