// Register tiles of kTileRows x 3 vectors, products and syrk. Every c[i][j] is one chain of fused
// multiply-adds over l = 0..k-1 that begins with what c held, whatever the tile and wherever the chain is
// cut.

constexpr int kTileRows = kLanes;  // 8 x 3 sums + 3 of b of 32 registers; AVX2: 4 x 3 + 3 + 1 of 16
constexpr int kTileVectors = 3;
constexpr int kTileColumns = kTileVectors * kLanes;
constexpr int kDepth = 128;  // inner indices at a time, so that packed parts stay in the caches

enum class Begin { zero, plus, minus };  // c = a b, c += a b, c -= a b

struct Tile {
  double* c;  // (rows, columns)
  long ldc;
  const double* a;  // a(i, l) at a[i * a_row + l * a_col]
  long a_row, a_col;
  const double* b;  // (k, columns)
  long ldb;
  int k;
  Begin begin;
  int columns;   // masked tiles: 1 .. vectors * kLanes
  int diagonal;  // masked tiles: row i ends after column diagonal + i; >= columns: nowhere
};

// The sums of a tile: -c + a b when subtracting, so that one loop serves; negation loses nothing.
template <int kRows, int kVectors, bool kMasked>
inline __attribute__((always_inline)) void accumulate(const Tile& t, V (&sums)[kRows][kVectors]) {
  Mask mask[kVectors];
#pragma GCC unroll 3
  for (int v = 0; v < kVectors; ++v) mask[v] = first(kMasked ? t.columns - v * kLanes : kLanes);
  auto get = [&mask](const double* p, int v) __attribute__((always_inline)) {
    return kMasked ? load(p + v * kLanes, mask[v]) : load(p + v * kLanes);
  };
  if (t.begin == Begin::zero) {
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) sums[i][v] = zero();
  } else {
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const int end = t.diagonal + i + 1 < t.columns ? t.diagonal + i + 1 : t.columns;
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) {
        const double* p = t.c + i * t.ldc + v * kLanes;
        const V x = kMasked ? load(p, first(end - v * kLanes)) : load(p);
        sums[i][v] = t.begin == Begin::minus ? negate(x) : x;
      }
    }
  }
  const double* a = t.a;
  const double* b = t.b;
  for (int l = 0; l < t.k; ++l, a += t.a_col, b += t.ldb) {
    V bl[kVectors];
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) bl[v] = get(b, v);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const V ail = set(a[i * t.a_row]);
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) sums[i][v] = fma(ail, bl[v], sums[i][v]);
    }
  }
}

template <int kRows, int kVectors, bool kMasked>
inline __attribute__((always_inline)) void put(const Tile& t, const V (&sums)[kRows][kVectors]) {
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    const int end = t.diagonal + i + 1 < t.columns ? t.diagonal + i + 1 : t.columns;
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) {
      double* p = t.c + i * t.ldc + v * kLanes;
      const V x = t.begin == Begin::minus ? negate(sums[i][v]) : sums[i][v];
      if (kMasked)
        store(p, x, first(end - v * kLanes));
      else
        store(p, x);
    }
  }
}

template <int kRows, int kVectors, bool kMasked>
void product_tile(const Tile& t) {
  V sums[kRows][kVectors];
  accumulate<kRows, kVectors, kMasked>(t, sums);
  put<kRows, kVectors, kMasked>(t, sums);
}

using TileFunction = void (*)(const Tile&);
template <int kRows>
void product_rows(const Tile& t, int vectors) {
  constexpr TileFunction kWidths[] = {product_tile<kRows, 1, true>, product_tile<kRows, 2, true>,
                                      product_tile<kRows, 3, true>};
  kWidths[vectors - 1](t);
}

inline int vectors_of(int columns) { return (columns + kLanes - 1) / kLanes; }
// Rows of the next tile when `left` are left: kTileRows, then powers of two, to keep the tiles few.
inline int tile_rows(int left) { return left >= kTileRows ? kTileRows : left >= 4 ? 4 : left >= 2 ? 2 : 1; }

// A tile of tile_rows() rows. Whole ones run without masks.
void product(const Tile& t, int rows) {
  const int vectors = vectors_of(t.columns);
  if (rows == kTileRows && t.columns == vectors * kLanes && t.diagonal >= t.columns) {
    constexpr TileFunction kWidths[] = {product_tile<kTileRows, 1, false>, product_tile<kTileRows, 2, false>,
                                        product_tile<kTileRows, 3, false>};
    kWidths[vectors - 1](t);
  } else if (rows == kTileRows) {
    product_rows<kTileRows>(t, vectors);
  } else if (rows == 4) {
    product_rows<4>(t, vectors);
  } else if (rows == 2) {
    product_rows<2>(t, vectors);
  } else {
    product_rows<1>(t, vectors);
  }
}

