// Products and solves with one vector: bound by loads, so each entry of a matrix is read once, along its
// rows.

// Lane r: the sum over a row r of (rows, cols) times x. One vector of partial sums per row, whichever rows
// share a call.
template <int kRows>
inline __attribute__((always_inline)) void row_sums(V (&sums)[kLanes], const double* a, long lda,
                                                    const double* x, int cols) {
#pragma GCC unroll 8
  for (int r = 0; r < kLanes; ++r) sums[r] = zero();
  int j = 0;
  for (; j + kLanes <= cols; j += kLanes) {
    const V xj = load(x + j);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sums[r] = fma(load(a + r * lda + j), xj, sums[r]);
  }
  if (j < cols) {
    const Mask m = first(cols - j);
    const V xj = load(x + j, m);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sums[r] = fma(load(a + r * lda + j, m), xj, sums[r]);
  }
}

inline V row_products(const double* a, long lda, const double* x, int rows, int cols) {
  V s[kLanes];
  if (rows >= kLanes) {
    row_sums<kLanes>(s, a, lda, x, cols);
    return sums(s);
  }
  double each[kLanes] = {};
  int r = 0;
#if defined(__AVX512F__)
  if (rows >= 4) {
    row_sums<4>(s, a, lda, x, cols);
    store(each, sums(s), first(4));
    r = 4;
  }
#endif
  for (; r < rows; ++r) {
    row_sums<1>(s, a + r * lda, lda, x, cols);
    each[r] = sum(s[0]);
  }
  return load(each);
}

void gemv(double* y, const double* a, long lda, const double* x, int rows, int cols) {
  for (int i = 0; i < rows; i += kLanes) {
    const int count = least(kLanes, rows - i);
    const V s = row_products(a + i * lda, lda, x, count, cols);
    if (count == kLanes)
      store(y + i, s);
    else
      store(y + i, s, first(count));
  }
}

// y (cols) += sum over kRows rows of x[r] a[r]
template <int kRows>
inline __attribute__((always_inline)) void add_rows(double* y, const double* a, long lda, const double* x,
                                                    int cols) {
  V w[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) w[r] = set(x[r]);
  int j = 0;
  for (; j + kLanes <= cols; j += kLanes) {
    V s = load(y + j);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) s = fma(load(a + r * lda + j), w[r], s);
    store(y + j, s);
  }
  if (j < cols) {
    const Mask m = first(cols - j);
    V s = load(y + j, m);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) s = fma(load(a + r * lda + j, m), w[r], s);
    store(y + j, s, m);
  }
}

// y (at most kVectors vectors, the last one of `tail` lanes) += A' x, y in registers: the same chain per
// entry.
template <int kVectors>
void add_narrow(double* y, const double* a, long lda, const double* x, int rows, int tail) {
  const Mask m = first(tail);
  auto get = [m](const double* p, int v) __attribute__((always_inline)) {
    return v == kVectors - 1 ? load(p + v * kLanes, m) : load(p + v * kLanes);
  };
  V s[kVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) s[v] = get(y, v);
  for (int i = 0; i < rows; ++i, a += lda) {
    const V w = set(x[i]);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) s[v] = fma(get(a, v), w, s[v]);
  }
#pragma GCC unroll 8
  for (int v = 0; v + 1 < kVectors; ++v) store(y + v * kLanes, s[v]);
  store(y + (kVectors - 1) * kLanes, s[kVectors - 1], m);
}

constexpr long kFirstCache = 4096;  // doubles

void gemv_transposed(double* y, const double* a, long lda, const double* x, int rows, int cols) {
  if (static_cast<long>(rows) * cols <=
      kFirstCache) {  // columns side by side, whatever lies between the rows
    for (int j = 0; j < cols;) {
      const int vectors = least(8, vectors_of(cols - j));
      const int tail = least(kLanes, cols - j - (vectors - 1) * kLanes);
      using Narrow = void (*)(double*, const double*, long, const double*, int, int);
      constexpr Narrow kWidths[] = {add_narrow<1>, add_narrow<2>, add_narrow<3>, add_narrow<4>,
                                    add_narrow<5>, add_narrow<6>, add_narrow<7>, add_narrow<8>};
      kWidths[vectors - 1](y + j, a + j, lda, x, rows, tail);
      j += vectors * kLanes;
    }
    return;
  }
  int i = 0;
  for (; i + 8 <= rows; i += 8) add_rows<8>(y, a + i * lda, lda, x + i, cols);
  if (i + 4 <= rows) {
    add_rows<4>(y, a + i * lda, lda, x + i, cols);
    i += 4;
  }
  for (; i < rows; ++i) add_rows<1>(y, a + i * lda, lda, x + i, cols);
}

// A word of lanes at a time: where entries lie differs from row to row, and no branch should depend on it.
int entries(int* columns, int limit, const double* a, int n) {
  int count = 0;
  for (int from = 0; from < n && count <= limit; from += 64) {
    unsigned long long lanes = 0;
    const int end = least(64, n - from);
    int j = 0;
    for (; j + kLanes <= end; j += kLanes)
      lanes |= static_cast<unsigned long long>(entry_lanes(load(a + from + j))) << j;
    if (j < end)
      lanes |= static_cast<unsigned long long>(entry_lanes(load(a + from + j, first(end - j)))) << j;
    for (; lanes && count <= limit; lanes &= lanes - 1, ++count)
      if (count < limit) columns[count] = from + __builtin_ctzll(lanes);
  }
  return count;
}

