// Attention linearised at one window, for many gradients or tangents (many.hpp; ref/attention.hpp is the
// definition). With q, k, v and the probabilities given, a row's dq is linear in its dy: one matrix per head
// and row, made once, in which the past's keys are contained. What remains per gradient are the pairs of own
// rows, (t + 1)(t + 2) / 2 of them for step t. Every sum has one owner; no atomics.
#include <cmath>

#include "kernels/cuda/device.hpp"
#include "kernels/cuda/many.hpp"

namespace emisopt::kernels::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / kLanes;
constexpr int kKeys = 32;                   // keys whose k and v lie in shared memory at a time
constexpr int kEach = 16;                   // entries of a map per thread
constexpr int kEntries = kEach * kThreads;  // per block: a whole map of head_dim 64
constexpr int kRowsPerBlock = 64;           // that go through one map

// A block per head, own row and part of its map.
__global__ void __launch_bounds__(kThreads)
    maps_kernel(float* maps, float* p, const float* y, const float* lse, Attention<float> a, bool turned) {
  EMISOPT_DYNAMIC_SHARED(float, k);  // (kKeys, head_dim)
  const int hd = a.head_dim, head = static_cast<int>(blockIdx.y), i = static_cast<int>(blockIdx.x);
  const int thread = static_cast<int>(threadIdx.x), warp = thread / kLanes, lane = thread % kLanes;
  float* v = k + kKeys * hd;  // less y
  float* q = v + kKeys * hd;  // (head_dim), scaled
  float* weight = q + hd;     // (kKeys): probabilities
  const int kv = head / (a.heads / a.kv_heads), seen = a.past + i + 1;
  const long width = a.width(), out = static_cast<long>(a.heads) * hd;
  const float scale = rsqrtf(static_cast<float>(hd)), log_sum = lse[static_cast<long>(head) * a.rows + i];
  const float* yi = y + i * out + static_cast<long>(head) * hd;
  for (int c = thread; c < hd; c += kThreads)
    q[c] = a.x.data[i * width + static_cast<long>(head) * hd + c] * scale;
  // Entries of this thread that exist: the same number for all, or one more than there are.
  const int left = hd * hd - static_cast<int>(blockIdx.z) * kEntries,
            parts = (left + kThreads - 1) / kThreads;
  int of_v[kEach], of_k[kEach];  // an entry's channels
  float sum[kEach] = {};
  for (int e = 0; e < kEach; ++e) {
    const int entry = static_cast<int>(blockIdx.z) * kEntries + e * kThreads + thread;
    const int row = entry < hd * hd ? entry / hd : 0, column = entry < hd * hd ? entry % hd : 0;
    of_v[e] = turned ? column : row;
    of_k[e] = turned ? row : column;
  }
  for (int j0 = 0; j0 < seen; j0 += kKeys) {
    const int keys = seen - j0 < kKeys ? seen - j0 : kKeys;
    __syncthreads();  // q is there, and all are done with the keys before
    for (int at = thread; at < keys * hd; at += kThreads) {
      const int j = j0 + at / hd, c = at % hd;
      const float* row = j < a.past ? a.past_x.data + j * width : a.x.data + (j - a.past) * width;
      k[at] = row[(a.heads + kv) * hd + c];
      v[at] = row[(a.heads + a.kv_heads + kv) * hd + c] - yi[c];
    }
    __syncthreads();
    for (int j = warp; j < keys; j += kWarps) {
      float score = 0;
      for (int c = lane; c < hd; c += kLanes) score += q[c] * k[j * hd + c];
      score = expf(warp_sum(score) - log_sum);
      if (lane) continue;
      weight[j] = score * scale;
      const int own = j0 + j - a.past;
      if (own >= 0 && blockIdx.z == 0) p[(static_cast<long>(head) * a.rows + i) * a.rows + own] = score;
    }
    __syncthreads();
    for (int j = 0; j < keys; ++j)
      for (int e = 0; e < kEach; ++e)
        if (e < parts) sum[e] += weight[j] * v[j * hd + of_v[e]] * k[j * hd + of_k[e]];
  }
  float* to = maps + (static_cast<long>(head) * a.rows + i) * hd * hd;
  for (int e = 0; e < kEach; ++e) {
    const int entry = static_cast<int>(blockIdx.z) * kEntries + e * kThreads + thread;
    if (entry < hd * hd) to[entry] = sum[e];
  }
}

