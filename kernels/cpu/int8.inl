// The product in 8 bits (formulas: ref/int8.hpp). A quad is four neighbours along k: one 32-bit lane of a
// packed panel. With VNNI one instruction adds a quad's four products to each lane; below it two
// multiply-adds of 16-bit halves do the same, exactly, so every level sums the same integers.

#if defined(__AVX512F__)
using I = __m512i;
inline I int_zero() { return _mm512_setzero_si512(); }
inline I int_set(int x) { return _mm512_set1_epi32(x); }
inline I int_load(const void* p) { return _mm512_loadu_si512(p); }
inline I int_sub(I a, I b) { return _mm512_sub_epi32(a, b); }
inline V to_float(I x) { return _mm512_cvtepi32_ps(x); }
inline I to_int(V x) { return _mm512_cvtps_epi32(x); }  // to nearest; NaN and what does not fit: INT_MIN
inline I int_add(I a, I b) { return _mm512_add_epi32(a, b); }
inline I int_and(I a, I b) { return _mm512_and_si512(a, b); }
inline I int_or(I a, I b) { return _mm512_or_si512(a, b); }
template <int kBits>
inline I int_left(I x) {
  return _mm512_slli_epi32(x, kBits);
}
inline void int_store(void* p, I x) { _mm512_storeu_si512(p, x); }
inline void store_bytes(void* p, I x, int count) {  // the low byte of each lane
  _mm512_mask_cvtepi32_storeu_epi8(p, first(count), x);
}
#if defined(__AVX512VNNI__)
inline I add_quads(I sum, I a, I b) {  // GCC 12 copies the sum before and after its own intrinsic
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  return sum;
}
#else
inline I add_quads(I sum, I a, I b) {  // a unsigned, b signed bytes
  const I even = _mm512_madd_epi16(_mm512_and_si512(a, _mm512_set1_epi16(0xff)),
                                   _mm512_srai_epi16(_mm512_slli_epi16(b, 8), 8));
  const I odd = _mm512_madd_epi16(_mm512_srli_epi16(a, 8), _mm512_srai_epi16(b, 8));
  return _mm512_add_epi32(sum, _mm512_add_epi32(even, odd));
}
#endif
#else
using I = __m256i;
inline I int_zero() { return _mm256_setzero_si256(); }
inline I int_set(int x) { return _mm256_set1_epi32(x); }
inline I int_load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline I int_sub(I a, I b) { return _mm256_sub_epi32(a, b); }
inline V to_float(I x) { return _mm256_cvtepi32_ps(x); }
inline I to_int(V x) { return _mm256_cvtps_epi32(x); }
inline I int_add(I a, I b) { return _mm256_add_epi32(a, b); }
inline I int_and(I a, I b) { return _mm256_and_si256(a, b); }
inline I int_or(I a, I b) { return _mm256_or_si256(a, b); }
template <int kBits>
inline I int_left(I x) {
  return _mm256_slli_epi32(x, kBits);
}
inline void int_store(void* p, I x) { _mm256_storeu_si256(static_cast<__m256i*>(p), x); }
inline void store_bytes(void* p, I x, int count) {
  const I low = _mm256_shuffle_epi8(x, _mm256_set1_epi32(0x0c080400));  // four bytes in each half
  const __m128i both = _mm_unpacklo_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
  const long long bytes = _mm_cvtsi128_si64(both);
  if (count == kLanes)
    __builtin_memcpy(p, &bytes, kLanes);
  else
    for (int i = 0; i < count; ++i) static_cast<uint8_t*>(p)[i] = static_cast<uint8_t>(bytes >> 8 * i);
}
inline I add_quads(I sum, I a, I b) {
  const I even = _mm256_madd_epi16(_mm256_and_si256(a, _mm256_set1_epi16(0xff)),
                                   _mm256_srai_epi16(_mm256_slli_epi16(b, 8), 8));
  const I odd = _mm256_madd_epi16(_mm256_srli_epi16(a, 8), _mm256_srai_epi16(b, 8));
  return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}
#endif

constexpr float kInt8Most = 127.0f;

// Steps per unit for largest magnitudes; where one is no finite number, scales of NaN and no steps.
inline V int8_steps(V top, V nan, V* scale) {
  const V bad = mul(add(top, nan), zero());  // 0, or NaN where any value is NaN or infinite
  *scale = add(div(top, set(kInt8Most)), bad);
  return div(set(kInt8Most), add(max(set(1e-38f), top), bad));
}

// Nearest whole number of steps, at most 127; not a number: INT_MIN, whose low byte is 0.
inline I int8_rounded(V x, V steps) {
  return to_int(min(set(kInt8Most), max(set(-kInt8Most), mul(x, steps))));
}

void quantize(uint8_t* q, float* scale, const float* x, int rows, int k) {
  const long width = int8_row(k);
  for (int i = 0; i < rows; ++i, x += k, q += width) {
    V top = zero(), nan = zero(), row_scale;
    over(k, [&](int, auto get, auto) {
      const V v = get(x);
      top = max(top, magnitude(v));
      nan = fma(v, zero(), nan);
    });
    const V steps = int8_steps(set(largest(top)), set(sum(nan)), &row_scale);
    over(1, [&](int, auto, auto put) { put(scale + i, row_scale); });
    over(k, [&](int at, auto get, auto) {
      store_bytes(q + at, int_add(int8_rounded(get(x), steps), int_set(128)),
                  k - at < kLanes ? k - at : kLanes);
    });
    for (int l = k; l < width; ++l) q[l] = 128;
  }
}

