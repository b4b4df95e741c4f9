// Triangular solves with many right sides, and Cholesky. Both rest on one tile: sums of what is known, then
// the small triangle, without leaving the registers.

// c (rows, columns) = T^-1 (c - a b), T(i, l) = a(i, k + l) lower; `inverse` (rows): 1 / its diagonal.
template <int kRows, int kVectors, bool kMasked>
void solve_tile(const Tile& t, const double* inverse) {
  V sums[kRows][kVectors];
  accumulate<kRows, kVectors, kMasked>(t, sums);  // -c + a b
  const double* a = t.a + t.k * t.a_col;
#pragma GCC unroll 8
  for (int l = 0; l < kRows; ++l) {
    const V pivot = set(inverse[l]);
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) sums[l][v] = mul(pivot, sums[l][v]);
#pragma GCC unroll 8
    for (int i = l + 1; i < kRows; ++i) {
      const V ail = set(a[i * t.a_row + l * t.a_col]);
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) sums[i][v] = fnma(ail, sums[l][v], sums[i][v]);
    }
  }
  put<kRows, kVectors, kMasked>(t, sums);
}

using SolveFunction = void (*)(const Tile&, const double*);
template <int kRows>
void solve_rows(const Tile& t, const double* inverse, int vectors) {
  constexpr SolveFunction kWidths[] = {solve_tile<kRows, 1, true>, solve_tile<kRows, 2, true>,
                                       solve_tile<kRows, 3, true>};
  kWidths[vectors - 1](t, inverse);
}

void solve(const Tile& t, const double* inverse, int rows) {
  const int vectors = vectors_of(t.columns);
  if (rows == kTileRows && t.columns == vectors * kLanes) {
    constexpr SolveFunction kWidths[] = {solve_tile<kTileRows, 1, false>, solve_tile<kTileRows, 2, false>,
                                         solve_tile<kTileRows, 3, false>};
    kWidths[vectors - 1](t, inverse);
  } else if (rows == kTileRows) {
    solve_rows<kTileRows>(t, inverse, vectors);
  } else if (rows == 4) {
    solve_rows<4>(t, inverse, vectors);
  } else if (rows == 2) {
    solve_rows<2>(t, inverse, vectors);
  } else {
    solve_rows<1>(t, inverse, vectors);
  }
}

// b (n, m) = T^-1 b for lower T, T(i, l) at t[i * t_row + l * t_col]; strides may be negative, which makes
// the transposed system, seen from its end, the same one.
void solve_lower(double* b, long ldb, const double* t, long t_row, long t_col, int n, int m) {
  for (int i = 0, rows; i < n; i += rows) {
    rows = tile_rows(n - i);
    double inverse[kTileRows];
    for (int r = 0; r < rows; ++r) inverse[r] = 1 / t[(i + r) * (t_row + t_col)];
    for (int j = 0; j < m; j += kTileColumns)
      solve({b + i * ldb + j, ldb, t + i * t_row, t_row, t_col, b + j, ldb, i, Begin::minus,
             least(kTileColumns, m - j), kTileColumns},
            inverse, rows);
  }
}

void trsm(double* b, long ldb, const double* l, long ldl, int n, int m) {
  solve_lower(b, ldb, l, ldl, 1, n, m);
}

void trsm_transposed(double* b, long ldb, const double* l, long ldl, int n, int m) {
  if (n > 0) solve_lower(b + (n - 1) * ldb, -ldb, l + (n - 1) * (ldl + 1), -1, -ldl, n, m);
}

