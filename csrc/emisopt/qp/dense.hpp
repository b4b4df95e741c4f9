// Small dense algebra of the QP solver, fp64, row-major, on memory of the caller: it never allocates. What
// costs n^2 and more is the engine's (kernels/dense.hpp), on the instructions of this CPU; single rows stay
// plain loops, whose four partial sums let the compiler vectorise a dot product without reassociating it
// behind our back.
#pragma once
#include "emisopt/base/types.hpp"
#include "kernels/dense.hpp"

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
  kernels::dense_table().gemv(y, m.data, m.stride, x, static_cast<int>(m.rows), static_cast<int>(m.cols));
}

/// y (c) += M (r,c)' x (r)
inline void add_transposed(double* y, ConstView m, const double* x) {
  kernels::dense_table().gemv_transposed(y, m.data, m.stride, x, static_cast<int>(m.rows),
                                         static_cast<int>(m.cols));
}

/// Lower triangle of K (n,n) += A' diag(weight) A, A (r,n). `work`: kernels::dense_work(n).
inline void add_squares(View k, ConstView a, const double* weight, double* work) {
  kernels::dense_table().syrk_transposed(k.data, k.stride, a.data, a.stride, weight, static_cast<int>(k.rows),
                                         static_cast<int>(a.rows), true, work);
}

/// K (n,n) = L L', lower triangle in place. False when a pivot is not positive (or NaN).
inline bool cholesky(View k, double* work) {
  return kernels::dense_table().potrf(k.data, k.stride, static_cast<int>(k.rows), work) < 0;
}

/// x (n) = (L L')^-1 x
inline void cholesky_solve(double* x, ConstView l) {
  const kernels::DenseTable& table = kernels::dense_table();
  table.trsv(x, l.data, l.stride, static_cast<int>(l.rows));
  table.trsv_transposed(x, l.data, l.stride, static_cast<int>(l.rows));
}

}  // namespace emisopt::dense