// A block per step, head and share of the step's rows; a warp per row.
__global__ void __launch_bounds__(kThreads)
    map_rows_kernel(float* to, int to_width, const float* from, int from_width, const float* maps,
                    RowsByStep list, int steps, int hd, bool accumulate) {
  EMISOPT_DYNAMIC_SHARED(float, map);  // (head_dim, head_dim)
  const int thread = static_cast<int>(threadIdx.x), warp = thread / kLanes, lane = thread % kLanes;
  const int step = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y);
  float* row = map + hd * hd + warp * hd;
  const int begin = list.begin[step] + static_cast<int>(blockIdx.z) * kRowsPerBlock;
  const int all = list.begin[step + 1], end = begin + kRowsPerBlock < all ? begin + kRowsPerBlock : all;
  if (begin >= all) return;  // the whole block
  const float* m = maps + (static_cast<long>(head) * steps + step) * hd * hd;
  for (int at = thread; at < hd * hd; at += kThreads) map[at] = m[at];
  __syncthreads();
  for (int i = begin + warp; i < end; i += kWarps) {
    const float* in = from + static_cast<long>(list.from[i]) * from_width + head * hd;
    float* out = to + static_cast<long>(list.to[i]) * to_width + head * hd;
    for (int c = lane; c < hd; c += kLanes) row[c] = in[c];
    __syncwarp();
    for (int c = lane; c < hd; c += kLanes) {
      float sum = 0;
      for (int e = 0; e < hd; ++e) sum += row[e] * map[e * hd + c];
      out[c] = accumulate ? out[c] + sum : sum;
    }
    __syncwarp();  // before the next row is written
  }
}

// A block per window and key head, a warp per key: its queries are the window's rows from the key's on.
__global__ void __launch_bounds__(kThreads)
    pairs_backward_kernel(float* dx, const float* dy, bool single, Linearised at, Attention<float> a,
                          PackedWindows windows) {
  EMISOPT_DYNAMIC_SHARED(float, g);  // dy (queries, head_dim + 1)
  const int hd = a.head_dim, stride = hd + 1, group = a.heads / a.kv_heads;
  const int w = static_cast<int>(blockIdx.x) / a.kv_heads, kv = static_cast<int>(blockIdx.x) % a.kv_heads;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / kLanes, lane = thread % kLanes;
  const int last = windows.last[w], first = single ? last : 0, queries = last + 1 - first;
  const long width = a.width(), out = static_cast<long>(a.heads) * hd, row0 = windows.offset[w];
  float* mean = g + a.rows * stride;                    // (queries): dy . y
  float* v = mean + a.rows + warp * (hd + 2 * a.rows);  // of the warp's key
  float* ds = v + hd;
  float* ps = ds + a.rows;
  const float scale = rsqrtf(static_cast<float>(hd));
  for (int member = 0; member < group; ++member) {
    const int head = kv * group + member;
    __syncthreads();  // the head before is done with g
    for (int i = warp; i < queries; i += kWarps) {
      const float* from = dy + ((single ? w : row0) + i) * out + head * hd;
      const float* yi = at.y + (first + i) * out + head * hd;
      float dot = 0;
      for (int c = lane; c < hd; c += kLanes) {
        g[i * stride + c] = from[c];
        dot += from[c] * yi[c];
      }
      dot = warp_sum(dot);
      if (lane == 0) mean[i] = dot;
    }
    __syncthreads();
    for (int j = warp; j <= last; j += kWarps) {
      const float* key = a.x.data + j * width;
      for (int c = lane; c < hd; c += kLanes) v[c] = key[(a.heads + a.kv_heads + kv) * hd + c];
      __syncwarp();
      const int begin = j > first ? j - first : 0;  // the first query that sees key j
      for (int i = begin + lane; i < queries; i += kLanes) {
        float dp = 0;
        for (int c = 0; c < hd; ++c) dp += g[i * stride + c] * v[c];
        ps[i] = at.p[(static_cast<long>(head) * a.rows + first + i) * a.rows + j];
        ds[i] = ps[i] * (dp - mean[i]) * scale;
      }
      __syncwarp();
      float* to = dx + (row0 + j) * width;
      for (int c = lane; c < hd; c += kLanes) {
        float dk = 0, dv = 0;
        for (int i = begin; i < queries; ++i) {
          dk += ds[i] * a.x.data[(first + i) * width + head * hd + c];
          dv += ps[i] * g[i * stride + c];
        }
        to[(a.heads + kv) * hd + c] += dk;
        to[(a.heads + a.kv_heads + kv) * hd + c] += dv;
      }
      __syncwarp();
    }
  }
}