void pack_int8(int8_t* packed, float* scale, int32_t* sums, const float* b, int k, int n) {
  const long width = int8_row(k);
  for (int j = 0; j < n; j += kPanel, packed += width * kPanel)
    for (int v = j; v < j + kPanel; v += kLanes) {  // a vector of columns
      const int columns = n - v < 0 ? 0 : n - v < kLanes ? n - v : kLanes;
      const Mask m = first(columns);
      auto row = [&](long l) __attribute__((always_inline)) {
        return l < k && columns ? load(b + l * n + v, m) : zero();
      };
      V top = zero(), nan = zero(), column_scale;
      for (int l = 0; l < k; ++l) {
        const V w = row(l);
        top = max(top, magnitude(w));
        nan = fma(w, zero(), nan);
      }
      const V steps = int8_steps(top, nan, &column_scale);
      store(scale + v, column_scale);
      I all = int_zero();
      const I byte = int_set(0xff);
      for (long l = 0; l < width; l += 4) {
        const I a = int8_rounded(row(l), steps), c = int8_rounded(row(l + 1), steps),
                d = int8_rounded(row(l + 2), steps), e = int8_rounded(row(l + 3), steps);
        all = int_add(all, int_add(int_add(a, c), int_add(d, e)));
        int_store(packed + (l / 4 * kPanel + (v - j)) * 4,
                  int_or(int_or(int_and(a, byte), int_left<8>(int_and(c, byte))),
                         int_or(int_left<16>(int_and(d, byte)), int_left<24>(e))));
      }
      int_store(sums + v, all);
    }
}

struct Int8Args {
  float* c;          // (rows, columns), stride ldc
  const uint8_t* q;  // (rows, quads, 4)
  const float* row_scale;
  const int8_t* b;      // (quads, kPanel, 4)
  const int8_t* ahead;  // b of the next panel, read while this one is multiplied
  const float* column_scale;
  const int32_t* column_sum;
  const float* bias;
  long ldc;
  int quads, tail;
};

template <int kRows, int kVectors, bool kMasked>
void int8_tile(const Int8Args& t) {
  I sums[kRows][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[i][v] = int_zero();
  const int8_t* b = t.b;
  const int8_t* ahead = t.ahead;
  const uint8_t* q = t.q;
  const long row = 4L * t.quads;
  for (int l = 0; l < t.quads; ++l, b += 4 * kPanel, ahead += 4 * kPanel, q += 4) {
    for (int v = 0; v < kPanel; v += kLine) fetch_far(reinterpret_cast<const float*>(ahead) + v);
    I bl[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) bl[v] = int_load(b + v * 4 * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      int quad;
      __builtin_memcpy(&quad, q + i * row, 4);
      const I a = int_set(quad);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[i][v] = add_quads(sums[i][v], a, bl[v]);
    }
  }
  const Mask mask = first(t.tail);
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) {
    const bool cut = kMasked && v == kVectors - 1;
    const int at = v * kLanes;
    const I shift = int_left<7>(int_load(t.column_sum + at));  // of the zero, 128
    const V scale_by = load(t.column_scale + at);
    const V bias = !t.bias ? zero() : cut ? load(t.bias + at, mask) : load(t.bias + at);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const V y = to_float(int_sub(sums[i][v], shift));
      const V factor = mul(set(t.row_scale[i]), scale_by);
      const V out = t.bias ? add(mul(y, factor), bias) : mul(y, factor);
      if (cut)
        store(t.c + i * t.ldc + at, out, mask);
      else
        store(t.c + i * t.ldc + at, out);
    }
  }
}

template <int kVectors, bool kMasked>
struct Int8Heights {
  using Tile = void (*)(const Int8Args&);
  template <int kRows>
  static constexpr Tile kTile = int8_tile<kRows, kVectors, kMasked>;
#if defined(__AVX512F__)
  static constexpr Tile kTiles[kTileRows] = {kTile<1>, kTile<2>, kTile<3>, kTile<4>,  kTile<5>,  kTile<6>,
                                             kTile<7>, kTile<8>, kTile<9>, kTile<10>, kTile<11>, kTile<12>};
#else
  static constexpr Tile kTiles[kTileRows] = {kTile<1>, kTile<2>, kTile<3>, kTile<4>, kTile<5>, kTile<6>};
#endif
};

void gemm_int8(float* c, const uint8_t* q, const float* row_scale, const int8_t* packed,
               const float* column_scale, const int32_t* column_sum, const float* bias, int m, int n, int k) {
  const long width = int8_row(k);
  for (int j = 0; j < n; j += kPanel, packed += width * kPanel) {
    const int columns = n - j < kPanel ? n - j : kPanel, vectors = (columns + kLanes - 1) / kLanes;
    Int8Args t{c + j,
               q,
               row_scale,
               packed,
               packed + width * kPanel,
               column_scale + j,
               column_sum + j,
               bias ? bias + j : nullptr,
               n,
               static_cast<int>(width / 4),
               columns - (vectors - 1) * kLanes};
    const bool masked = t.tail != kLanes;
    const auto* tiles = vectors == 2
                            ? (masked ? Int8Heights<2, true>::kTiles : Int8Heights<2, false>::kTiles)
                            : (masked ? Int8Heights<1, true>::kTiles : Int8Heights<1, false>::kTiles);
    int rows_left = m;
    for (int left = (m + kTileRows - 1) / kTileRows; left > 0; --left) {
      const int rows = (rows_left + left - 1) / left;
      tiles[rows - 1](t);
      rows_left -= rows;
      t.q += rows * width;
      t.row_scale += rows;
      t.ahead = t.b;
      t.c += rows * t.ldc;
    }
  }
}
