// Small dense algebra of the QP solver, fp64, row-major, on memory of the caller: it never allocates.
// At the sizes of control (n <= ~200) these loops live in cache; four partial sums let the compiler
// vectorise a dot product without reassociating it behind our back.
#pragma once
#include <cmath>

#include "emisopt/base/types.hpp"

namespace emisopt::dense {

/// a (n) . b (n)
inline double dot(const double* a, const double* b, Index n) {
  double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  Index i = 0;
  for (; i + 4 <= n; i += 4) {
    s0 += a[i] * b[i];
    s1 += a[i + 1] * b[i + 1];
    s2 += a[i + 2] * b[i + 2];
    s3 += a[i + 3] * b[i + 3];
  }
  for (; i < n; ++i) s0 += a[i] * b[i];
  return (s0 + s1) + (s2 + s3);
}

/// y (n) += alpha x (n)
inline void axpy(double* y, double alpha, const double* x, Index n) {
  for (Index i = 0; i < n; ++i) y[i] += alpha * x[i];
}

/// y (r) = M (r,c) x (c)
inline void multiply(double* y, ConstView m, const double* x) {
  for (Index i = 0; i < m.rows; ++i) y[i] = dot(m.row(i), x, m.cols);
}

/// y (c) += M (r,c)' x (r)
inline void add_transposed(double* y, ConstView m, const double* x) {
  for (Index i = 0; i < m.rows; ++i)
    if (x[i] != 0) axpy(y, x[i], m.row(i), m.cols);
}

/// Lower triangle of K (n,n) += weight a a'. Zeros of `a` are skipped: rate rows hold two entries.
inline void add_outer(View k, double weight, const double* a) {
  for (Index i = 0; i < k.rows; ++i)
    if (a[i] != 0) axpy(k.row(i), weight * a[i], a, i + 1);
}

/// K (n,n) = L L', lower triangle in place. False when a pivot is not positive (or NaN).
inline bool cholesky(View k) {
  for (Index i = 0; i < k.rows; ++i) {
    double* ki = k.row(i);
    for (Index j = 0; j < i; ++j) ki[j] = (ki[j] - dot(ki, k.row(j), j)) / k(j, j);
    const double pivot = ki[i] - dot(ki, ki, i);
    if (!(pivot > 0) || !std::isfinite(pivot)) return false;
    ki[i] = std::sqrt(pivot);
  }
  return true;
}

/// x (n) = (L L')^-1 x
inline void cholesky_solve(double* x, ConstView l) {
  for (Index i = 0; i < l.rows; ++i) x[i] = (x[i] - dot(l.row(i), x, i)) / l(i, i);
  for (Index i = l.rows - 1; i >= 0; --i) {
    x[i] /= l(i, i);
    axpy(x, -x[i], l.row(i), i);
  }
}

}  // namespace emisopt::dense
