// SwiGLU, sums, the quantile head: each value on its own.
#pragma once
#include <cmath>

namespace emisopt::kernels::ref {

template <class T>
T sigmoid(T x) {
  // exp of a non-positive number only: no overflow on either side
  const T e = std::exp(x < 0 ? x : -x);
  return x < 0 ? e / (T(1) + e) : T(1) / (T(1) + e);
}
template <class T>
T softplus(T x) {
  return (x > 0 ? x : T(0)) + std::log1p(std::exp(x > 0 ? -x : x));
}

// y = silu(gate) * up (Shazeer 2020).   x (rows, 2 width): [gate | up]   y (rows, width)
template <class T>
void swiglu_forward(T* y, const T* x, int rows, int width) {
  for (int i = 0; i < rows; ++i) {
    const T* gate = x + static_cast<long>(i) * 2 * width;
    const T* up = gate + width;
    for (int c = 0; c < width; ++c) y[static_cast<long>(i) * width + c] = gate[c] * sigmoid(gate[c]) * up[c];
  }
}

// silu'(g) = s (1 + g (1 - s)) with s = sigmoid(g)
template <class T>
void swiglu_backward(T* dx, const T* dy, const T* x, int rows, int width, bool accumulate) {
  for (int i = 0; i < rows; ++i) {
    const T* gate = x + static_cast<long>(i) * 2 * width;
    const T* up = gate + width;
    T* dgate = dx + static_cast<long>(i) * 2 * width;
    T* dup = dgate + width;
    for (int c = 0; c < width; ++c) {
      const T d = dy[static_cast<long>(i) * width + c], s = sigmoid(gate[c]);
      const T dg = d * up[c] * s * (T(1) + gate[c] * (T(1) - s)), du = d * gate[c] * s;
      dgate[c] = accumulate ? dgate[c] + dg : dg;
      dup[c] = accumulate ? dup[c] + du : du;
    }
  }
}

// slopes (rows, 2 width) = [dy/dgate | dy/dup]
template <class T>
void swiglu_slopes(T* slopes, const T* x, int rows, int width) {
  for (long i = 0; i < static_cast<long>(rows) * 2 * width; i += 2 * width)
    for (long c = i; c < i + width; ++c) {
      const T s = sigmoid(x[c]);
      slopes[c] = x[c + width] * (s * (T(1) + x[c] * (T(1) - s)));
      slopes[c + width] = x[c] * s;
    }
}

template <class T>
void swiglu_backward_by_slopes(T* dx, const T* dy, const T* slopes, int rows, int width, bool accumulate) {
  for (long i = 0; i < static_cast<long>(rows) * 2 * width; i += 2 * width, dy += width)
    for (int c = 0; c < 2 * width; ++c) {
      const T d = dy[c % width] * slopes[i + c];
      dx[i + c] = accumulate ? dx[i + c] + d : d;
    }
}

// dy = dy/dgate dgate + dy/dup dup
template <class T>
void swiglu_tangent(T* dy, const T* dx, const T* slopes, int rows, int width) {
  for (long i = 0; i < static_cast<long>(rows) * 2 * width; i += 2 * width, dy += width)
    for (long c = 0; c < width; ++c)
      dy[c] = slopes[i + c] * dx[i + c] + slopes[i + width + c] * dx[i + width + c];
}

// y = a + b, or y += a
template <class T>
void add(T* y, const T* a, const T* b, long n) {
  if (b)
    for (long i = 0; i < n; ++i) y[i] = a[i] + b[i];
  else
    for (long i = 0; i < n; ++i) y[i] += a[i];
}

// Median plus cumulative softplus steps, so that quantiles cannot cross.
//   q, raw (rows, outputs, levels)
template <class T>
void quantiles_forward(T* q, const T* raw, int rows, int outputs, int levels, int middle) {
  for (long i = 0; i < static_cast<long>(rows) * outputs; ++i) {
    const T* r = raw + i * levels;
    T* qi = q + i * levels;
    qi[middle] = r[middle];
    for (int l = middle + 1; l < levels; ++l) qi[l] = qi[l - 1] + softplus(r[l]);
    for (int l = middle - 1; l >= 0; --l) qi[l] = qi[l + 1] - softplus(r[l]);
  }
}

// A step moves every quantile beyond it: its gradient is a suffix (above) or prefix (below) sum of dq.
template <class T>
void quantiles_backward(T* draw, const T* dq, const T* raw, int rows, int outputs, int levels, int middle,
                        bool accumulate) {
  for (long i = 0; i < static_cast<long>(rows) * outputs; ++i) {
    const T* r = raw + i * levels;
    const T* d = dq + i * levels;
    T* out = draw + i * levels;
    T above = 0, below = 0;
    for (int l = levels - 1; l > middle; --l) {
      above += d[l];
      out[l] = (accumulate ? out[l] : T(0)) + above * sigmoid(r[l]);
    }
    for (int l = 0; l < middle; ++l) {
      below += d[l];
      out[l] = (accumulate ? out[l] : T(0)) - below * sigmoid(r[l]);
    }
    out[middle] = (accumulate ? out[middle] : T(0)) + above + d[middle] + below;
  }
}

template <class T>
void quantiles_tangent(T* dq, const T* draw, const T* raw, int rows, int outputs, int levels, int middle) {
  for (long i = 0; i < static_cast<long>(rows) * outputs; ++i, dq += levels, draw += levels, raw += levels) {
    dq[middle] = draw[middle];
    for (int l = middle + 1; l < levels; ++l) dq[l] = dq[l - 1] + sigmoid(raw[l]) * draw[l];
    for (int l = middle - 1; l >= 0; --l) dq[l] = dq[l + 1] - sigmoid(raw[l]) * draw[l];
  }
}

}  // namespace emisopt::kernels::ref
