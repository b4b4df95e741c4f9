// SwiGLU, sums, the quantile head, AdamW (formulas: ref/pointwise.hpp, ref/update.hpp).

void swiglu_forward(float* y, const float* x, int rows, int width) {
  for (int i = 0; i < rows; ++i, x += 2L * width, y += width)
    over(width, [&](int, auto get, auto put) {
      const V gate = get(x);
      put(y, mul(mul(gate, sigmoid(gate)), get(x + width)));
    });
}

struct SwigluSlopes {
  V gate, up;
};
inline SwigluSlopes slopes_of(V gate, V up) {
  const V s = sigmoid(gate);
  return {mul(up, mul(s, fma(gate, sub(set(1.0f), s), set(1.0f)))), mul(gate, s)};
}

void swiglu_slopes(float* slopes, const float* x, int rows, int width) {
  for (int i = 0; i < rows; ++i, x += 2L * width, slopes += 2L * width)
    over(width, [&](int, auto get, auto put) {
      const SwigluSlopes s = slopes_of(get(x), get(x + width));
      put(slopes, s.gate);
      put(slopes + width, s.up);
    });
}

// dx = [dy slope of gate | dy slope of up]; slopes(get, i) gives both of row i's vector in hand.
template <class Slopes>
inline void swiglu_pull(float* dx, const float* dy, int rows, int width, bool accumulate, Slopes slopes) {
  for (int i = 0; i < rows; ++i, dx += 2L * width, dy += width)
    over(width, [&](int, auto get, auto put) {
      const V d = get(dy);
      const SwigluSlopes s = slopes(get, i);
      V dg = mul(d, s.gate), du = mul(d, s.up);
      if (accumulate) {
        dg = add(dg, get(dx));
        du = add(du, get(dx + width));
      }
      put(dx, dg);
      put(dx + width, du);
    });
}

void swiglu_backward(float* dx, const float* dy, const float* x, int rows, int width, bool accumulate) {
  swiglu_pull(dx, dy, rows, width, accumulate, [=](auto get, int i) __attribute__((always_inline)) {
    const float* row = x + 2L * width * i;
    return slopes_of(get(row), get(row + width));
  });
}

void swiglu_backward_by_slopes(float* dx, const float* dy, const float* slopes, int rows, int width,
                               bool accumulate) {
  swiglu_pull(dx, dy, rows, width, accumulate, [=](auto get, int i) __attribute__((always_inline)) {
    const float* row = slopes + 2L * width * i;
    return SwigluSlopes{get(row), get(row + width)};
  });
}

void swiglu_tangent(float* dy, const float* dx, const float* slopes, int rows, int width) {
  for (int i = 0; i < rows; ++i, dx += 2L * width, slopes += 2L * width, dy += width)
    over(width, [&](int, auto get, auto put) {
      put(dy, fma(get(slopes), get(dx), mul(get(slopes + width), get(dx + width))));
    });
}

void add(float* y, const float* a, const float* b, long n) {
  const float* left = b ? b : y;
  constexpr long kPiece = 1 << 20;  // `over` counts in int
  for (long i = 0; i < n; i += kPiece)
    over(static_cast<int>(n - i < kPiece ? n - i : kPiece),
         [&](int, auto get, auto put) { put(y + i, add(get(a + i), get(left + i))); });
}

void quantiles_forward(float* q, const float* raw, int rows, int outputs, int levels, int middle) {
  over(rows * outputs * levels, [&](int, auto get, auto put) { put(q, softplus(get(raw))); });
  for (int i = 0; i < rows * outputs; ++i, q += levels, raw += levels) {
    q[middle] = raw[middle];
    for (int l = middle + 1; l < levels; ++l) q[l] = q[l - 1] + q[l];
    for (int l = middle - 1; l >= 0; --l) q[l] = q[l + 1] - q[l];
  }
}

void quantiles_backward(float* draw, const float* dq, const float* raw, int rows, int outputs, int levels,
                        int middle, bool accumulate) {
  constexpr int kPiece = 64;
  for (int i = 0; i < rows * outputs; ++i, draw += levels, dq += levels, raw += levels) {
    float slopes[kPiece];
    float above = 0, below = 0;
    auto slopes_of = [&](int begin, int end) {  // of softplus at raw[begin..end)
      over(end - begin, [&](int, auto get, auto put) { put(slopes, sigmoid(get(raw + begin))); });
    };
    for (int end = levels; end > middle + 1; end -= kPiece) {  // from the highest level down
      const int begin = end - kPiece > middle + 1 ? end - kPiece : middle + 1;
      slopes_of(begin, end);
      for (int l = end - 1; l >= begin; --l) {
        above += dq[l];
        draw[l] = (accumulate ? draw[l] : 0.0f) + above * slopes[l - begin];
      }
    }
    for (int begin = 0; begin < middle; begin += kPiece) {  // from the lowest up
      const int end = begin + kPiece < middle ? begin + kPiece : middle;
      slopes_of(begin, end);
      for (int l = begin; l < end; ++l) {
        below += dq[l];
        draw[l] = (accumulate ? draw[l] : 0.0f) - below * slopes[l - begin];
      }
    }
    draw[middle] = (accumulate ? draw[middle] : 0.0f) + above + dq[middle] + below;
  }
}

void quantiles_tangent(float* dq, const float* draw, const float* raw, int rows, int outputs, int levels,
                       int middle) {
  over(rows * outputs * levels, [&](int, auto get, auto put) { put(dq, mul(sigmoid(get(raw)), get(draw))); });
  for (int i = 0; i < rows * outputs; ++i, dq += levels, draw += levels) {
    dq[middle] = draw[middle];
    for (int l = middle + 1; l < levels; ++l) dq[l] = dq[l - 1] + dq[l];
    for (int l = middle - 1; l >= 0; --l) dq[l] = dq[l + 1] - dq[l];
  }
}

void adamw(float* theta, float* m, float* v, const float* gradient, const float* mask, const float* anchor,
           const float* fisher, long count, const AdamWStep& s) {
  const V clip = set(s.clip), l2sp = set(s.l2sp), ewc = set(s.ewc), beta1 = set(s.beta1),
          beta2 = set(s.beta2);
  const V rest1 = set(1.0f - s.beta1), rest2 = set(1.0f - s.beta2), eps = set(s.eps);
  const V step = set(s.step_size), root_scale = set(s.root_scale), shrink = set(s.shrink);
  constexpr long kPiece = 1 << 20;
  for (long i = 0; i < count; i += kPiece)
    over(static_cast<int>(count - i < kPiece ? count - i : kPiece), [&](int, auto get, auto put) {
      const V t = get(theta + i);
      V g = mul(get(gradient + i), clip);
      if (anchor) g = fma(fisher ? fma(ewc, get(fisher + i), l2sp) : l2sp, sub(t, get(anchor + i)), g);
      const V mi = fma(beta1, get(m + i), mul(rest1, g));
      const V vi = fma(beta2, get(v + i), mul(rest2, mul(g, g)));
      put(m + i, mi);
      put(v + i, vi);
      const V pull = mask ? mul(shrink, get(mask + i)) : shrink;
      const V move = div(mul(step, mi), fma(root(vi), root_scale, eps));
      put(theta + i, sub(t, fma(pull, t, move)));
    });
}
