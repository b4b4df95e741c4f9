// Private to tick.cu: attention of a block's rows, forward and backward. Keys and values of other rows are
// read where the launch before has put them.
#pragma once
#include <cmath>

#include "kernels/cuda/tick_block.hpp"

namespace emisopt::kernels::cuda::tape {

// One attention step of the block's rows.
template <int R>
struct Heads {
  const TickStep& s;
  const Rows<R>& rows;
  int width, channels, keys, group;
  float *q, *p;  // (R, channels), (R, heads, keys) in shared memory
  __device__ Heads(const TickStep& step, const Rows<R>& block)
      : s(step),
        rows(block),
        width((step.heads + 2 * step.kv_heads) * step.head_dim),
        channels(step.heads * step.head_dim),
        keys(step.past + block.grid.rows),
        group(step.heads / step.kv_heads),
        q(block.scores),
        p(block.scores + R * tick_line(channels)) {}
  __device__ int seen(int r) const { return r < rows.count ? s.past + rows.in_window(r) + 1 : 0; }
  /// Row `key` of [q | k | v] as row r sees it.
  __device__ const float* row(int r, int key) const {
    return key < s.past ? s.past_x + static_cast<long>(key) * width
                        : s.own_x + (rows.window(r) * rows.grid.rows + key - s.past) * width;
  }
  __device__ int k_column(int head) const { return channels + head / group * s.head_dim; }
  __device__ int v_column(int head) const { return k_column(head) + s.kv_heads * s.head_dim; }
  __device__ float* scores(int r, int head) const { return p + (r * s.heads + head) * keys; }
  __device__ long kept(int r, int head) const { return (rows.first + r) * s.heads + head; }