// Rows i .. i + kLanes - 1 left of the diagonal block serve twice: y_i += K_ij x_j and y_j += K_ij x_i.
void symv(double* y, const double* k, long ldk, const double* x, int n) {
  for (int i = 0; i < n; i += kLanes) {
    const int rows = least(kLanes, n - i);
    const double* at = k + i * ldk;
    V s[kLanes], w[kLanes];
#pragma GCC unroll 8
    for (int r = 0; r < kLanes; ++r) {
      s[r] = zero();
      w[r] = r < rows ? set(x[i + r]) : zero();
    }
    if (rows == kLanes) {
      for (int j = 0; j < i; j += kLanes) {
        const V xj = load(x + j);
        V yj = load(y + j), odd = zero();  // two chains: one would be the longest of the loop
#pragma GCC unroll 8
        for (int r = 0; r < kLanes; ++r) {
          const V a = load(at + r * ldk + j);
          s[r] = fma(a, xj, s[r]);
          if (r % 2 == 0)
            yj = fma(a, w[r], yj);
          else
            odd = fma(a, w[r], odd);
        }
        store(y + j, add(yj, odd));
      }
    } else {
      for (int j = 0; j < i; j += kLanes) {
        const V xj = load(x + j);
        V yj = load(y + j);
        for (int r = 0; r < rows; ++r) {
          const V a = load(at + r * ldk + j);
          s[r] = fma(a, xj, s[r]);
          yj = fma(a, w[r], yj);
        }
        store(y + j, yj);
      }
    }
    // the diagonal block: row r holds columns 0..r, its transpose without the diagonal the others
    const Mask here = first(rows);
    const V xi = load(x + i, here);
    V own = zero();
#pragma GCC unroll 8
    for (int r = 0; r < kLanes; ++r) {
      if (r >= rows) break;
      s[r] = fma(load(at + r * ldk + i, first(r + 1)), xi, s[r]);
      own = fma(load(at + r * ldk + i, first(r)), w[r], own);
    }
    store(y + i, add(sums(s), own), here);
  }
}

// t lane c .. : t -= t_c column[c], for c rising or falling. Columns hold zeros where nothing is to change.
template <int kLane>
inline __attribute__((always_inline)) void eliminate(V& t, const V* column) {
  t = fnma(spread<kLane>(t), column[kLane], t);
  if constexpr (kLane + 1 < kLanes) eliminate<kLane + 1>(t, column);
}
template <int kLane>
inline __attribute__((always_inline)) void eliminate_back(V& t, const V* row) {
  t = fnma(spread<kLane>(t), row[kLane], t);
  if constexpr (kLane > 0) eliminate_back<kLane - 1>(t, row);
}

// 1 / diagonal of the block at l; 1 in lanes beyond `rows`.
inline V reciprocals(const double* l, long ldl, int rows) {
  double pivot[kLanes];
#pragma GCC unroll 8
  for (int r = 0; r < kLanes; ++r) pivot[r] = r < rows ? l[r * (ldl + 1)] : 1;
  return div(set(1), load(pivot));
}

void trsv(double* x, const double* l, long ldl, int n) {
  for (int i = 0; i < n; i += kLanes) {
    const int rows = least(kLanes, n - i);
    const double *left = l + i * ldl, *block = left + i;
    V column[kLanes];
#pragma GCC unroll 8
    for (int r = 0; r < kLanes; ++r) column[r] = r < rows ? load(block + r * ldl, first(r)) : zero();
    transpose(column);  // strictly lower: lanes 0..c of column c are 0
    const V inverse = reciprocals(block, ldl, rows);
#pragma GCC unroll 8
    for (int c = 0; c < kLanes; ++c) column[c] = mul(column[c], inverse);
    const V known = row_products(left, ldl, x, rows, i);
    V t = mul(sub(rows == kLanes ? load(x + i) : load(x + i, first(rows)), known), inverse);
    eliminate<0>(t, column);
    if (rows == kLanes)
      store(x + i, t);
    else
      store(x + i, t, first(rows));
  }
}

void trsv_transposed(double* x, const double* l, long ldl, int n) {
  for (int i = (n - 1) / kLanes * kLanes; i >= 0; i -= kLanes) {
    const int rows = least(kLanes, n - i);
    const double* left = l + i * ldl;
    const Mask here = first(rows);
    const V inverse = reciprocals(left + i, ldl, rows);
    V row[kLanes];
#pragma GCC unroll 8
    for (int r = 0; r < kLanes; ++r)
      row[r] = r < rows ? mul(load(left + i + r * ldl, first(r)), inverse) : zero();
    V t = mul(load(x + i, here), inverse);
    eliminate_back<kLanes - 1>(t, row);
    store(x + i, t, here);
    double solved[kLanes];
    store(solved, negate(t));
    if (rows == kLanes)
      add_rows<kLanes>(x, left, ldl, solved, i);
    else
      for (int r = 0; r < rows; ++r) add_rows<1>(x, left + r * ldl, ldl, solved + r, i);
  }
}