inline int least(int a, int b) { return a < b ? a : b; }

void gemm(double* c, long ldc, const double* a, long a_row, long a_col, const double* b, long ldb, int m,
          int n, int k, bool accumulate) {
  for (int j = 0; j < n; j += kTileColumns)
    for (int i = 0, rows; i < m; i += rows) {
      rows = tile_rows(m - i);
      product({c + i * ldc + j, ldc, a + i * a_row, a_row, a_col, b + j, ldb, k,
               accumulate ? Begin::plus : Begin::zero, least(kTileColumns, n - j), kTileColumns},
              rows);
    }
}

// Lower triangle of c (n, n) from a(i, l) = a[i + l * lda] and b (k, n): panels of columns, of b in the first
// cache, times strips of rows.
void lower_product(double* c, long ldc, const double* a, long lda, const double* b, long ldb, int n, int k,
                   Begin begin) {
  for (int j = 0; j < n; j += kTileColumns)
    for (int i = j, rows; i < n; i += rows) {
      rows = tile_rows(n - i);
      product({c + i * ldc + j, ldc, a + i, 1, lda, b + j, ldb, k, begin, least(kTileColumns, i + rows - j),
               i - j},
              rows);
    }
}

// Rows in work: an odd number of cache lines, or rows of one column would share few sets of a cache.
inline long padded(int n) { return ((n + 7) / 8 | 1) * 8L; }

// to (cols, rows; stride ldt) = from (rows, cols; stride ldf) transposed, in blocks in registers.
void transpose_to(double* to, long ldt, const double* from, long ldf, int rows, int cols) {
  int i = 0;
  for (; i + kLanes <= rows; i += kLanes) {
    int j = 0;
    for (; j + kLanes <= cols; j += kLanes) {
      V r[kLanes];
#pragma GCC unroll 8
      for (int q = 0; q < kLanes; ++q) r[q] = load(from + (i + q) * ldf + j);
      transpose(r);
#pragma GCC unroll 8
      for (int q = 0; q < kLanes; ++q) store(to + (j + q) * ldt + i, r[q]);
    }
    for (; j < cols; ++j)
      for (int q = 0; q < kLanes; ++q) to[j * ldt + i + q] = from[(i + q) * ldf + j];
  }
  for (; i < rows; ++i)
    for (int j = 0; j < cols; ++j) to[j * ldt + i] = from[i * ldf + j];
}

// to (n) = w from
inline void scaled_row(double* to, const double* from, double w, int n) {
  const V weight = set(w);
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) store(to + i, mul(weight, load(from + i)));
  if (i < n) store(to + i, mul(weight, load(from + i, first(n - i))), first(n - i));
}

constexpr int kPackFrom = 96;  // order from which rows far apart cost more than copying them together

void syrk_transposed(double* c, long ldc, const double* a, long lda, const double* w, int n, int k,
                     bool accumulate, double* work) {
  Begin begin = accumulate ? Begin::plus : Begin::zero;
  const long ldw = padded(n);
  double *rows = work, *weighted = work + kDepth * ldw;
  int at = 0;
  do {  // once for k = 0: C is cleared
    const int depth = least(kDepth, k - at);
    const double *b = a + at * lda, *scaled = b;
    long ldb = lda, lds = lda;
    if (n >= kPackFrom) {
      for (int l = 0; l < depth; ++l) scaled_row(rows + l * ldw, b + l * lda, 1, n);
      b = scaled = rows;
      ldb = lds = ldw;
    }
    if (w) {
      for (int l = 0; l < depth; ++l) scaled_row(weighted + l * ldw, b + l * ldb, w[at + l], n);
      scaled = weighted;
      lds = ldw;
    }
    lower_product(c, ldc, scaled, lds, b, ldb, n, depth, begin);
    begin = Begin::plus;
    at += depth;
  } while (at < k);
}

void syrk(double* c, long ldc, const double* a, long lda, const double* w, int n, int k, bool accumulate,
          double* work) {
  Begin begin = accumulate ? Begin::plus : Begin::zero;
  const long ldw = padded(n);
  double *rows = work, *weighted = work + kDepth * ldw;
  int at = 0;
  do {
    const int depth = least(kDepth, k - at);
    transpose_to(rows, ldw, a + at, lda, n, depth);
    if (w)
      for (int l = 0; l < depth; ++l) scaled_row(weighted + l * ldw, rows + l * ldw, w[at + l], n);
    lower_product(c, ldc, w ? weighted : rows, ldw, rows, ldw, n, depth, begin);
    begin = Begin::plus;
    at += depth;
  } while (at < k);
}