// A block per window and key head, a warp per query: its keys are the window's rows up to its own.
__global__ void __launch_bounds__(kThreads) pairs_tangent_kernel(float* dy, const float* dx, Linearised at,
                                                                 Attention<float> a, PackedWindows windows) {
  EMISOPT_DYNAMIC_SHARED(float, dk);  // (rows, head_dim + 1)
  const int hd = a.head_dim, stride = hd + 1, group = a.heads / a.kv_heads;
  const int w = static_cast<int>(blockIdx.x) / a.kv_heads, kv = static_cast<int>(blockIdx.x) % a.kv_heads;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / kLanes, lane = thread % kLanes;
  const long width = a.width(), out = static_cast<long>(a.heads) * hd, row0 = windows.offset[w];
  const int rows = windows.offset[w + 1] - windows.offset[w], first = a.rows - rows;
  float* q = dk + a.rows * stride + warp * (hd + 2 * a.rows);
  float* ds = q + hd;
  float* ps = ds + a.rows;
  const int k_column = (a.heads + kv) * hd, v_column = (a.heads + a.kv_heads + kv) * hd;
  for (int item = thread; item < rows * hd; item += kThreads)
    dk[item / hd * stride + item % hd] = dx[(row0 + item / hd) * width + k_column + item % hd];
  __syncthreads();
  const float scale = rsqrtf(static_cast<float>(hd));
  for (int item = warp; item < group * rows; item += kWarps) {
    const int head = kv * group + item / rows, i = item % rows;
    const float* own = a.x.data + (first + i) * width + head * hd;
    for (int c = lane; c < hd; c += kLanes) q[c] = own[c];
    __syncwarp();
    for (int j = lane; j <= i; j += kLanes) {
      float dot = 0;
      for (int c = 0; c < hd; ++c) dot += q[c] * dk[j * stride + c];
      ps[j] = at.p[(static_cast<long>(head) * a.rows + first + i) * a.rows + first + j];
      ds[j] = ps[j] * dot * scale;
    }
    __syncwarp();
    const float* yi = at.y + (first + i) * out + head * hd;
    float* to = dy + (row0 + i) * out + head * hd;
    for (int c = lane; c < hd; c += kLanes) {
      float sum = 0;
      for (int j = 0; j <= i; ++j)
        sum += ds[j] * (a.x.data[(first + j) * width + v_column + c] - yi[c]) +
               ps[j] * dx[(row0 + j) * width + v_column + c];
      to[c] += sum;
    }
    __syncwarp();
  }
}

}  // namespace

void attention_maps(float* maps, float* p, const float* y, const float* lse, const Attention<float>& a,
                    bool turned, cudaStream_t stream) {
  const int hd = a.head_dim;
  const dim3 blocks(static_cast<unsigned>(a.rows), static_cast<unsigned>(a.heads),
                    blocks_of(static_cast<long>(hd) * hd, kEntries));
  const std::size_t bytes = sizeof(float) * (2ul * kKeys * hd + hd + kKeys);
  EMISOPT_LAUNCH(maps_kernel, blocks, kThreads, bytes, stream, maps, p, y, lse, a, turned);
}

void map_rows(float* to, int to_width, const float* from, int from_width, const float* maps, RowsByStep list,
              int steps, int heads, int head_dim, bool accumulate, cudaStream_t stream) {
  const dim3 blocks(static_cast<unsigned>(steps), static_cast<unsigned>(heads),
                    blocks_of(list.longest, kRowsPerBlock));
  const std::size_t bytes = sizeof(float) * (1ul * head_dim * head_dim + kWarps * head_dim);
  allow_shared(map_rows_kernel, bytes);
  EMISOPT_LAUNCH(map_rows_kernel, blocks, kThreads, bytes, stream, to, to_width, from, from_width, maps, list,
                 steps, head_dim, accumulate);
}

void pairs_backward(float* dx, const float* dy, bool single, const Linearised& at, const Attention<float>& a,
                    PackedWindows windows, cudaStream_t stream) {
  const std::size_t bytes =
      sizeof(float) * (1ul * a.rows * (a.head_dim + 1) + a.rows + 1ul * kWarps * (a.head_dim + 2 * a.rows));
  allow_shared(pairs_backward_kernel, bytes);
  EMISOPT_LAUNCH(pairs_backward_kernel, static_cast<unsigned>(windows.count * a.kv_heads), kThreads, bytes,
                 stream, dx, dy, single, at, a, windows);
}

void pairs_tangent(float* dy, const float* dx, const Linearised& at, const Attention<float>& a,
                   PackedWindows windows, cudaStream_t stream) {
  const std::size_t bytes =
      sizeof(float) * (1ul * a.rows * (a.head_dim + 1) + 1ul * kWarps * (a.head_dim + 2 * a.rows));
  allow_shared(pairs_tangent_kernel, bytes);
  EMISOPT_LAUNCH(pairs_tangent_kernel, static_cast<unsigned>(windows.count * a.kv_heads), kThreads, bytes,
                 stream, dy, dx, at, a, windows);
}

}  // namespace emisopt::kernels::cuda