  // Every (row, head, key) that is seen: the product of q's head with a column of the key's row.
  template <class Column, class Put>
  __device__ void products(Column column, Put put_product) const {
    const bool fours = s.head_dim % 4 == 0 && width % 4 == 0 && by_fours(s.own_x, 0) &&
                       (s.past == 0 || by_fours(s.past_x, 0));
    each<R>(s.heads * keys, [&](int r, int at) {
      const int head = at / keys, key = at % keys;
      if (key >= seen(r)) return;
      const float *a = q + r * tick_line(channels) + head * s.head_dim, *b = row(r, key) + column(head);
      float sum = 0;
      if (fours)
#pragma unroll 4
        for (int c = 0; c < s.head_dim; c += 4) {
          const float4 u = *reinterpret_cast<const float4*>(a + c),
                       v = *reinterpret_cast<const float4*>(b + c);
          sum += u.x * v.x + u.y * v.y + u.z * v.z + u.w * v.w;
        }
      else
        for (int c = 0; c < s.head_dim; ++c) sum += a[c] * b[c];
      put_product(scores(r, head)[key], sum);
    });
  }
  // finish(row, channel, sum over keys of the score times a column of the key's row)
  template <class Column, class Finish>
  __device__ void means(Column column, Finish finish) const {
    in_shares(
        rows.partial, R * channels, keys,
        [&](int output, int begin, int end) {
          const int r = output / channels, head = output % channels / s.head_dim;
          const int at = column(head) + output % s.head_dim, last = smaller(end, seen(r));
          const float* score = scores(r, head);
          float sum = 0;
#pragma unroll 8
          for (int j = begin; j < last; ++j) sum += score[j] * row(r, j)[at];
          return sum;
        },
        [&](int output, float sum) { finish(output / channels, output % channels, sum); });
  }
  // visit(row, head) by whole warps
  template <class F>
  __device__ void by_warps(F visit) const {
    for (int item = thread() / kLanes; item < R * s.heads; item += kWarps) {
      const int r = item / s.heads;
      if (r < rows.count) visit(r, item % s.heads, thread() % kLanes);
    }
  }
};

template <int R>
__device__ void attend(const TickStep& s, const Rows<R>& rows) {
  const Heads<R> a(s, rows);
  each<R>(a.channels, [&](int r, int c) {
    if (r < rows.count) a.q[r * tick_line(a.channels) + c] = a.row(r, a.seen(r) - 1)[c];
  });
  __syncthreads();
  const float scale = rsqrtf(static_cast<float>(s.head_dim));
  a.products([&](int head) { return a.k_column(head); },
             [&](float& score, float dot) { score = dot * scale; });
  __syncthreads();
  a.by_warps([&](int r, int head, int lane) {
    float* p = a.scores(r, head);
    const int seen = a.seen(r);
    float top = -INFINITY, sum = 0;
    for (int j = lane; j < seen; j += kLanes) top = fmaxf(top, p[j]);
    top = warp_max(top);
    for (int j = lane; j < seen; j += kLanes) {
      p[j] = expf(p[j] - top);
      sum += p[j];
    }
    sum = warp_sum(sum);
    for (int j = lane; j < seen; j += kLanes) {
      p[j] /= sum;
      if (s.p) s.p[a.kept(r, head) * a.keys + j] = p[j];
    }
    if (s.lse && lane == 0)
      s.lse[(rows.window(r) * s.heads + head) * rows.grid.rows + rows.in_window(r)] = top + logf(sum);
  });
  __syncthreads();
  a.means([&](int head) { return a.v_column(head); },
          [&](int r, int c, float mean) { rows.line(s.y, r, a.channels)[c] = mean; });
}

template <int R>
__device__ void unattend(const TickStep& s, const Rows<R>& rows) {
  const Heads<R> a(s, rows);
  each<R>(a.channels, [&](int r, int c) {
    a.q[r * tick_line(a.channels) + c] = rows.line(s.x, r, a.channels)[c];  // the gradient takes q's place
  });
  __syncthreads();
  a.products([&](int head) { return a.v_column(head); }, [](float& dp, float dot) { dp = dot; });
  __syncthreads();
  const float scale = rsqrtf(static_cast<float>(s.head_dim));
  a.by_warps([&](int r, int head, int lane) {
    float* ds = a.scores(r, head);
    const float* p = s.p + a.kept(r, head) * a.keys;
    const int seen = a.seen(r);
    float mean = 0;
    for (int j = lane; j < seen; j += kLanes) mean += p[j] * ds[j];
    mean = warp_sum(mean);
    for (int j = lane; j < seen; j += kLanes) {
      ds[j] = p[j] * (ds[j] - mean) * scale;
      if (j >= s.past) s.ds[a.kept(r, head) * rows.grid.rows + j - s.past] = ds[j];
    }
  });
  __syncthreads();
  if (s.zero)
    each<R>(a.width - a.channels, [&](int r, int c) { rows.line(s.y, r, a.width)[a.channels + c] = 0; });
  a.means([&](int head) { return a.k_column(head); },
          [&](int r, int c, float sum) { put(rows.line(s.y, r, a.width)[c], sum, !s.zero); });
}

// Own keys and values, over the rows and heads that see them.
template <int R>
__device__ void unkeys(const TickStep& s, const Rows<R>& rows) {
  const Heads<R> a(s, rows);
  const int side = s.kv_heads * s.head_dim, own = rows.grid.rows;
  in_shares(
      rows.partial, R * 2 * side, own,
      [&](int output, int begin, int end) {
        const int r = output / (2 * side), of = output % (2 * side), channel = of % s.head_dim;
        const bool value = of >= side;
        if (r >= rows.count) return 0.0f;
        const int key = rows.in_window(r), kv = of % side / s.head_dim;
        float sum = 0;
        for (int i = begin > key ? begin : key; i < end; ++i) {
          const long row = rows.window(r) * own + i;
          for (int head = kv * a.group; head < (kv + 1) * a.group; ++head)
            sum += value ? s.p[(row * s.heads + head) * a.keys + s.past + key] *
                               s.dy[row * a.channels + head * s.head_dim + channel]
                         : s.ds[(row * s.heads + head) * own + key] *
                               s.own_x[row * a.width + head * s.head_dim + channel];
        }
        return sum;
      },
      [&](int output, float sum) {
        rows.line(s.y, output / (2 * side), a.width)[a.channels + output % (2 * side)] += sum;
      });
}

}  // namespace emisopt::kernels::cuda::tape
