// Prefix-causal attention on top of the matrix product (formulas: ref/attention.hpp). Causality is in the
// loop bounds: a block of query rows multiplies the keys up to its first row together, and each row then adds
// its own few keys beyond that, so nothing after row i is read into row i.

constexpr int kQueryBlock = kTileRows;

struct HeadView {
  int q, k, v, width;  // columns of x, and its width
  const float *past_kt, *past_vt;
};

inline HeadView head_view(const AttentionArgs<float>& a, int h) {
  const int group = h / (a.heads / a.kv_heads);
  const long channel = static_cast<long>(group) * a.head_dim * a.past_stride;
  return {h * a.head_dim,
          (a.heads + group) * a.head_dim,
          (a.heads + a.kv_heads + group) * a.head_dim,
          (a.heads + 2 * a.kv_heads) * a.head_dim,
          a.past ? a.past_kt + channel : nullptr,
          a.past ? a.past_vt + channel : nullptr};
}

// p (n): scores -> numerators e^(factor (s - top)) of the softmax; returns their sum. The factor holds log2
// e.
inline float numerators(float* p, int n, V factor) {
  V top = set(-__builtin_inff());
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) top = max(top, load(p + i));
  const Mask tail = first(n - i);
  if (i < n) top = keep(max(top, load(p + i, tail)), tail, top);
  const V shift = set(largest(top));
  V total = zero();
  for (i = 0; i + kLanes <= n; i += kLanes) {
    const V e = power_of_two(mul(sub(load(p + i), shift), factor));
    store(p + i, e);
    total = add(total, e);
  }
  if (i < n) {
    const V e = keep(power_of_two(mul(sub(load(p + i, tail), shift), factor)), tail, zero());
    store(p + i, e, tail);
    total = add(total, e);
  }
  return sum(total);
}

inline void clear(float* x, long n) {
  over(static_cast<int>(n), [&](int, auto, auto put) { put(x, zero()); });
}

inline float inverse_root(int n) {
  return 1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(static_cast<float>(n))));
}

// Rows of y from numerators: y_r = inverse_r sum_j p_rj v_j over the past, the own keys before the block, and
// of the block's keys the first r + 1.
struct MixArgs {
  float* y;                     // (rows, columns), stride ldy
  const float* p;               // (rows, past + own + rows), stride ldp
  const float *past_v, *own_v;  // (past, columns), (own + rows, columns), stride ldv
  const float* inverse;         // (rows)
  long ldy, ldp, ldv;
  int past, own;
  int tail;  // columns of the last vector, 1..kLanes
};

