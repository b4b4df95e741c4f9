// Prefix-causal attention with grouped key heads (Vaswani et al. 2017; Ainslie et al. 2023).
#pragma once
#include <cmath>

#include "kernels/table.hpp"

namespace emisopt::kernels::ref {

// Where head h of an attention op lies in a row of width [q | k | v].
struct HeadColumns {
  int q, k, v, width;
  HeadColumns(int h, int heads, int kv_heads, int head_dim)
      : q(h * head_dim),
        k((heads + h / (heads / kv_heads)) * head_dim),
        v((heads + kv_heads + h / (heads / kv_heads)) * head_dim),
        width((heads + 2 * kv_heads) * head_dim) {}
};

// y_i = sum_j p_ij v_j, p_i = softmax(q_i . k_j / sqrt(head_dim)) over the past rows and own rows 0..i. What
// lies beyond row i is never read: a NaN there must not reach it.   y (rows - first, heads * head_dim)
template <class T>
void attention_forward(const AttentionArgs<T>& a, T* y) {
  const T scale = T(1) / std::sqrt(T(a.head_dim));
  for (int h = a.head_begin; h < a.head_end; ++h) {
    const HeadColumns at(h, a.heads, a.kv_heads, a.head_dim);
    for (int i = a.first; i < a.rows; ++i) {
      const T* q = a.x + static_cast<long>(i) * at.width + at.q;
      T* p = a.p + h * a.p_head + static_cast<long>(i) * a.p_stride;  // (past + rows)
      const int keys = a.past + i + 1;
      auto row = [&](int j) {  // (width) of key j
        return j < a.past ? a.past_x + static_cast<long>(j) * at.width
                          : a.x + static_cast<long>(j - a.past) * at.width;
      };
      T top = 0, sum = 0;
      for (int j = 0; j < keys; ++j) {
        const T* k = row(j) + at.k;
        T s = 0;
        for (int c = 0; c < a.head_dim; ++c) s += q[c] * k[c];
        p[j] = s * scale;
        top = j == 0 || p[j] > top ? p[j] : top;
      }
      for (int j = 0; j < keys; ++j) sum += p[j] = std::exp(p[j] - top);
      T* yi = y + (static_cast<long>(i - a.first) * a.heads + h) * a.head_dim;
      for (int c = 0; c < a.head_dim; ++c) yi[c] = 0;
      for (int j = 0; j < keys; ++j) {
        p[j] /= sum;
        const T* v = row(j) + at.v;
        for (int c = 0; c < a.head_dim; ++c) yi[c] += p[j] * v[c];
      }
      for (int j = keys; j < a.past + a.rows; ++j) p[j] = 0;
    }
  }
}

template <class T>
void attention_maps(const AttentionArgs<T>& a, T* maps) {
  const T scale = T(1) / std::sqrt(T(a.head_dim));
  const int hd = a.head_dim;
  for (int h = a.head_begin; h < a.head_end; ++h) {
    const HeadColumns at(h, a.heads, a.kv_heads, hd);
    for (int i = a.first; i < a.rows; ++i) {
      T* m = maps + h * a.map_head + static_cast<long>(i) * hd * hd;  // (dy's channel, dq's), or turned
      const T* p = a.p + h * a.p_head + static_cast<long>(i) * a.p_stride;
      const T* y = a.y + (static_cast<long>(i) * a.heads + h) * hd;
      for (int c = 0; c < hd * hd; ++c) m[c] = 0;
      for (int j = 0; j <= a.past + i; ++j) {
        const T* x = j < a.past ? a.past_x + static_cast<long>(j) * at.width
                                : a.x + static_cast<long>(j - a.past) * at.width;
        for (int e = 0; e < hd; ++e)
          for (int c = 0; c < hd; ++c)
            m[a.maps_turned ? c * hd + e : e * hd + c] += scale * p[j] * (x[at.v + e] - y[e]) * x[at.k + c];
      }
    }
  }
}

// The same as attention_backward, for several gradients: dq through the maps, own keys and values directly.
template <class T>
void attention_backward_by_maps(const AttentionArgs<T>& a, const T* dy, T* dx) {
  const T scale = T(1) / std::sqrt(T(a.head_dim));
  const int hd = a.head_dim;
  for (int w = 0; w < a.windows; ++w, dy += a.dy_window, dx += a.dx_window)
    for (int h = a.head_begin; h < a.head_end; ++h) {
      const HeadColumns at(h, a.heads, a.kv_heads, hd);
      for (int i = a.first; i < a.rows; ++i) {
        const T* dyi = dy + (static_cast<long>(i - a.first) * a.heads + h) * hd;
        const T* m = a.maps + h * a.map_head + static_cast<long>(i) * hd * hd;
        const T* p = a.p + h * a.p_head + static_cast<long>(i) * a.p_stride + a.past;
        const T* y = a.y + (static_cast<long>(i) * a.heads + h) * hd;
        const T* q = a.x + static_cast<long>(i) * at.width + at.q;
        T* dq = dx + static_cast<long>(i) * at.width + at.q;
        T mean = 0;
        for (int e = 0; e < hd; ++e) {
          mean += dyi[e] * y[e];
          for (int c = 0; c < hd; ++c) dq[c] += dyi[e] * m[e * hd + c];
        }
        for (int j = 0; j <= i; ++j) {
          const long row = static_cast<long>(j) * at.width;
          T dp = 0;
          for (int c = 0; c < hd; ++c) dp += dyi[c] * a.x[row + at.v + c];
          const T ds = p[j] * (dp - mean) * scale;
          for (int c = 0; c < hd; ++c) {
            dx[row + at.k + c] += ds * q[c];
            dx[row + at.v + c] += p[j] * dyi[c];
          }
        }
      }
    }
}

// dp_ij = dy_i . v_j, ds_ij = p_ij (dp_ij - sum_l p_il dp_il) / sqrt(head_dim);
// dq_i += sum_j ds_ij k_j, dk_j += sum_i ds_ij q_i, dv_j += sum_i p_ij dy_i.
template <class T>
void attention_backward(const AttentionArgs<T>& a, const T* dy, T* dx, T* dpast) {
  if (a.maps) return attention_backward_by_maps(a, dy, dx);
  const T scale = T(1) / std::sqrt(T(a.head_dim));
  T* dp = a.scratch;  // (past + rows)
  for (int h = a.head_begin; h < a.head_end; ++h) {
    const HeadColumns at(h, a.heads, a.kv_heads, a.head_dim);
    for (int i = a.first; i < a.rows; ++i) {
      const T* q = a.x + static_cast<long>(i) * at.width + at.q;
      T* dq = dx + static_cast<long>(i) * at.width + at.q;
      const T* p = a.p + h * a.p_head + static_cast<long>(i) * a.p_stride;
      const T* dyi = dy + (static_cast<long>(i - a.first) * a.heads + h) * a.head_dim;
      const int keys = a.past + i + 1;
      T mean = 0;
      for (int j = 0; j < keys; ++j) {
        const T* v = (j < a.past ? a.past_x + static_cast<long>(j) * at.width
                                 : a.x + static_cast<long>(j - a.past) * at.width) +
                     at.v;
        dp[j] = 0;
        for (int c = 0; c < a.head_dim; ++c) dp[j] += dyi[c] * v[c];
        mean += p[j] * dp[j];
      }
      for (int j = 0; j < keys; ++j) {
        const bool own = j >= a.past;
        const long at_row = static_cast<long>(own ? j - a.past : j) * at.width;
        const T ds = p[j] * (dp[j] - mean) * scale;
        const T* k = (own ? a.x : a.past_x) + at_row + at.k;
        for (int c = 0; c < a.head_dim; ++c) dq[c] += ds * k[c];
        T* dkv = own ? dx : dpast;
        if (!dkv) continue;
        for (int c = 0; c < a.head_dim; ++c) {
          dkv[at_row + at.k + c] += ds * q[c];
          dkv[at_row + at.v + c] += p[j] * dyi[c];
        }
      }
    }
  }
}

template <class T>
void attention_tangent(const AttentionArgs<T>& a, const T* dx, T* dy) {
  const T scale = T(1) / std::sqrt(T(a.head_dim));
  const int hd = a.head_dim;
  for (int w = 0; w < a.windows; ++w, dy += a.dy_window, dx += a.dx_window)
    for (int h = a.head_begin; h < a.head_end; ++h) {
      const HeadColumns at(h, a.heads, a.kv_heads, hd);
      auto row = [&](int i) { return static_cast<long>(i - a.first) * at.width; };
      for (int i = a.first; i < a.rows; ++i) {
        const T* m = a.maps + h * a.map_head + static_cast<long>(i) * hd * hd;
        const T* p = a.p + h * a.p_head + static_cast<long>(i) * a.p_stride + a.past;
        const T* y = a.y + (static_cast<long>(i) * a.heads + h) * hd;
        const T* q = a.x + static_cast<long>(i) * at.width + at.q;
        T* dyi = dy + (static_cast<long>(i - a.first) * a.heads + h) * hd;
        for (int e = 0; e < hd; ++e) dyi[e] = 0;
        for (int c = 0; c < hd; ++c)
          for (int e = 0; e < hd; ++e) dyi[e] += dx[row(i) + at.q + c] * m[c * hd + e];
        for (int j = a.first; j <= i; ++j) {
          const T* v = a.x + static_cast<long>(j) * at.width + at.v;
          T ds = 0;
          for (int c = 0; c < hd; ++c) ds += q[c] * dx[row(j) + at.k + c];
          for (int e = 0; e < hd; ++e) dyi[e] += p[j] * (ds * scale * (v[e] - y[e]) + dx[row(j) + at.v + e]);
        }
      }
    }
}

}  // namespace emisopt::kernels::ref