// u (r, r) upper, stride ldu, holds K; becomes U with U' U = K. Elimination without roots, whose chain per
// column is one division, then all roots at once. -1 or the pivot that failed; inverse (kLanes): 1 / pivots.
template <int r>
int factor_block(double* u, long ldu, double* inverse) {
  V row[r];
  double pivot[kLanes], head[kLanes];
#pragma GCC unroll 8
  for (int l = 0; l < kLanes; ++l) pivot[l] = 1;
#pragma GCC unroll 8
  for (int l = 0; l < r; ++l) row[l] = load(u + l * ldu, first(r));
#pragma GCC unroll 8
  for (int l = 0; l < r; ++l) {
    store(head, row[l]);
    const double d = head[l];
    if (!(d > 0) || !(d - d == 0)) return l;  // not positive, NaN or infinite
    pivot[l] = d;
    const V share = mul(row[l], set(1 / d));
    store(head, share);
#pragma GCC unroll 8
    for (int i = l + 1; i < r; ++i) row[i] = fnma(set(head[i]), row[l], row[i]);
  }
  const V roots = root(load(pivot)), reciprocals = div(set(1), roots);
  store(pivot, roots);
  store(inverse, reciprocals);
#pragma GCC unroll 8
  for (int l = 0; l < r; ++l) {
    store(u + l * ldu, mul(row[l], set(inverse[l])), first(r));
    u[l * ldu + l] = pivot[l];
  }
  return -1;
}

// The first `height` rows of U (width columns) from those of K in w, stride ldw. -1 or the pivot that failed.
int factor_panel(double* w, long ldw, int height, int width) {
  for (int l = 0, rows; l < height; l += rows) {
    rows = tile_rows(height - l);
    double* block = w + l * ldw + l;
    product({block, ldw, w + l, 1, ldw, w + l, ldw, l, Begin::minus, rows, kTileColumns}, rows);
    double inverse[kLanes];
    const int failed = rows == kTileRows ? factor_block<kTileRows>(block, ldw, inverse)
                       : rows == 4       ? factor_block<4>(block, ldw, inverse)
                       : rows == 2       ? factor_block<2>(block, ldw, inverse)
                                         : factor_block<1>(block, ldw, inverse);
    if (failed >= 0) return l + failed;
    for (int j = l + rows; j < width; j += kTileColumns)
      solve({w + l * ldw + j, ldw, w + l, 1, ldw, w + j, ldw, l, Begin::minus, least(kTileColumns, width - j),
             kTileColumns},
            inverse, rows);
  }
  return -1;
}

// k (rows, cols) lower trapezium = u (cols, rows; stride ldu) transposed
void put_lower(double* k, long ldk, const double* u, long ldu, int rows, int cols) {
  for (int j = 0; j < cols; j += kLanes) {
    const int width = least(kLanes, cols - j);
    V r[kLanes];
#pragma GCC unroll 8
    for (int q = 0; q < kLanes; ++q) r[q] = q < width ? load(u + (j + q) * ldu + j, first(rows - j)) : zero();
    transpose(r);
    for (int q = 0; q < least(kLanes, rows - j); ++q)
      store(k + (j + q) * ldk + j, r[q], first(least(q + 1, width)));
    if (rows - j > kLanes)
      transpose_to(k + (j + kLanes) * ldk + j, ldk, u + j * ldu + j + kLanes, ldu, width, rows - j - kLanes);
  }
}

constexpr int kOnePanel = 128;  // up to this order in one panel
constexpr int kPanel = 64;      // columns of a panel beyond

// Panels of columns: transposed into work, where the rows of U lie side by side, factored, written back, and
// subtracted from what is left of K.
int potrf(double* k, long ldk, int n, double* work) {
  for (int at = 0; at < n;) {
    const int width = n - at, height = width <= kOnePanel ? width : kPanel;
    const long ldw = padded(width);
    double* corner = k + at * ldk + at;
    for (int i = 0; i < width; i += kLanes)
      transpose_to(work + i, ldw, corner + i * ldk, ldk, least(kLanes, width - i), least(height, i + kLanes));
    const int failed = factor_panel(work, ldw, height, width);
    if (failed >= 0) return at + failed;
    put_lower(corner, ldk, work, ldw, width, height);
    if (width > height)
      lower_product(corner + height * (ldk + 1), ldk, work + height, ldw, work + height, ldw, width - height,
                    height, Begin::minus);
    at += height;
  }
  return -1;
}