template <int kRows, int kVectors, bool kMasked>
void mix(const MixArgs& t) {
  const Mask mask = first(t.tail);
  auto get = [mask](const float* p, int v) __attribute__((always_inline)) {
    return kMasked && v == kVectors - 1 ? load(p + v * kLanes, mask) : load(p + v * kLanes);
  };
  V sums[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[r][v] = zero();
  const float* p = t.p;
  auto keys = [&](const float* values, int count) __attribute__((always_inline)) {
    for (int j = 0; j < count; ++j, ++p, values += t.ldv) {
      V vj[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) vj[v] = get(values, v);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const V pr = set(p[r * t.ldp]);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sums[r][v] = fma(pr, vj[v], sums[r][v]);
      }
    }
    return values;
  };
  keys(t.past_v, t.past);
  const float* values = keys(t.own_v, t.own);
#pragma GCC unroll 16
  for (int j = 0; j < kRows; ++j, ++p, values += t.ldv) {
    V vj[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) vj[v] = get(values, v);
#pragma GCC unroll 16
    for (int r = j; r < kRows; ++r) {
      const V pr = set(p[r * t.ldp]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[r][v] = fma(pr, vj[v], sums[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    const V inverse = set(t.inverse[r]);
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      float* y = t.y + r * t.ldy + v * kLanes;
      if (kMasked && v == kVectors - 1)
        store(y, mul(sums[r][v], inverse), mask);
      else
        store(y, mul(sums[r][v], inverse));
    }
  }
}

template <int kVectors, bool kMasked>
struct Mixes {
  using Mix = void (*)(const MixArgs&);
  template <int kRows>
  static constexpr Mix kMix = mix<kRows, kVectors, kMasked>;
#if defined(__AVX512F__)
  static constexpr Mix kMixes[kQueryBlock] = {kMix<1>, kMix<2>, kMix<3>, kMix<4>,  kMix<5>,  kMix<6>,
                                              kMix<7>, kMix<8>, kMix<9>, kMix<10>, kMix<11>, kMix<12>};
#else
  static constexpr Mix kMixes[kQueryBlock] = {kMix<1>, kMix<2>, kMix<3>, kMix<4>, kMix<5>, kMix<6>};
#endif
};

inline void mix_rows(MixArgs t, int rows, int head_dim) {
  for (int c = 0; c < head_dim; c += kPanel, t.y += kPanel, t.past_v += kPanel, t.own_v += kPanel) {
    const int columns = head_dim - c < kPanel ? head_dim - c : kPanel,
              vectors = (columns + kLanes - 1) / kLanes;
    t.tail = columns - (vectors - 1) * kLanes;
    const bool masked = t.tail != kLanes;
    const auto* mixes = vectors == 2 ? (masked ? Mixes<2, true>::kMixes : Mixes<2, false>::kMixes)
                                     : (masked ? Mixes<1, true>::kMixes : Mixes<1, false>::kMixes);
    mixes[rows - 1](t);
  }
}

void attention_forward(const AttentionArgs<float>& a, float* y) {
  const int hd = a.head_dim, own_stride = (a.rows + 15) / 16 * 16;
  const long ldy = static_cast<long>(a.heads) * hd;
  const V factor = set(1.44269504f * inverse_root(hd));
  float* own_kt = a.scratch;                                     // (head_dim, own_stride)
  float* inverse = own_kt + static_cast<long>(hd) * own_stride;  // (kQueryBlock)
  for (int h = a.head_begin; h < a.head_end; ++h) {
    const HeadView at = head_view(a, h);
    if (h == a.head_begin || h % (a.heads / a.kv_heads) == 0)
      transpose(own_kt, own_stride, a.x + at.k, at.width, a.rows, hd);
    for (int i0 = a.first; i0 < a.rows; i0 += kQueryBlock) {
      const int n = a.rows - i0 < kQueryBlock ? a.rows - i0 : kQueryBlock;
      const float* q = a.x + static_cast<long>(i0) * at.width + at.q;
      float* p = a.p + h * a.p_head + static_cast<long>(i0) * a.p_stride;  // (n, p_stride)
      if (a.past)
        gemm(p, a.p_stride, q, at.width, 1, at.past_kt, a.past_stride, nullptr, n, a.past, hd, false);
      gemm(p + a.past, a.p_stride, q, at.width, 1, own_kt, own_stride, nullptr, n, i0 + n, hd, false);
      for (int r = 0; r < n; ++r)
        inverse[r] = 1.0f / numerators(p + static_cast<long>(r) * a.p_stride, a.past + i0 + r + 1, factor);
      mix_rows({y + (i0 - a.first) * ldy + h * hd, p, (a.past ? a.past_x : a.x) + at.v, a.x + at.v, inverse,
                ldy, a.p_stride, at.width, a.past, i0, 0},
               n, hd);
      if (!a.keep_p) continue;
      for (int r = 0; r < n; ++r) {
        float* pr = p + static_cast<long>(r) * a.p_stride;
        const int keys = a.past + i0 + r + 1;
        const V scale_by = set(inverse[r]);
        over(keys, [&](int, auto get, auto put) { put(pr, mul(get(pr), scale_by)); });
        clear(pr + keys, a.past + a.rows - keys);
      }
    }
  }
}

// M = sum_j p_j v_j^T k_j - y^T sum_j p_j k_j, scaled; the sums over past and own keys are products.
void attention_maps(const AttentionArgs<float>& a, float* maps) {
  const int hd = a.head_dim;
  const V factor = set(inverse_root(hd));
  float* weighted = a.scratch;                                         // (past + rows, hd): p_j v_j / root
  float* mean_k = weighted + static_cast<long>(a.past + a.rows) * hd;  // (hd): sum_j p_j k_j / root
  float* turned = mean_k + hd;                                         // (hd, hd)
  for (int h = a.head_begin; h < a.head_end; ++h) {
    const HeadView at = head_view(a, h);
    for (int i = a.first; i < a.rows; ++i) {
      const float* p = a.p + h * a.p_head + static_cast<long>(i) * a.p_stride;
      const float* y = a.y + (static_cast<long>(i) * a.heads + h) * hd;
      float* map = maps + h * a.map_head + static_cast<long>(i) * hd * hd;
      float* m = a.maps_turned ? turned : map;
      const int own = i + 1;
      for (int j = 0; j < a.past + own; ++j) {
        const float* v = (j < a.past ? a.past_x + static_cast<long>(j) * at.width
                                     : a.x + static_cast<long>(j - a.past) * at.width) +
                         at.v;
        const V pj = mul(set(p[j]), factor);
        over(hd,
             [&](int, auto get, auto put) { put(weighted + static_cast<long>(j) * hd, mul(pj, get(v))); });
      }
      if (a.past) {
        gemm(m, hd, weighted, 1, hd, a.past_x + at.k, at.width, nullptr, hd, hd, a.past, false);
        gemm(mean_k, hd, p, a.p_stride, 1, a.past_x + at.k, at.width, nullptr, 1, hd, a.past, false);
      }
      gemm(m, hd, weighted + static_cast<long>(a.past) * hd, 1, hd, a.x + at.k, at.width, nullptr, hd, hd,
           own, a.past != 0);
      gemm(mean_k, hd, p + a.past, a.p_stride, 1, a.x + at.k, at.width, nullptr, 1, hd, own, a.past != 0);
      over(hd, [&](int, auto get, auto put) { put(mean_k, mul(factor, get(mean_k))); });
      for (int e = 0; e < hd; ++e) {
        const V ye = set(y[e]);
        over(hd, [&](int, auto get, auto put) { put(m + e * hd, fnma(ye, get(mean_k), get(m + e * hd))); });
      }
      if (a.maps_turned) transpose(map, hd, turned, hd, hd, hd);
    }
  }
}

// dp (keys) -> ds = p (dp - dy . y) factor, in place: sum_j p_j dp_j is dy . y.
inline void scores_backward(float* dp, const float* p, int keys, const float* dy, const float* y,
                            int head_dim, V factor) {
  V dot = zero();
  over(head_dim, [&](int, auto get, auto) { dot = fma(get(dy), get(y), dot); });
  const V mean = set(sum(dot));
  over(keys, [&](int, auto get, auto put) { put(dp, mul(mul(get(p), sub(get(dp), mean)), factor)); });
}

// Several gradients of one window: dq through the maps, all of a row's gradients at once; own keys and values
// directly, where ds_ij = p_ij (dy_i . v_j - dy_i . y_i) scale.
inline void attention_backward_by_maps(const AttentionArgs<float>& a, const float* dy, float* dx) {
  const int hd = a.head_dim, own_stride = (a.rows + 15) / 16 * 16, queries = a.rows - a.first;
  const long ldy = static_cast<long>(a.heads) * hd, lds = own_stride;
  const V factor = set(inverse_root(hd));
  float* own_vt = a.scratch;                                // (head_dim, own_stride)
  float* ds = own_vt + static_cast<long>(hd) * own_stride;  // (queries, lds)
  for (int h = a.head_begin; h < a.head_end; ++h) {
    const HeadView at = head_view(a, h);
    if (h == a.head_begin || h % (a.heads / a.kv_heads) == 0)
      transpose(own_vt, own_stride, a.x + at.v, at.width, a.rows, hd);
    for (int i = a.first; i < a.rows; ++i)
      gemm(dx + static_cast<long>(i) * at.width + at.q, a.dx_window, dy + (i - a.first) * ldy + h * hd,
           a.dy_window, 1, a.maps + h * a.map_head + static_cast<long>(i) * hd * hd, hd, nullptr, a.windows,
           hd, hd, true);
    const float* p = a.p + h * a.p_head + static_cast<long>(a.first) * a.p_stride + a.past;
    const float* q = a.x + static_cast<long>(a.first) * at.width + at.q;
    for (int w = 0; w < a.windows; ++w) {
      const float* dyh = dy + w * a.dy_window + h * hd;
      float* dxw = dx + w * a.dx_window;
      for (int i0 = 0; i0 < queries; i0 += kQueryBlock) {
        const int n = queries - i0 < kQueryBlock ? queries - i0 : kQueryBlock;
        gemm(ds + i0 * lds, lds, dyh + i0 * ldy, ldy, 1, own_vt, own_stride, nullptr, n, a.first + i0 + n, hd,
             false);
        for (int i = i0; i < i0 + n; ++i) {
          const int keys = a.first + i + 1;
          float* row = ds + i * lds;
          scores_backward(row, p + static_cast<long>(i) * a.p_stride, keys, dyh + i * ldy,
                          a.y + (a.first + i) * ldy + h * hd, hd, factor);
          clear(row + keys, a.rows - keys);
        }
      }
      for (int j0 = 0; j0 < a.rows; j0 += kQueryBlock) {  // own keys; queries before the block do not see it
        const int n = a.rows - j0 < kQueryBlock ? a.rows - j0 : kQueryBlock;
        const long skip = j0 > a.first ? j0 - a.first : 0;
        const int seen = queries - static_cast<int>(skip);
        const long key = static_cast<long>(j0) * at.width;
        gemm(dxw + key + at.k, at.width, ds + skip * lds + j0, 1, lds, q + skip * at.width, at.width, nullptr,
             n, hd, seen, true);
        gemm(dxw + key + at.v, at.width, p + skip * a.p_stride + j0, 1, a.p_stride, dyh + skip * ldy, ldy,
             nullptr, n, hd, seen, true);
      }
    }
  }
}

void attention_backward(const AttentionArgs<float>& a, const float* dy, float* dx, float* dpast) {
  if (a.maps) return attention_backward_by_maps(a, dy, dx);
  const int hd = a.head_dim, own_stride = (a.rows + 15) / 16 * 16;
  const long ldy = static_cast<long>(a.heads) * hd, lds = (a.past + a.rows + 15) / 16 * 16;
  const V factor = set(inverse_root(hd));
  const int queries = a.rows - a.first;
  float* own_vt = a.scratch;                                // (head_dim, own_stride)
  float* ds = own_vt + static_cast<long>(hd) * own_stride;  // (queries, lds): columns [past | own]
  for (int h = a.head_begin; h < a.head_end; ++h) {
    const HeadView at = head_view(a, h);
    if (h == a.head_begin || h % (a.heads / a.kv_heads) == 0)
      transpose(own_vt, own_stride, a.x + at.v, at.width, a.rows, hd);
    const float* p = a.p + h * a.p_head + static_cast<long>(a.first) * a.p_stride;  // (queries, p_stride)
    const float* q = a.x + static_cast<long>(a.first) * at.width + at.q;
    const float* dyh = dy + h * hd;
    for (int i0 = 0; i0 < queries; i0 += kQueryBlock) {
      const int n = queries - i0 < kQueryBlock ? queries - i0 : kQueryBlock;
      const int own = a.first + i0 + n;  // own keys that some row of the block sees
      float* dsi = ds + i0 * lds;
      if (a.past)
        gemm(dsi, lds, dyh + i0 * ldy, ldy, 1, at.past_vt, a.past_stride, nullptr, n, a.past, hd, false);
      gemm(dsi + a.past, lds, dyh + i0 * ldy, ldy, 1, own_vt, own_stride, nullptr, n, own, hd, false);
      for (int r = 0; r < n; ++r) {
        const int keys = a.past + a.first + i0 + r + 1;
        scores_backward(dsi + r * lds, p + static_cast<long>(i0 + r) * a.p_stride, keys, dyh + (i0 + r) * ldy,
                        a.y + (a.first + i0 + r) * ldy + h * hd, hd, factor);
        clear(dsi + r * lds + keys, a.past + a.rows - keys);
      }
      float* dq = dx + static_cast<long>(a.first + i0) * at.width + at.q;
      if (a.past) gemm(dq, at.width, dsi, lds, 1, a.past_x + at.k, at.width, nullptr, n, hd, a.past, true);
      gemm(dq, at.width, dsi + a.past, lds, 1, a.x + at.k, at.width, nullptr, n, hd, own, true);
    }
    if (dpast && a.past) {
      gemm(dpast + at.k, at.width, ds, 1, lds, q, at.width, nullptr, a.past, hd, queries, true);
      gemm(dpast + at.v, at.width, p, 1, a.p_stride, dyh, ldy, nullptr, a.past, hd, queries, true);
    }
    for (int j0 = 0; j0 < a.rows; j0 += kQueryBlock) {  // own keys; queries before the block do not see it
      const int n = a.rows - j0 < kQueryBlock ? a.rows - j0 : kQueryBlock;
      const long skip = j0 > a.first ? j0 - a.first : 0;
      const int seen = queries - static_cast<int>(skip);
      const long key = static_cast<long>(j0) * at.width;
      gemm(dx + key + at.k, at.width, ds + skip * lds + a.past + j0, 1, lds, q + skip * at.width, at.width,
           nullptr, n, hd, seen, true);
      gemm(dx + key + at.v, at.width, p + skip * a.p_stride + a.past + j0, 1, a.p_stride, dyh + skip * ldy,
           ldy, nullptr, n, hd, seen, true);
    }
  }
}

// Several directions of one window: dq through the maps, all directions of a row at once; own keys and values
// directly. With w_ij = p_ij (q_i . dk_j) scale: dy_i += sum_j (w_ij v_j + p_ij dv_j) - y_i sum_j w_ij.
void attention_tangent(const AttentionArgs<float>& a, const float* dx, float* dy) {
  const int hd = a.head_dim, moved = a.rows - a.first, stride = (moved + 15) / 16 * 16;
  const long ldy = static_cast<long>(a.heads) * hd;
  const V factor = set(inverse_root(hd));
  float* dkt = a.scratch;                                 // (head_dim, stride)
  float* weights = dkt + static_cast<long>(hd) * stride;  // (kQueryBlock, stride): w_ij
  for (int h = a.head_begin; h < a.head_end; ++h) {
    const HeadView at = head_view(a, h);
    for (long i = 0; i < moved; ++i)
      gemm(dy + i * ldy + h * hd, a.dy_window, dx + i * at.width + at.q, a.dx_window, 1,
           a.maps + h * a.map_head + (a.first + i) * hd * hd, hd, nullptr, a.windows, hd, hd, false);
    const float* x = a.x + static_cast<long>(a.first) * at.width;
    const float* y = a.y + a.first * ldy + h * hd;
    const float* p = a.p + h * a.p_head + static_cast<long>(a.first) * a.p_stride + a.past + a.first;
    for (int w = 0; w < a.windows; ++w) {
      const float* dxw = dx + w * a.dx_window;
      float* dyw = dy + w * a.dy_window + h * hd;
      transpose(dkt, stride, dxw + at.k, at.width, moved, hd);
      for (int i0 = 0; i0 < moved; i0 += kQueryBlock) {
        const int n = moved - i0 < kQueryBlock ? moved - i0 : kQueryBlock, seen = i0 + n;
        const float* pi = p + static_cast<long>(i0) * a.p_stride;
        float* dyi = dyw + i0 * ldy;
        gemm(weights, stride, x + static_cast<long>(i0) * at.width + at.q, at.width, 1, dkt, stride, nullptr,
             n, seen, hd, false);
        for (int r = 0; r < n; ++r) {
          const int keys = i0 + r + 1;
          float* row = weights + static_cast<long>(r) * stride;
          const float* pr = pi + static_cast<long>(r) * a.p_stride;
          V total = zero();
          over(keys, [&](int, auto get, auto put) {
            const V t = mul(mul(get(row), get(pr)), factor);
            put(row, t);
            total = add(total, t);
          });
          clear(row + keys, seen - keys);
          const V all = set(sum(total));
          over(hd, [&](int, auto get, auto put) {
            put(dyi + r * ldy, fnma(all, get(y + (i0 + r) * ldy), get(dyi + r * ldy)));
          });
        }
        gemm(dyi, ldy, weights, stride, 1, x + at.v, at.width, nullptr, n, hd, seen, true);
        gemm(dyi, ldy, pi, a.p_stride, 1, dxw + at.v, at.width, nullptr, n, hd, seen, true);
      }
    }
  }
}
