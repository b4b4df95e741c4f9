// Prefix-causal attention (kernels/ref/attention.hpp is the definition): one block per window and key head,
// all of its keys and values in shared memory at once, which at 256 keys is what an SM has room for.
//
// Forward: a warp per query row; lanes over keys for the scores, then over channels for the mean of values.
// Kept is one number per row, log sum exp. Backward makes the probabilities anew, twice: by query row for dq,
// then by key row for dk and dv, where queries and their gradients take the place of keys and values in
// shared memory. So every sum has one owner and an order, and there are no atomics.
#include <algorithm>
#include <cmath>

#include "kernels/cuda/device.hpp"

namespace emisopt::kernels::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * kLanes;
constexpr int kMaxKeys = 256, kMaxHeadDim = 128;

// Rows of shared memory are one float longer than they need to be: lanes that read one channel of 32 rows
// then meet 32 banks.
__device__ __forceinline__ int stride_of(int head_dim) { return head_dim + 1; }

// What a block works on: columns of its heads and where rows of x lie.
template <class T>
struct Block {
  Attention<T> a;
  int window, kv, group;  // group: query heads that share the key head
  __device__ explicit Block(const Attention<T>& args)
      : a(args),
        window(static_cast<int>(blockIdx.x) / args.kv_heads),
        kv(static_cast<int>(blockIdx.x) % args.kv_heads),
        group(args.heads / args.kv_heads) {}
  __device__ const T* row(int key) const {
    const long width = a.width();
    return key < a.past ? a.past_x.data + window * a.past_x.window + key * width
                        : a.x.data + window * a.x.window + (key - a.past) * width;
  }
  __device__ int q_column(int member) const { return (kv * group + member) * a.head_dim; }
  __device__ int k_column() const { return (a.heads + kv) * a.head_dim; }
  __device__ int v_column() const { return (a.heads + a.kv_heads + kv) * a.head_dim; }
  __device__ long lse_at(int member) const {
    return (static_cast<long>(window) * a.heads + kv * group + member) * a.queries();
  }
};

// k, v (keys, stride): the block's keys and values as float
template <class T>
__device__ void load_keys(const Block<T>& b, float* k, float* v) {
  const int hd = b.a.head_dim, stride = stride_of(hd), total = b.a.keys() * hd;
  for (int at = static_cast<int>(threadIdx.x); at < total; at += kThreads) {
    const int j = at / hd, c = at % hd;
    const T* row = b.row(j);
    k[j * stride + c] = to_float(row[b.k_column() + c]);
    v[j * stride + c] = to_float(row[b.v_column() + c]);
  }
}

// sum over channels of a[c] b[c]
__device__ __forceinline__ float dot(const float* a, const float* b, int count) {
  float sum = 0;
  for (int c = 0; c < count; ++c) sum += a[c] * b[c];
  return sum;
}

template <class T>
__global__ void __launch_bounds__(kThreads) attention_forward_kernel(View<T> y, float* lse, Attention<T> a) {
  EMISOPT_DYNAMIC_SHARED(float, shared);
  const Block<T> b(a);
  const int hd = a.head_dim, stride = stride_of(hd), keys = a.keys();
  const int warp = static_cast<int>(threadIdx.x) / kLanes, lane = static_cast<int>(threadIdx.x) % kLanes;
  float* k = shared;
  float* v = k + keys * stride;
  float* q = v + keys * stride + warp * (hd + keys);  // of the warp's row, then its probabilities
  float* p = q + hd;
  load_keys(b, k, v);
  __syncthreads();
  const float scale = rsqrtf(static_cast<float>(hd));
  for (int item = warp; item < b.group * a.queries(); item += kWarps) {
    const int member = item / a.queries(), i = item % a.queries();
    const int seen = a.past + a.first + i + 1;
    const T* row = b.row(seen - 1) + b.q_column(member);
    for (int c = lane; c < hd; c += kLanes) q[c] = to_float(row[c]);
    __syncwarp();
    float top = -INFINITY;
    for (int j = lane; j < seen; j += kLanes) {
      p[j] = dot(q, k + j * stride, hd) * scale;
      top = fmaxf(top, p[j]);
    }
    top = warp_max(top);
    float sum = 0;
    for (int j = lane; j < seen; j += kLanes) {
      p[j] = expf(p[j] - top);
      sum += p[j];
    }
    sum = warp_sum(sum);
    __syncwarp();
    T* to = y.data + b.window * y.window + (static_cast<long>(i) * a.heads + b.kv * b.group + member) * hd;
    for (int c = lane; c < hd; c += kLanes) {
      float mean = 0;
      for (int j = 0; j < seen; ++j) mean += p[j] * v[j * stride + c];
      to[c] = from_float<T>(mean / sum);
    }
    if (lse && lane == 0) lse[b.lse_at(member) + i] = top + logf(sum);
    __syncwarp();  // before q and p are written for the next row
  }
}

