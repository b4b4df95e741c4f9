// One vector of doubles, as wide as the object's ISA level: what vec.hpp is for floats, with the same rules.
// Included once by each level's dense source, inside its unnamed namespace; intrinsics only.

#if defined(__AVX512F__)

using V = __m512d;
using Mask = __mmask8;
constexpr int kLanes = 8;

// Lanes 0 .. n-1; none for n <= 0, all for n >= kLanes.
inline Mask first(int n) {
  return n <= 0 ? Mask(0) : n >= 8 ? Mask(0xff) : static_cast<Mask>((1u << n) - 1u);
}
inline V zero() { return _mm512_setzero_pd(); }
inline V set(double x) { return _mm512_set1_pd(x); }
inline V load(const double* p) { return _mm512_loadu_pd(p); }
inline V load(const double* p, Mask m) { return _mm512_maskz_loadu_pd(m, p); }  // 0 in the other lanes
inline void store(double* p, V x) { _mm512_storeu_pd(p, x); }
inline void store(double* p, V x, Mask m) { _mm512_mask_storeu_pd(p, m, x); }
inline V add(V a, V b) { return _mm512_add_pd(a, b); }
inline V sub(V a, V b) { return _mm512_sub_pd(a, b); }
inline V mul(V a, V b) { return _mm512_mul_pd(a, b); }
inline V div(V a, V b) { return _mm512_div_pd(a, b); }
inline V root(V a) { return _mm512_sqrt_pd(a); }
inline V fma(V a, V b, V c) { return _mm512_fmadd_pd(a, b, c); }    // a b + c
inline V fnma(V a, V b, V c) { return _mm512_fnmadd_pd(a, b, c); }  // c - a b
inline V fms(V a, V b, V c) { return _mm512_fmsub_pd(a, b, c); }    // a b - c
inline V negate(V a) { return _mm512_xor_pd(a, _mm512_set1_pd(-0.0)); }
// One bit per lane that is not zero; NaN is not.
inline unsigned entry_lanes(V a) { return _mm512_cmp_pd_mask(a, _mm512_setzero_pd(), _CMP_NEQ_UQ); }
template <int kLane>
inline V spread(V a) {  // lane kLane in every lane
  return _mm512_permutexvar_pd(_mm512_set1_epi64(kLane), a);
}
// Neighbours, then pairs, then halves: the tree of sums() below.
inline double sum(V x) {
  x = _mm512_add_pd(x, _mm512_permute_pd(x, 0x55));
  __m256d h = _mm256_add_pd(_mm512_castpd512_pd256(x), _mm512_extractf64x4_pd(x, 1));
  return _mm_cvtsd_f64(_mm_add_sd(_mm256_castpd256_pd128(h), _mm256_extractf128_pd(h, 1)));
}
// Lane r: sum(x[r]).
inline V sums(const V* x) {
  __m512d p[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i)  // lanes (0,1), (2,3), ... of two vectors, added
    p[i] =
        _mm512_add_pd(_mm512_unpacklo_pd(x[2 * i], x[2 * i + 1]), _mm512_unpackhi_pd(x[2 * i], x[2 * i + 1]));
  __m512d h[2];
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i)  // 128-bit parts 0 + 2 and 1 + 3, of two pairs
    h[i] = _mm512_add_pd(_mm512_shuffle_f64x2(p[2 * i], p[2 * i + 1], 0x44),
                         _mm512_shuffle_f64x2(p[2 * i], p[2 * i + 1], 0xee));
  return _mm512_add_pd(_mm512_shuffle_f64x2(h[0], h[1], 0x88), _mm512_shuffle_f64x2(h[0], h[1], 0xdd));
}
inline void transpose(V* r) {
  __m512d s[8];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {  // 2 x 2
    s[2 * i] = _mm512_unpacklo_pd(r[2 * i], r[2 * i + 1]);
    s[2 * i + 1] = _mm512_unpackhi_pd(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i)  // even and odd columns of rows 0..3, 4..7
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      r[4 * i + j] = _mm512_shuffle_f64x2(s[4 * i + j], s[4 * i + 2 + j], 0x88);      // columns j, j + 4
      r[4 * i + 2 + j] = _mm512_shuffle_f64x2(s[4 * i + j], s[4 * i + 2 + j], 0xdd);  // columns j + 2, j + 6
    }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    s[j] = _mm512_shuffle_f64x2(r[j], r[4 + j], 0x88);
    s[4 + j] = _mm512_shuffle_f64x2(r[j], r[4 + j], 0xdd);
  }
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) r[j] = s[j];
}

