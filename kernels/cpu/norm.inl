// RMSNorm and rotary positions (formulas: ref/norm.hpp).

void rmsnorm_forward(float* y, float* rstd, const float* x, const float* w, int rows, int width, float eps) {
  for (int i = 0; i < rows; ++i, x += width, y += width) {
    V squares = zero();
    over(width, [&](int, auto get, auto) {
      const V v = get(x);
      squares = fma(v, v, squares);
    });
    const float mean = sum(squares) / static_cast<float>(width) + eps;
    rstd[i] = 1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(mean)));
    const V r = set(rstd[i]);
    over(width, [&](int, auto get, auto put) { put(y, mul(mul(get(x), r), get(w))); });
  }
}

void rmsnorm_backward(float* dx, float* dw, const float* dy, const float* x, const float* rstd,
                      const float* w, int rows, int width, bool accumulate) {
  for (int i = 0; i < rows; ++i) {
    const long at = static_cast<long>(i) * width;
    V dot = zero();
    over(width, [&](int, auto get, auto) { dot = fma(mul(get(dy + at), get(w)), get(x + at), dot); });
    const V r = set(rstd[i]);
    const V pull = set(rstd[i] * rstd[i] * rstd[i] * sum(dot) / static_cast<float>(width));
    over(width, [&](int, auto get, auto put) {
      const V d = get(dy + at), v = get(x + at);
      if (dx) {
        V g = fnma(pull, v, mul(mul(r, d), get(w)));
        if (accumulate) g = add(g, get(dx + at));
        put(dx + at, g);
      }
      if (dw) put(dw, fma(mul(d, v), r, get(dw)));
    });
  }
}

void rmsnorm_tangent(float* dy, const float* dx, const float* x, const float* rstd, const float* w, int rows,
                     int width) {
  for (int i = 0; i < rows; ++i, dy += width, dx += width, x += width) {
    V dot = zero();
    over(width, [&](int, auto get, auto) { dot = fma(get(x), get(dx), dot); });
    const V r = set(rstd[i]);
    const V pull = set(rstd[i] * rstd[i] * rstd[i] * sum(dot) / static_cast<float>(width));
    over(width, [&](int, auto get, auto put) { put(dy, mul(get(w), fnma(pull, get(x), mul(r, get(dx))))); });
  }
}

void rope(float* y, const float* x, const float* cosine, const float* sine, int rows, int width, int heads,
          int head_dim, bool inverse, bool accumulate) {
  const int half = head_dim / 2, turned = heads * head_dim;
  for (int r = 0; r < rows; ++r, x += width, y += width, cosine += half, sine += half) {
    for (int h = 0; h < turned; h += head_dim)
      over(half, [&](int, auto get, auto put) {
        const V c = get(cosine), s = inverse ? sub(zero(), get(sine)) : get(sine);
        const V a = get(x + h), b = get(x + h + half);
        V ya = fnma(b, s, mul(a, c)), yb = fma(a, s, mul(b, c));
        if (accumulate) {
          ya = add(ya, get(y + h));
          yb = add(yb, get(y + h + half));
        }
        put(y + h, ya);
        put(y + h + half, yb);
      });
    over(width - turned, [&](int, auto get, auto put) {
      put(y + turned, accumulate ? add(get(y + turned), get(x + turned)) : get(x + turned));
    });
  }
}