// dq of each query row, and dot = dy . y, which is the sum of p dp. Keys and values in shared memory.
template <class T>
__global__ void __launch_bounds__(kThreads)
    query_gradients_kernel(View<T> dx, View<const T> dy, View<const T> y, const float* lse, float* dots,
                           Attention<T> a) {
  EMISOPT_DYNAMIC_SHARED(float, shared);
  const Block<T> b(a);
  const int hd = a.head_dim, stride = stride_of(hd), keys = a.keys();
  const int warp = static_cast<int>(threadIdx.x) / kLanes, lane = static_cast<int>(threadIdx.x) % kLanes;
  float* k = shared;
  float* v = k + keys * stride;
  float* q = v + keys * stride + warp * (2 * hd + keys);
  float* dyi = q + hd;
  float* ds = dyi + hd;  // (keys)
  load_keys(b, k, v);
  __syncthreads();
  const float scale = rsqrtf(static_cast<float>(hd));
  for (int item = warp; item < b.group * a.queries(); item += kWarps) {
    const int member = item / a.queries(), i = item % a.queries();
    const int seen = a.past + a.first + i + 1;
    const T* row = b.row(seen - 1) + b.q_column(member);
    const long head = (static_cast<long>(i) * a.heads + b.kv * b.group + member) * hd;
    const T* dy_row = dy.data + b.window * dy.window + head;
    const T* y_row = y.data + b.window * y.window + head;
    float mean = 0;
    for (int c = lane; c < hd; c += kLanes) {
      q[c] = to_float(row[c]);
      dyi[c] = to_float(dy_row[c]);
      mean += dyi[c] * to_float(y_row[c]);
    }
    mean = warp_sum(mean);
    __syncwarp();
    const float log_sum = lse[b.lse_at(member) + i];
    if (lane == 0) dots[b.lse_at(member) + i] = mean;
    for (int j = lane; j < seen; j += kLanes) {
      const float p = expf(dot(q, k + j * stride, hd) * scale - log_sum);
      ds[j] = p * (dot(dyi, v + j * stride, hd) - mean) * scale;
    }
    __syncwarp();
    T* to = dx.data + b.window * dx.window + static_cast<long>(a.first + i) * a.width() + b.q_column(member);
    for (int c = lane; c < hd; c += kLanes) {
      float sum = 0;
      for (int j = 0; j < seen; ++j) sum += ds[j] * k[j * stride + c];
      to[c] = from_float<T>(to_float(to[c]) + sum);
    }
    __syncwarp();
  }
}

// dk and dv of each key row, own ones and, if wanted, the past's, over the query rows that see it and the
// heads of its group.
template <class T>
__global__ void __launch_bounds__(kThreads)
    key_gradients_kernel(View<T> dx, View<T> dpast, View<const T> dy, const float* lse, const float* dots,
                         Attention<T> a) {
  EMISOPT_DYNAMIC_SHARED(float, shared);
  const Block<T> b(a);
  const int hd = a.head_dim, stride = stride_of(hd), queries = a.queries();
  const int warp = static_cast<int>(threadIdx.x) / kLanes, lane = static_cast<int>(threadIdx.x) % kLanes;
  float* q = shared;
  float* g = q + queries * stride;                              // dy
  float* k = g + queries * stride + warp * 2 * (hd + queries);  // of the warp's key, then ds and p
  float* v = k + hd;
  float* ds = v + hd;
  float* p = ds + queries;
  const float scale = rsqrtf(static_cast<float>(hd));
  for (int member = 0; member < b.group; ++member) {
    __syncthreads();  // the head before is done with q and g
    for (int at = static_cast<int>(threadIdx.x); at < queries * hd; at += kThreads) {
      const int i = at / hd, c = at % hd;
      q[i * stride + c] = to_float(b.row(a.past + a.first + i)[b.q_column(member) + c]);
      g[i * stride + c] =
          to_float(dy.data[b.window * dy.window +
                           (static_cast<long>(i) * a.heads + b.kv * b.group + member) * hd + c]);
    }
    __syncthreads();
    for (int j = (dpast.data ? 0 : a.past) + warp; j < a.keys(); j += kWarps) {
      const T* row = b.row(j);
      for (int c = lane; c < hd; c += kLanes) {
        k[c] = to_float(row[b.k_column() + c]);
        v[c] = to_float(row[b.v_column() + c]);
      }
      __syncwarp();
      const int begin = j > a.past + a.first ? j - a.past - a.first : 0;  // the first query that sees key j
      for (int i = begin + lane; i < queries; i += kLanes) {
        const long at = b.lse_at(member) + i;
        p[i] = expf(dot(q + i * stride, k, hd) * scale - lse[at]);
        ds[i] = p[i] * (dot(g + i * stride, v, hd) - dots[at]) * scale;
      }
      __syncwarp();
      T* to = j < a.past ? dpast.data + b.window * dpast.window + static_cast<long>(j) * a.width()
                         : dx.data + b.window * dx.window + static_cast<long>(j - a.past) * a.width();
      for (int c = lane; c < hd; c += kLanes) {
        float dk = 0, dv = 0;
        for (int i = begin; i < queries; ++i) {
          dk += ds[i] * q[i * stride + c];
          dv += p[i] * g[i * stride + c];
        }
        T *to_k = to + b.k_column() + c, *to_v = to + b.v_column() + c;
        *to_k = from_float<T>(to_float(*to_k) + dk);
        *to_v = from_float<T>(to_float(*to_v) + dv);
      }
      __syncwarp();
    }
  }
}

