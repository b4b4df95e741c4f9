// Rank-one changes of a Cholesky factor: rotations of (column k of L, x) for all k. Rows are independent once
// the rotations are known, so kLanes rows go through a vector each way; blocks turn in registers.

struct Rotation {
  double cosine, sine;
};

// Columns 0 .. cols - 1 of kLanes rows of L and their x: (l, x) <- (c l + s x, c x - s l). Rising: whole
// vectors of columns from 0 on. Falling: from the last one down.
template <bool kFalling>
inline __attribute__((always_inline)) V rotate_rows(double* l, long ldl, V x, const Rotation* rotation,
                                                    int cols, int rows) {
  const int blocks = (cols + kLanes - 1) / kLanes;
  for (int b = 0; b < blocks; ++b) {
    const int j = (kFalling ? blocks - 1 - b : b) * kLanes;
    const int width = least(kLanes, cols - j);
    const Mask m = first(width);
    V r[kLanes];
#pragma GCC unroll 8
    for (int q = 0; q < kLanes; ++q) r[q] = q < rows ? load(l + q * ldl + j, m) : zero();
    transpose(r);
#pragma GCC unroll 8
    for (int p = 0; p < kLanes; ++p) {
      const int q = kFalling ? kLanes - 1 - p : p;
      if (q >= width) continue;
      const V c = set(rotation[j + q].cosine), s = set(rotation[j + q].sine);
      const V turned = fma(s, x, mul(c, r[q]));
      x = fma(c, x, negate(mul(s, r[q])));
      r[q] = turned;
    }
    transpose(r);
#pragma GCC unroll 8
    for (int q = 0; q < kLanes; ++q)
      if (q < rows) store(l + q * ldl + j, r[q], m);
  }
  return x;
}

inline double square_root(double x) {  // not the library's, which minds errno
  return _mm_cvtsd_f64(_mm_sqrt_sd(_mm_setzero_pd(), _mm_set_sd(x)));
}
inline double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }

int update(double* l, long ldl, double* x, int n, double* work) {
  Rotation* rotation = reinterpret_cast<Rotation*>(work);  // (n)
  for (int i = 0; i < n; i += kLanes) {
    const int rows = least(kLanes, n - i);
    double* left = l + i * ldl;
    double rest[kLanes];
    const V start = load(x + i, first(rows));
    store(rest, rows == kLanes ? rotate_rows<false>(left, ldl, start, rotation, i, kLanes)
                               : rotate_rows<false>(left, ldl, start, rotation, i, rows));
    for (int r = 0; r < rows; ++r) {  // within the block: pivot r, then the rows below it
      double* pivot = left + r * ldl + i + r;
      const double length = square_root(fused(*pivot, *pivot, rest[r] * rest[r]));
      if (!(length > 0) || !(length - length == 0)) return i + r;
      const double inverse = 1 / length, c = *pivot * inverse, s = rest[r] * inverse;
      *pivot = length;
      rotation[i + r] = {c, s};
      for (int q = r + 1; q < rows; ++q) {
        double* at = left + q * ldl + i + r;
        const double old = *at;
        *at = fused(s, rest[q], c * old);
        rest[q] = fused(c, rest[q], -(s * old));
      }
    }
  }
  return -1;
}

// The share of |L^-1 x|^2 that must be left: rounding of n terms.
inline double least_left(int n) { return 8.0 * (n + 8) * 0x1p-52; }

bool downdate(double* l, long ldl, double* x, int n, double* work) {
  trsv(x, l, ldl, n);
  double squares = 0;
  for (int i = 0; i < n; ++i) squares = fused(x[i], x[i], squares);
  const double left = 1 - squares;
  if (!(left > least_left(n))) return false;
  Rotation* rotation = reinterpret_cast<Rotation*>(work);
  double rest = square_root(left);
  for (int i = n - 1; i >= 0; --i) {  // (rest, x_i) -> (length, 0); the last length is 1
    const double length = square_root(fused(rest, rest, x[i] * x[i])), inverse = 1 / length;
    rotation[i] = {rest * inverse, -(x[i] * inverse)};
    rest = length;
  }
  for (int i = 0; i < n; i += kLanes) {
    const int rows = least(kLanes, n - i);
    double* from = l + i * ldl;
    double carried[kLanes] = {};
    for (int r = 0; r < rows; ++r)  // the diagonal block, from each row's pivot down to the block's first column
      for (int q = r; q >= 0; --q) {
        double* at = from + r * ldl + i + q;
        const double old = *at, c = rotation[i + q].cosine, s = rotation[i + q].sine;
        *at = fused(s, carried[r], c * old);
        carried[r] = fused(c, carried[r], -(s * old));
      }
    if (rows == kLanes)
      rotate_rows<true>(from, ldl, load(carried), rotation, i, kLanes);
    else
      rotate_rows<true>(from, ldl, load(carried), rotation, i, rows);
  }
  return true;
}
