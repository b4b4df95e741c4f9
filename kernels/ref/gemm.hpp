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

constexpr int kPanel = 8;

// packed (ceil(n / kPanel), k, kPanel) = b (k, n), or the transpose of b (n, k)
template <class T>
void pack(T* packed, const T* b, long ldb, int k, int n, bool transposed) {
  for (int j = 0; j < n; j += kPanel)
    for (int l = 0; l < k; ++l)
      for (int v = j; v < j + kPanel; ++v)
        *packed++ = v < n ? (transposed ? b[v * ldb + l] : b[l * ldb + v]) : T(0);
}

template <class T>
void gemm_packed(T* c, long ldc, const T* a, long lda, const T* packed, const T* bias, int m, int n, int k,
                 bool accumulate) {
  for (int j = 0; j < n; j += kPanel)
    gemm(c + j, ldc, a, lda, 1L, packed + static_cast<long>(j) * k, long{kPanel}, bias ? bias + j : bias, m,
         n - j < kPanel ? n - j : kPanel, k, accumulate);
}

// c (k, n) = or += a^T b   a (m, k)   b (m, n)
template <class T>
void gemm_over_rows(T* c, const T* a, const T* b, int m, int k, int n, T*, bool accumulate) {
  gemm(c, long{n}, a, 1L, long{k}, b, long{n}, static_cast<const T*>(nullptr), k, n, m, accumulate);
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