std::size_t forward_bytes(int head_dim, int keys) {
  return sizeof(float) * (2ul * keys * (head_dim + 1) + kWarps * (head_dim + keys));
}
std::size_t query_bytes(int head_dim, int keys) {
  return sizeof(float) * (2ul * keys * (head_dim + 1) + kWarps * (2 * head_dim + keys));
}
std::size_t key_bytes(int head_dim, int queries) {
  return sizeof(float) * (2ul * queries * (head_dim + 1) + kWarps * 2ul * (head_dim + queries));
}

}  // namespace

template <class T>
const char* attention_refusal(const Attention<T>& a) {
  if (a.keys() > kMaxKeys) return "more than 256 keys";
  if (a.head_dim > kMaxHeadDim) return "heads wider than 128";
  const std::size_t bytes = std::max(query_bytes(a.head_dim, a.keys()), key_bytes(a.head_dim, a.queries()));
  if (bytes > block_shared_bytes())
    return "keys and values that do not fit the shared memory of a multiprocessor";
  return nullptr;
}

template <class T>
void attention_forward(View<T> y, float* lse, const Attention<T>& a, cudaStream_t stream) {
  if (a.windows == 0 || a.queries() == 0) return;
  const std::size_t bytes = forward_bytes(a.head_dim, a.keys());
  allow_shared(attention_forward_kernel<T>, bytes);
  EMISOPT_LAUNCH((attention_forward_kernel<T>), static_cast<unsigned>(a.windows * a.kv_heads), kThreads,
                 bytes, stream, y, lse, a);
}

template <class T>
void attention_backward(View<T> dx, View<T> dpast, View<const T> dy, View<const T> y, const float* lse,
                        float* dots, const Attention<T>& a, cudaStream_t stream) {
  if (a.windows == 0 || a.queries() == 0) return;
  const auto blocks = static_cast<unsigned>(a.windows * a.kv_heads);
  const std::size_t for_queries = query_bytes(a.head_dim, a.keys()),
                    for_keys = key_bytes(a.head_dim, a.queries());
  allow_shared(query_gradients_kernel<T>, for_queries);
  allow_shared(key_gradients_kernel<T>, for_keys);
  EMISOPT_LAUNCH((query_gradients_kernel<T>), blocks, kThreads, for_queries, stream, dx, dy, y, lse, dots, a);
  EMISOPT_LAUNCH((key_gradients_kernel<T>), blocks, kThreads, for_keys, stream, dx, dpast, dy, lse, dots, a);
}

#define EMISOPT_INSTANTIATE(T)                                                                           \
  template const char* attention_refusal(const Attention<T>&);                                           \
  template void attention_forward(View<T>, float*, const Attention<T>&, cudaStream_t);                   \
  template void attention_backward(View<T>, View<T>, View<const T>, View<const T>, const float*, float*, \
                                   const Attention<T>&, cudaStream_t);
EMISOPT_INSTANTIATE(float)
EMISOPT_INSTANTIATE(__nv_bfloat16)

}  // namespace emisopt::kernels::cuda
