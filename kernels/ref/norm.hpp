// RMSNorm (Zhang, Sennrich 2019) and rotary positions (Su et al. 2021), forward and backward.
#pragma once
#include <cmath>

namespace emisopt::kernels::ref {

// y = x * rstd * w, rstd = 1 / sqrt(mean(x^2) + eps).   y, x (rows, width)   rstd (rows)   w (width)
template <class T>
void rmsnorm_forward(T* y, T* rstd, const T* x, const T* w, int rows, int width, T eps) {
  for (int i = 0; i < rows; ++i) {
    const T* xi = x + static_cast<long>(i) * width;
    T* yi = y + static_cast<long>(i) * width;
    T squares = 0;
    for (int c = 0; c < width; ++c) squares += xi[c] * xi[c];
    rstd[i] = T(1) / std::sqrt(squares / T(width) + eps);
    for (int c = 0; c < width; ++c) yi[c] = xi[c] * rstd[i] * w[c];
  }
}

// With g = dy * w: dx = rstd * (g - x * rstd^2 * mean(g * x)), dw = sum over rows of dy * x * rstd. Either
// may be null.
template <class T>
void rmsnorm_backward(T* dx, T* dw, const T* dy, const T* x, const T* rstd, const T* w, int rows, int width,
                      bool accumulate) {
  for (int i = 0; i < rows; ++i) {
    const long at = static_cast<long>(i) * width;
    T dot = 0;
    for (int c = 0; c < width; ++c) dot += dy[at + c] * w[c] * x[at + c];
    const T pull = rstd[i] * rstd[i] * rstd[i] * dot / T(width);
    for (int c = 0; dx && c < width; ++c) {
      const T d = rstd[i] * dy[at + c] * w[c] - pull * x[at + c];
      dx[at + c] = accumulate ? dx[at + c] + d : d;
    }
    if (dw)
      for (int c = 0; c < width; ++c) dw[c] += dy[at + c] * x[at + c] * rstd[i];
  }
}

// dy = w rstd (dx - x rstd^2 mean(x dx))
template <class T>
void rmsnorm_tangent(T* dy, const T* dx, const T* x, const T* rstd, const T* w, int rows, int width) {
  for (int i = 0; i < rows; ++i) {
    const long at = static_cast<long>(i) * width;
    T dot = 0;
    for (int c = 0; c < width; ++c) dot += x[at + c] * dx[at + c];
    const T pull = rstd[i] * rstd[i] * rstd[i] * dot / T(width);
    for (int c = 0; c < width; ++c) dy[at + c] = w[c] * (rstd[i] * dx[at + c] - pull * x[at + c]);
  }
}

// Channels (i, i + head_dim/2) of each of the first `heads` heads turn by the angle of their row; the layout
// is that of the LLaMA family's published weights.   y, x (rows, width)   cosine, sine (rows, head_dim/2)
template <class T>
void rope(T* y, const T* x, const T* cosine, const T* sine, int rows, int width, int heads, int head_dim,
          bool inverse, bool accumulate) {
  const int half = head_dim / 2;
  for (int r = 0; r < rows; ++r) {
    const T* xr = x + static_cast<long>(r) * width;
    T* yr = y + static_cast<long>(r) * width;
    const T* cr = cosine + static_cast<long>(r) * half;
    const T* sr = sine + static_cast<long>(r) * half;
    for (int h = 0; h < heads; ++h)
      for (int i = 0; i < half; ++i) {
        const int a = h * head_dim + i, b = a + half;
        const T s = inverse ? -sr[i] : sr[i];
        const T ya = xr[a] * cr[i] - xr[b] * s, yb = xr[b] * cr[i] + xr[a] * s;
        yr[a] = accumulate ? yr[a] + ya : ya;
        yr[b] = accumulate ? yr[b] + yb : yb;
      }
    for (int c = heads * head_dim; c < width; ++c) yr[c] = accumulate ? yr[c] + xr[c] : xr[c];
  }
}

}  // namespace emisopt::kernels::ref
