// One vector of floats, as wide as the object's ISA level. Included once by each level's source, inside its
// namespace, which is unnamed within: every function has internal linkage, so the linker can never pick a
// copy with wide instructions for code that runs on a smaller CPU. Intrinsics only; no header of the standard
// library.
//
// Tails use masks: lanes beyond the mask are neither read nor written, so buffers need no padding.

#if defined(__AVX512F__)

using V = __m512;
using Mask = __mmask16;
constexpr int kLanes = 16;

// Lanes 0 .. n-1, 0 <= n <= kLanes.
inline Mask first(int n) { return static_cast<Mask>((1u << n) - 1u); }
inline V zero() { return _mm512_setzero_ps(); }
inline V set(float x) { return _mm512_set1_ps(x); }
inline V load(const float* p) { return _mm512_loadu_ps(p); }
inline V load(const float* p, Mask m) { return _mm512_maskz_loadu_ps(m, p); }  // 0 in the other lanes
inline void store(float* p, V x) { _mm512_storeu_ps(p, x); }
inline void store(float* p, V x, Mask m) { _mm512_mask_storeu_ps(p, m, x); }
inline V add(V a, V b) { return _mm512_add_ps(a, b); }
inline V sub(V a, V b) { return _mm512_sub_ps(a, b); }
inline V mul(V a, V b) { return _mm512_mul_ps(a, b); }
inline V div(V a, V b) { return _mm512_div_ps(a, b); }
inline V root(V a) { return _mm512_sqrt_ps(a); }
inline V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }    // a b + c
inline V fnma(V a, V b, V c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b
// With a NaN in either lane these give the second operand: put the datum there and NaN stays NaN.
inline V max(V a, V b) { return _mm512_max_ps(a, b); }
inline V min(V a, V b) { return _mm512_min_ps(a, b); }
inline V magnitude(V a) { return _mm512_abs_ps(a); }
// Lanes of a where x < 0, of b elsewhere (also for NaN).
inline V where_negative(V x, V a, V b) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, zero(), _CMP_LT_OQ), b, a);
}
inline V keep(V x, Mask m, V other) { return _mm512_mask_blend_ps(m, other, x); }  // x in the mask's lanes
inline V round(V x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// x 2^n for whole n in [-126, 127].
inline V scale(V x, V n) { return _mm512_scalef_ps(x, n); }
inline __m256 low(V x) { return _mm512_castps512_ps256(x); }
inline __m256 high(V x) { return _mm512_extractf32x8_ps(x, 1); }

inline float sum(V x) {  // a fixed tree: halves, quarters, ...
  const __m256 a = _mm256_add_ps(low(x), high(x));
  __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  b = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(b, _mm_shuffle_ps(b, b, 1)));
}
inline float largest(V x) {
  const __m256 a = _mm256_max_ps(low(x), high(x));
  __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  b = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(b, _mm_shuffle_ps(b, b, 1)));
}

#elif defined(__AVX2__) && defined(__FMA__)

using V = __m256;
using Mask = __m256i;
constexpr int kLanes = 8;

inline Mask first(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline V zero() { return _mm256_setzero_ps(); }
inline V set(float x) { return _mm256_set1_ps(x); }
inline V load(const float* p) { return _mm256_loadu_ps(p); }
inline V load(const float* p, Mask m) { return _mm256_maskload_ps(p, m); }
inline void store(float* p, V x) { _mm256_storeu_ps(p, x); }
inline void store(float* p, V x, Mask m) { _mm256_maskstore_ps(p, m, x); }
inline V add(V a, V b) { return _mm256_add_ps(a, b); }
inline V sub(V a, V b) { return _mm256_sub_ps(a, b); }
inline V mul(V a, V b) { return _mm256_mul_ps(a, b); }
inline V div(V a, V b) { return _mm256_div_ps(a, b); }
inline V root(V a) { return _mm256_sqrt_ps(a); }
inline V fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
inline V fnma(V a, V b, V c) { return _mm256_fnmadd_ps(a, b, c); }
inline V max(V a, V b) { return _mm256_max_ps(a, b); }
inline V min(V a, V b) { return _mm256_min_ps(a, b); }
inline V magnitude(V a) { return _mm256_andnot_ps(set(-0.0f), a); }
inline V where_negative(V x, V a, V b) {
  return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, zero(), _CMP_LT_OQ));
}
inline V keep(V x, Mask m, V other) { return _mm256_blendv_ps(other, x, _mm256_castsi256_ps(m)); }
inline V round(V x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline V scale(V x, V n) {  // the exponent field of 2^n, built by hand
  const __m256i bits = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(x, _mm256_castsi256_ps(bits));
}

inline float sum(V x) {
  __m128 b = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  b = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(b, _mm_shuffle_ps(b, b, 1)));
}
inline float largest(V x) {
  __m128 b = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  b = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(b, _mm_shuffle_ps(b, b, 1)));
}