#elif defined(__AVX2__) && defined(__FMA__)

using V = __m256d;
using Mask = __m256i;
constexpr int kLanes = 4;

inline Mask first(int n) { return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3)); }
inline V zero() { return _mm256_setzero_pd(); }
inline V set(double x) { return _mm256_set1_pd(x); }
inline V load(const double* p) { return _mm256_loadu_pd(p); }
inline V load(const double* p, Mask m) { return _mm256_maskload_pd(p, m); }
inline void store(double* p, V x) { _mm256_storeu_pd(p, x); }
inline void store(double* p, V x, Mask m) { _mm256_maskstore_pd(p, m, x); }
inline V add(V a, V b) { return _mm256_add_pd(a, b); }
inline V sub(V a, V b) { return _mm256_sub_pd(a, b); }
inline V mul(V a, V b) { return _mm256_mul_pd(a, b); }
inline V div(V a, V b) { return _mm256_div_pd(a, b); }
inline V root(V a) { return _mm256_sqrt_pd(a); }
inline V fma(V a, V b, V c) { return _mm256_fmadd_pd(a, b, c); }
inline V fnma(V a, V b, V c) { return _mm256_fnmadd_pd(a, b, c); }
inline V fms(V a, V b, V c) { return _mm256_fmsub_pd(a, b, c); }
inline V negate(V a) { return _mm256_xor_pd(a, _mm256_set1_pd(-0.0)); }
inline unsigned entry_lanes(V a) {
  return static_cast<unsigned>(_mm256_movemask_pd(_mm256_cmp_pd(a, _mm256_setzero_pd(), _CMP_NEQ_UQ)));
}
template <int kLane>
inline V spread(V a) {
  return _mm256_permute4x64_pd(a, kLane * 0x55);
}
inline double sum(V x) {
  x = _mm256_add_pd(x, _mm256_permute_pd(x, 0x5));
  return _mm_cvtsd_f64(_mm_add_sd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd(x, 1)));
}
inline V sums(const V* x) {
  const V a = _mm256_add_pd(_mm256_unpacklo_pd(x[0], x[1]), _mm256_unpackhi_pd(x[0], x[1]));
  const V b = _mm256_add_pd(_mm256_unpacklo_pd(x[2], x[3]), _mm256_unpackhi_pd(x[2], x[3]));
  return _mm256_add_pd(_mm256_permute2f128_pd(a, b, 0x20), _mm256_permute2f128_pd(a, b, 0x31));
}
inline void transpose(V* r) {
  const V a = _mm256_unpacklo_pd(r[0], r[1]), b = _mm256_unpackhi_pd(r[0], r[1]);
  const V c = _mm256_unpacklo_pd(r[2], r[3]), d = _mm256_unpackhi_pd(r[2], r[3]);
  r[0] = _mm256_permute2f128_pd(a, c, 0x20);
  r[1] = _mm256_permute2f128_pd(b, d, 0x20);
  r[2] = _mm256_permute2f128_pd(a, c, 0x31);
  r[3] = _mm256_permute2f128_pd(b, d, 0x31);
}

#else
#error "vec64.hpp: compile with -mavx2 -mfma or -mavx512f -mavx512bw -mavx512dq -mavx512vl"
#endif
