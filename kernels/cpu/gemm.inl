// c = a b (+ bias), c += a b. Register tiles of kTileRows x kTileVectors; the rows of b are read in place,
// the scalars of a broadcast. Every c[i][j] is one chain of fused multiply-adds over l = 0..k-1 whatever the
// tile, so neither the number of rows nor a row's place among them changes its bits.

#if defined(__AVX512F__)
constexpr int kTileRows = 12;  // 12 x 2 sums + 2 of b leave room in 32 registers for a's broadcasts
#else
constexpr int kTileRows = 6;  // 6 x 2 sums + 2 of b + 1 broadcast of 16 registers
#endif
constexpr int kTileVectors = 2;

struct TileArgs {
  float* c;           // (rows, columns) of this tile, stride ldc
  const float* a;     // a(i, l) at a[i * a_row + l * a_col]
  const float* b;     // (k, columns), stride ldb
  const float* bias;  // (columns) or null
  long ldc, a_row, a_col, ldb;
  int k;
  int tail;  // columns of the last vector, 1..kLanes
  bool accumulate;
};

template <int kRows, int kVectors, bool kMasked>
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
  for (int l = 0; l < t.k; ++l, a += t.a_col, b += t.ldb) {
    V bl[kVectors];
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

// All heights of a tile of one width: heights[n - 1] has n rows.
template <int kVectors, bool kMasked>
struct Heights {
  using Tile = void (*)(const TileArgs&);
#if defined(__AVX512F__)
  static constexpr Tile kTiles[kTileRows] = {
      tile<1, kVectors, kMasked>,  tile<2, kVectors, kMasked>,  tile<3, kVectors, kMasked>,
      tile<4, kVectors, kMasked>,  tile<5, kVectors, kMasked>,  tile<6, kVectors, kMasked>,
      tile<7, kVectors, kMasked>,  tile<8, kVectors, kMasked>,  tile<9, kVectors, kMasked>,
      tile<10, kVectors, kMasked>, tile<11, kVectors, kMasked>, tile<12, kVectors, kMasked>};
#else
  static constexpr Tile kTiles[kTileRows] = {tile<1, kVectors, kMasked>, tile<2, kVectors, kMasked>,
                                             tile<3, kVectors, kMasked>, tile<4, kVectors, kMasked>,
                                             tile<5, kVectors, kMasked>, tile<6, kVectors, kMasked>};
#endif
};

void gemm(float* c, long ldc, const float* a, long a_row, long a_col, const float* b, long ldb,
          const float* bias, int m, int n, int k, bool accumulate) {
  for (int j = 0; j < n; j += kTileVectors * kLanes) {  // a panel of b stays in the first cache for all rows
    const int columns = n - j < kTileVectors * kLanes ? n - j : kTileVectors * kLanes;
    const int vectors = (columns + kLanes - 1) / kLanes;
    TileArgs t{c + j, a,   b + j, bias ? bias + j : nullptr,        ldc,       a_row,
               a_col, ldb, k,     columns - (vectors - 1) * kLanes, accumulate};
    const bool masked = t.tail != kLanes;
    const auto* tiles = vectors == 2 ? (masked ? Heights<2, true>::kTiles : Heights<2, false>::kTiles)
                                     : (masked ? Heights<1, true>::kTiles : Heights<1, false>::kTiles);
    for (int i = 0; i < m;) {
      const int rows = m - i < kTileRows ? m - i : kTileRows;
      tiles[rows - 1](t);
      i += rows;
      t.a += rows * a_row;
      t.c += rows * ldc;
    }
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

void column_sum(float* sums, const float* x, int rows, int n) {
  over(n, [&](int, auto get, auto put) {
    V s = get(sums);
    for (int i = 0; i < rows; ++i) s = add(s, get(x + static_cast<long>(i) * n));
    put(sums, s);
  });
}
