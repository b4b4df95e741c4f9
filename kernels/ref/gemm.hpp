// Matrix product, transpose and column sums as plain loops: the definition.
#pragma once

namespace emisopt::kernels::ref {

// c (m, n) = a b + bias, or += a b.   a[i * a_row + l * a_col]   b (k, n)   bias (n) or null
template <class T>
void gemm(T* c, long ldc, const T* a, long a_row, long a_col, const T* b, long ldb, const T* bias, int m,
          int n, int k, bool accumulate) {
  for (int i = 0; i < m; ++i) {
    T* ci = c + i * ldc;  // (n)
    if (!accumulate)
      for (int j = 0; j < n; ++j) ci[j] = bias ? bias[j] : T(0);
    for (int l = 0; l < k;
         ++l) {  // l outside: rows of b stay contiguous, each c[i][j] keeps its order over l
      const T ail = a[i * a_row + l * a_col];
      const T* bl = b + l * ldb;  // (n)
      for (int j = 0; j < n; ++j) ci[j] += ail * bl[j];
    }
  }
}

// b (cols, rows) = a (rows, cols) transposed
template <class T>
void transpose(T* b, long ldb, const T* a, long lda, int rows, int cols) {
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < cols; ++j) b[j * ldb + i] = a[i * lda + j];
}

// sum (n) += sum over rows of x (rows, n)
template <class T>
void column_sum(T* sum, const T* x, int rows, int n) {
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < n; ++j) sum[j] += x[static_cast<long>(i) * n + j];
}

}  // namespace emisopt::kernels::ref
