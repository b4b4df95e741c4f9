// The controller's dense algebra as plain loops: the definition (kernels/dense.hpp says what each does).
#pragma once
#include <cmath>
#include <type_traits>

namespace emisopt::kernels::ref {

template <class T>
void gemv(T* y, const T* a, long lda, const T* x, int rows, int cols) {
  for (int i = 0; i < rows; ++i) {
    T s = 0;
    for (int j = 0; j < cols; ++j) s += a[i * lda + j] * x[j];
    y[i] = s;
  }
}

template <class T>
void gemv_transposed(T* y, const T* a, long lda, const T* x, int rows, int cols) {
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < cols; ++j) y[j] += a[i * lda + j] * x[i];
}

template <class T>
void turn(T* to, long ldt, T* carry, const T* a, long lda, const T* turns, int count, int cols) {
  for (int j = 0; j < cols; ++j)
    for (int r = 0; r < count; ++r) {
      const T* t = turns + 4 * r;
      const T c = carry[j], x = a[r * lda + j];
      to[r * ldt + j] = t[0] * c + t[1] * x;
      carry[j] = t[2] * c + t[3] * x;
    }
}

template <class T>
int entries(int* columns, int limit, const T* a, int n) {
  int count = 0;
  for (int j = 0; j < n && count <= limit; ++j) {
    if (a[j] == 0) continue;
    if (count < limit) columns[count] = j;
    ++count;
  }
  return count;
}

template <class T>
void symv(T* y, const T* k, long ldk, const T* x, int n) {
  for (int i = 0; i < n; ++i) {
    T s = 0;
    for (int j = 0; j < n; ++j) s += (j <= i ? k[i * ldk + j] : k[j * ldk + i]) * x[j];
    y[i] = s;
  }
}

template <class T>
void dense_gemm(T* c, long ldc, const T* a, long a_row, long a_col, const T* b, long ldb, int m, int n, int k,
                bool accumulate) {
  for (int i = 0; i < m; ++i) {
    if (!accumulate)
      for (int j = 0; j < n; ++j) c[i * ldc + j] = 0;
    for (int l = 0; l < k; ++l)
      for (int j = 0; j < n; ++j) c[i * ldc + j] += a[i * a_row + l * a_col] * b[l * ldb + j];
  }
}

// a(l, i) at a[l * row + i * col]: A' diag(w) A, and with the strides exchanged A diag(w) A'
template <class T>
void add_squares(T* c, long ldc, const T* a, long row, long col, const T* w, int n, int k, bool accumulate) {
  for (int i = 0; i < n; ++i) {
    if (!accumulate)
      for (int j = 0; j <= i; ++j) c[i * ldc + j] = 0;
    for (int l = 0; l < k; ++l) {
      const T weighted = w ? w[l] * a[l * row + i * col] : a[l * row + i * col];
      for (int j = 0; j <= i; ++j) c[i * ldc + j] += weighted * a[l * row + j * col];
    }
  }
}
template <class T>
void syrk_transposed(T* c, long ldc, const T* a, long lda, const T* w, int n, int k, bool accumulate, T*) {
  add_squares(c, ldc, a, lda, 1, w, n, k, accumulate);
}
template <class T>
void syrk(T* c, long ldc, const T* a, long lda, const T* w, int n, int k, bool accumulate, T*) {
  add_squares(c, ldc, a, 1, lda, w, n, k, accumulate);
}

template <class T>
int potrf(T* k, long ldk, int n, T*) {
  for (int i = 0; i < n; ++i) {
    T* ki = k + i * ldk;
    for (int j = 0; j <= i; ++j) {
      const T* kj = k + j * ldk;
      T s = ki[j];
      for (int l = 0; l < j; ++l) s -= ki[l] * kj[l];
      if (j < i) {
        ki[j] = s / kj[j];
        continue;
      }
      if (!(s > 0) || !std::isfinite(s)) return i;
      ki[i] = std::sqrt(s);
    }
  }
  return -1;
}

template <class T>
void trsm(T* b, long ldb, const T* l, long ldl, int n, int m) {
  for (int i = 0; i < n; ++i)
    for (int c = 0; c < m; ++c) {
      T s = b[i * ldb + c];
      for (int j = 0; j < i; ++j) s -= l[i * ldl + j] * b[j * ldb + c];
      b[i * ldb + c] = s / l[i * ldl + i];
    }
}
template <class T>
void trsm_transposed(T* b, long ldb, const T* l, long ldl, int n, int m) {
  for (int i = n - 1; i >= 0; --i)
    for (int c = 0; c < m; ++c) {
      T s = b[i * ldb + c];
      for (int j = n - 1; j > i; --j) s -= l[j * ldl + i] * b[j * ldb + c];
      b[i * ldb + c] = s / l[i * ldl + i];
    }
}
template <class T>
void trsv(T* x, const T* l, long ldl, int n) {
  trsm(x, 1, l, ldl, n, 1);
}
template <class T>
void trsv_transposed(T* x, const T* l, long ldl, int n) {
  trsm_transposed(x, 1, l, ldl, n, 1);
}

template <class T>
int update(T* l, long ldl, T* x, int n, T*) {
  for (int k = 0; k < n; ++k) {
    T& pivot = l[k * ldl + k];
    const T length = std::sqrt(pivot * pivot + x[k] * x[k]);
    if (!(length > 0) || !std::isfinite(length)) return k;
    const T c = pivot / length, s = x[k] / length;
    pivot = length;
    for (int i = k + 1; i < n; ++i) {
      const T old = l[i * ldl + k];
      l[i * ldl + k] = c * old + s * x[i];
      x[i] = c * x[i] - s * old;
    }
  }
  return -1;
}

template <class T>
bool downdate(T* l, long ldl, T* x, int n, T* work) {
  trsv(x, l, ldl, n);
  T left = 1;
  for (int i = 0; i < n; ++i) left -= x[i] * x[i];
  if (!(left > 8 * (n + 8) * (std::is_same_v<T, float> ? T(0x1p-23) : T(0x1p-52)))) return false;
  T* carried = work;  // (n)
  for (int i = 0; i < n; ++i) carried[i] = 0;
  T rest = std::sqrt(left);
  for (int k = n - 1; k >= 0; --k) {
    const T length = std::sqrt(rest * rest + x[k] * x[k]), c = rest / length, s = x[k] / length;
    rest = length;
    for (int i = k; i < n; ++i) {
      const T old = l[i * ldl + k];
      l[i * ldl + k] = c * old - s * carried[i];
      carried[i] = c * carried[i] + s * old;
    }
  }
  return true;
}

}  // namespace emisopt::kernels::ref