#else
#error "vec.hpp: compile with -mavx2 -mfma or -mavx512f -mavx512bw -mavx512dq -mavx512vl"
#endif

// e^x to about 1 ulp on [-87, 88]; 0 below (x e^x must fall to 0 as well), e^88 above. NaN stays
// NaN. x = n ln2 + r, |r| <= ln2/2; ln2 in two parts so that r is exact to the last bit; e^r by its series to
// r^7.
inline V exponential(V x) {
  const V below = add(x, set(87.0f));  // negative where the result is flushed
  x = min(set(88.0f), max(set(-87.0f), x));
  const V n = round(mul(x, set(1.44269504f)));
  V r = fnma(n, set(0.693359375f), x);
  r = fnma(n, set(-2.12194440e-4f), r);
  V p = set(1.0f / 5040);
  p = fma(p, r, set(1.0f / 720));
  p = fma(p, r, set(1.0f / 120));
  p = fma(p, r, set(1.0f / 24));
  p = fma(p, r, set(1.0f / 6));
  p = fma(p, r, set(0.5f));
  p = fma(p, r, set(1.0f));
  p = fma(p, r, set(1.0f));
  return where_negative(below, zero(), scale(p, n));
}

// 2^x for x <= 0, as a softmax needs it: within 1e-7 of the largest term, which is 1; 2^-126 below, NaN stays
// NaN. x = n + r, |r| <= 1/2; 2^r by a polynomial fitted there (error 2e-9 before rounding).
inline V power_of_two(V x) {
  x = max(set(-126.0f), x);
  const V n = round(x), r = sub(x, n);
  V p = set(1.53533591e-4f);
  p = fma(p, r, set(1.33988754e-3f));
  p = fma(p, r, set(9.61843738e-3f));
  p = fma(p, r, set(5.55033247e-2f));
  p = fma(p, r, set(2.40226479e-1f));
  p = fma(p, r, set(6.93147203e-1f));
  p = fma(p, r, set(1.0f));
  return scale(p, n);
}

// 1 / (1 + e^-x) from e^-|x| only: nothing overflows. Its derivative is s (1 - s) with this s.
inline V sigmoid(V x) {
  const V e = exponential(sub(zero(), magnitude(x)));
  return div(where_negative(x, e, set(1.0f)), add(set(1.0f), e));
}

// log(1 + e^x) = max(x, 0) + log(1 + e), e = e^-|x| in (0, 1]; log(1 + e) = 2 atanh(z), z = e / (2 + e) <=
// 1/3, whose series in z^2 <= 1/9 is cut where terms fall below half an ulp.
inline V softplus(V x) {
  const V e = exponential(sub(zero(), magnitude(x)));
  const V z = div(e, add(set(2.0f), e)), q = mul(z, z);
  V p = set(1.0f / 15);
  p = fma(p, q, set(1.0f / 13));
  p = fma(p, q, set(1.0f / 11));
  p = fma(p, q, set(1.0f / 9));
  p = fma(p, q, set(1.0f / 7));
  p = fma(p, q, set(1.0f / 5));
  p = fma(p, q, set(1.0f / 3));
  p = fma(p, q, set(1.0f));
  return fma(mul(set(2.0f), z), p, max(zero(), x));
}

// The line at p, wanted soon: into the first cache, or the second. An address beyond a buffer is harmless.
inline void fetch(const float* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }
inline void fetch_far(const float* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }

// Calls f(offset, load, store) over 0 .. n-1: whole vectors first, then one masked tail. `get(p)` reads and
// `put(p, x)` writes at p + offset, within n.
template <class F>
inline void over(int n, F f) {
  int i = 0;
  for (; i + kLanes <= n; i += kLanes)
    f(i, [i](const float* p) { return load(p + i); }, [i](float* p, V x) { store(p + i, x); });
  if (i < n) {
    const Mask m = first(n - i);
    f(i, [i, m](const float* p) { return load(p + i, m); }, [i, m](float* p, V x) { store(p + i, x, m); });
  }
}
