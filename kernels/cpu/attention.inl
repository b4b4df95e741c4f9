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

// p (n): scores -> probabilities, scaled first.
inline void softmax(float* p, int n, float scale_by) {
  V top = set(-__builtin_inff());
  const V factor = set(scale_by);
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const V s = mul(load(p + i), factor);
    store(p + i, s);
    top = max(top, s);
  }
  if (i < n) {
    const Mask m = first(n - i);
    const V s = mul(load(p + i, m), factor);
    store(p + i, s, m);
    top = keep(max(top, s), m, top);
  }
  const V shift = set(largest(top));
  V total = zero();
  for (i = 0; i + kLanes <= n; i += kLanes) {
    const V e = exponential(sub(load(p + i), shift));
    store(p + i, e);
    total = add(total, e);
  }
  if (i < n) {
    const Mask m = first(n - i);
    const V e = keep(exponential(sub(load(p + i, m), shift)), m, zero());
    store(p + i, e, m);
    total = add(total, e);
  }
  const V inverse = set(1.0f / sum(total));
  over(n, [&](int, auto get, auto put) { put(p, mul(get(p), inverse)); });
}

inline void clear(float* x, long n) {
  over(static_cast<int>(n), [&](int, auto, auto put) { put(x, zero()); });
}

inline float inverse_root(int n) {
  return 1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(static_cast<float>(n))));
}

void attention_forward(const AttentionArgs<float>& a, float* y) {
  const int hd = a.head_dim, own_stride = (a.rows + 15) / 16 * 16;
  const long ldy = static_cast<long>(a.heads) * hd;
  const float factor = inverse_root(hd);
  float* own_kt = a.scratch;  // (head_dim, own_stride)
  for (int h = 0; h < a.heads; ++h) {
    const HeadView at = head_view(a, h);
    if (h % (a.heads / a.kv_heads) == 0) transpose(own_kt, own_stride, a.x + at.k, at.width, a.rows, hd);
    for (int i0 = 0; i0 < a.rows; i0 += kQueryBlock) {
      const int n = a.rows - i0 < kQueryBlock ? a.rows - i0 : kQueryBlock;
      const float* q = a.x + static_cast<long>(i0) * at.width + at.q;
      float* p = a.p + h * a.p_head + static_cast<long>(i0) * a.p_stride;  // (n, p_stride)
      float* yi = y + i0 * ldy + h * hd;
      if (a.past)
        gemm(p, a.p_stride, q, at.width, 1, at.past_kt, a.past_stride, nullptr, n, a.past, hd, false);
      gemm(p + a.past, a.p_stride, q, at.width, 1, own_kt, own_stride, nullptr, n, i0 + n, hd, false);
      for (int r = 0; r < n; ++r) {
        float* pr = p + static_cast<long>(r) * a.p_stride;
        const int keys = a.past + i0 + r + 1;
        softmax(pr, keys, factor);
        clear(pr + keys, a.past + a.rows - keys);
      }
      if (a.past) gemm(yi, ldy, p, a.p_stride, 1, a.past_x + at.v, at.width, nullptr, n, hd, a.past, false);
      gemm(yi, ldy, p + a.past, a.p_stride, 1, a.x + at.v, at.width, nullptr, n, hd, i0 + 1, a.past != 0);
      for (int r = 1; r < n; ++r)
        gemm(yi + r * ldy, ldy, p + static_cast<long>(r) * a.p_stride + a.past + i0 + 1, a.p_stride, 1,
             a.x + static_cast<long>(i0 + 1) * at.width + at.v, at.width, nullptr, 1, hd, r, true);
    }
  }
}

// dp (keys) -> ds = p (dp - sum p dp) scale, in place.
inline void softmax_backward(float* dp, const float* p, int keys, float scale_by) {
  V dot = zero();
  over(keys, [&](int, auto get, auto) { dot = fma(get(p), get(dp), dot); });
  const V mean = set(sum(dot)), factor = set(scale_by);
  over(keys, [&](int, auto get, auto put) { put(dp, mul(mul(get(p), sub(get(dp), mean)), factor)); });
}

void attention_backward(const AttentionArgs<float>& a, const float* dy, float* dx, float* dpast) {
  const int hd = a.head_dim, own_stride = (a.rows + 15) / 16 * 16;
  const long ldy = static_cast<long>(a.heads) * hd, lds = (a.past + a.rows + 15) / 16 * 16;
  const float factor = inverse_root(hd);
  const int queries = a.rows - a.first;
  float* own_vt = a.scratch;                                // (head_dim, own_stride)
  float* ds = own_vt + static_cast<long>(hd) * own_stride;  // (queries, lds): columns [past | own]
  for (int h = 0; h < a.heads; ++h) {
    const HeadView at = head_view(a, h);
    if (h % (a.heads / a.kv_heads) == 0) transpose(own_vt, own_stride, a.x + at.v, at.width, a.rows, hd);
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
        softmax_backward(dsi + r * lds, p + static_cast<long>(i0 + r) * a.p_stride, keys, factor);
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
