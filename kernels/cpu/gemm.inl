// c = a b (+ bias), c += a b. Register tiles of kTileRows x kTileVectors; the rows of b are read in place,
// the scalars of a broadcast. Every c[i][j] is one chain of fused multiply-adds over l = 0..k-1 whatever the
// tile, so neither the number of rows nor a row's place among them changes its bits.

#if defined(__AVX512F__)
constexpr int kTileRows = 12;  // 12 x 2 sums + 2 of b leave room in 32 registers for a's broadcasts
#else
constexpr int kTileRows = 6;  // 6 x 2 sums + 2 of b + 1 broadcast of 16 registers
#endif
constexpr int kTileVectors = 2;
constexpr int kPanel = kTileVectors * kLanes;
constexpr int kLine = 16;  // floats of a cache line

struct TileArgs {
  float* c;            // (rows, columns) of this tile, stride ldc
  const float* a;      // a(i, l) at a[i * a_row + l * a_col]
  const float* b;      // (k, columns), stride ldb
  const float* bias;   // (columns) or null
  const float* ahead;  // packed: b of the next panel, read while this one is multiplied
  long ldc, a_row, a_col, ldb;
  int k;
  int tail;  // columns of the last vector, 1..kLanes
  bool accumulate;
};

template <int kRows, int kVectors, bool kMasked, bool kPacked>
void tile(const TileArgs& t) {
  const Mask mask = first(t.tail);
  auto get = [mask](const float* p, int v) __attribute__((always_inline)) {
    return kMasked && v == kVectors - 1 ? load(p + v * kLanes, mask) : load(p + v * kLanes);
  };
  V sums[kRows][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v)
      sums[i][v] = t.accumulate ? get(t.c + i * t.ldc, v) : t.bias ? get(t.bias, v) : zero();
  const float* a = t.a;
  const float* b = t.b;
  const float* ahead = t.ahead;
  const long a_col = kPacked ? 1 : t.a_col, ldb = kPacked ? kPanel : t.ldb;
  for (int l = 0; l < t.k; ++l, a += a_col, b += ldb) {
    V bl[kVectors];
    if constexpr (kPacked) {
      for (int v = 0; v < kPanel; v += kLine) fetch_far(ahead + v);
      ahead += kPanel;
    }
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) bl[v] = get(b, v);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const V ail = set(a[i * t.a_row]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[i][v] = fma(ail, bl[v], sums[i][v]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      float* p = t.c + i * t.ldc + v * kLanes;
      if (kMasked && v == kVectors - 1)
        store(p, sums[i][v], mask);
      else
        store(p, sums[i][v]);
    }
}

// Eight rows and columns at a time in registers; what is left over one by one.
void transpose(float* b, long ldb, const float* a, long lda, int rows, int cols) {
  int i = 0;
  for (; i + 8 <= rows; i += 8) {
    int j = 0;
    for (; j + 8 <= cols; j += 8) {
      __m256 r[8], s[8];
      for (int k = 0; k < 8; ++k) r[k] = _mm256_loadu_ps(a + (i + k) * lda + j);
      for (int k = 0; k < 8; k += 2) {  // pairs of neighbours
        s[k] = _mm256_unpacklo_ps(r[k], r[k + 1]);
        s[k + 1] = _mm256_unpackhi_ps(r[k], r[k + 1]);
      }
      for (int k = 0; k < 8; k += 4) {  // quadruples
        r[k] = _mm256_shuffle_ps(s[k], s[k + 2], 0x44);
        r[k + 1] = _mm256_shuffle_ps(s[k], s[k + 2], 0xee);
        r[k + 2] = _mm256_shuffle_ps(s[k + 1], s[k + 3], 0x44);
        r[k + 3] = _mm256_shuffle_ps(s[k + 1], s[k + 3], 0xee);
      }
      for (int k = 0; k < 4; ++k) {  // halves
        _mm256_storeu_ps(b + (j + k) * ldb + i, _mm256_permute2f128_ps(r[k], r[k + 4], 0x20));
        _mm256_storeu_ps(b + (j + k + 4) * ldb + i, _mm256_permute2f128_ps(r[k], r[k + 4], 0x31));
      }
    }
    for (; j < cols; ++j)
      for (int k = 0; k < 8; ++k) b[j * ldb + i + k] = a[(i + k) * lda + j];
  }
  for (; i < rows; ++i)
    for (int j = 0; j < cols; ++j) b[j * ldb + i] = a[i * lda + j];
}

// All heights of a tile of one width: kTiles[n - 1] has n rows.
template <int kVectors, bool kMasked, bool kPacked>
struct Heights {
  using Tile = void (*)(const TileArgs&);
  template <int kRows>
  static constexpr Tile kTile = tile<kRows, kVectors, kMasked, kPacked>;
#if defined(__AVX512F__)
  static constexpr Tile kTiles[kTileRows] = {kTile<1>, kTile<2>, kTile<3>, kTile<4>,  kTile<5>,  kTile<6>,
                                             kTile<7>, kTile<8>, kTile<9>, kTile<10>, kTile<11>, kTile<12>};
#else
  static constexpr Tile kTiles[kTileRows] = {kTile<1>, kTile<2>, kTile<3>, kTile<4>, kTile<5>, kTile<6>};
#endif
};

// Rows in as few tiles as can be, and those as even as can be: 25 rows are 9 + 8 + 8, not 12 + 12 + 1.
template <bool kPacked>
inline void panel_of_tiles(TileArgs t, int m, int columns) {
  const int vectors = (columns + kLanes - 1) / kLanes;
  t.tail = columns - (vectors - 1) * kLanes;
  const bool masked = t.tail != kLanes;
  const auto* tiles = vectors == 2
                          ? (masked ? Heights<2, true, kPacked>::kTiles : Heights<2, false, kPacked>::kTiles)
                          : (masked ? Heights<1, true, kPacked>::kTiles : Heights<1, false, kPacked>::kTiles);
  for (int left = (m + kTileRows - 1) / kTileRows; left > 0; --left) {
    const int rows = (m + left - 1) / left;
    if (!kPacked && t.accumulate && left > 1)
      for (int i = rows; i < 2 * rows; ++i)
        for (int v = 0; v < columns; v += kLine) fetch_far(t.c + i * t.ldc + v);
    tiles[rows - 1](t);
    m -= rows;
    t.a += rows * t.a_row;
    t.c += rows * t.ldc;
    t.ahead = t.b;  // the next panel has been asked for once
  }
}

void gemm(float* c, long ldc, const float* a, long a_row, long a_col, const float* b, long ldb,
          const float* bias, int m, int n, int k, bool accumulate) {
  for (int j = 0; j < n; j += kPanel)  // a panel of b stays in the first cache for all rows
    panel_of_tiles<false>(
        {c + j, a, b + j, bias ? bias + j : nullptr, nullptr, ldc, a_row, a_col, ldb, k, 0, accumulate}, m,
        n - j < kPanel ? n - j : kPanel);
}

void pack(float* packed, const float* b, long ldb, int k, int n, bool transposed) {
  for (int j = 0; j < n; j += kPanel, packed += static_cast<long>(k) * kPanel) {
    const int columns = n - j < kPanel ? n - j : kPanel;
    if (columns < kPanel)
      for (long i = 0; i < static_cast<long>(k) * kPanel; i += kLanes) store(packed + i, zero());
    if (transposed)
      transpose(packed, kPanel, b + j * ldb, ldb, columns, k);
    else
      for (int l = 0; l < k; ++l)
        over(columns, [&](int, auto get, auto put) { put(packed + l * kPanel, get(b + l * ldb + j)); });
  }
}

void gemm_packed(float* c, long ldc, const float* a, long lda, const float* packed, const float* bias, int m,
                 int n, int k, bool accumulate) {
  const long panel = static_cast<long>(k) * kPanel;
  for (int j = 0; j < n; j += kPanel, packed += panel)
    panel_of_tiles<true>(
        {c + j, a, packed, bias ? bias + j : nullptr, packed + panel, ldc, lda, 1, kPanel, k, 0, accumulate},
        m, n - j < kPanel ? n - j : kPanel);
}

// Rows of b lie a power of two apart as often as not, so that a panel of them would meet in a few sets of the
// first cache: it is copied together once and serves all rows of c, whose next tile is fetched meanwhile.
void gemm_over_rows(float* c, const float* a, const float* b, int m, int k, int n, float* scratch,
                    bool accumulate) {
  for (int j = 0; j < n; j += kPanel) {
    const int columns = n - j < kPanel ? n - j : kPanel;
    pack(scratch, b + j, n, m, columns, false);
    panel_of_tiles<false>({c + j, a, scratch, nullptr, nullptr, n, 1, k, kPanel, m, 0, accumulate}, k,
                          columns);
  }
}

void column_sum(float* sums, const float* x, int rows, int n) {
  over(n, [&](int, auto get, auto put) {
    V s = get(sums);
    for (int i = 0; i < rows; ++i) s = add(s, get(x + static_cast<long>(i) * n));
    put(sums, s);
  });
}
