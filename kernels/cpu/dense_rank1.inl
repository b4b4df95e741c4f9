// Rank-one changes of a Cholesky factor: for every column k of L a rotation of (column k, x), with x kept
// scaled so that it costs three operations instead of four:
//   l' = cosine l + share x,   x' = x - weight l          (both from the old l and x)
// where weight_k = a_k, a = L^-1 x, and with b_k the squares of a summed up to k (update: from 1, rising) or
// left of 1 (downdate, from the end): cosine = sqrt(b / b'), share = +- a / sqrt(b b'). In exact arithmetic
// and in its rounding errors this is the rotation by Givens' angles. Rows are independent once the
// coefficients are known, so kLanes rows go through a vector each way; blocks turn in registers.

struct Turns {
  double *cosine, *share, *weight;  // (n)
};

// Columns j .. j + width - 1 of kLanes rows and their x, rising or falling.
template <bool kFalling, bool kWhole>
inline __attribute__((always_inline)) V turn_block(double* l, long ldl, V x, const Turns& t, int j, int width,
                                                   int rows) {
  const Mask m = first(width);
  V r[kLanes];
#pragma GCC unroll 8
  for (int q = 0; q < kLanes; ++q)
    r[q] = kWhole ? load(l + q * ldl + j) : q < rows ? load(l + q * ldl + j, m) : zero();
  transpose(r);
#pragma GCC unroll 8
  for (int p = 0; p < kLanes; ++p) {
    const int q = kFalling ? kLanes - 1 - p : p;
    if (!kWhole && q >= width) continue;
    const V turned = fma(set(t.share[j + q]), x, mul(set(t.cosine[j + q]), r[q]));
    x = fnma(set(t.weight[j + q]), r[q], x);
    r[q] = turned;
  }
  transpose(r);
#pragma GCC unroll 8
  for (int q = 0; q < kLanes; ++q) {
    if (kWhole)
      store(l + q * ldl + j, r[q]);
    else if (q < rows)
      store(l + q * ldl + j, r[q], m);
  }
  return x;
}

// Columns 0 .. cols - 1, a multiple of kLanes.
template <bool kFalling>
inline V turn_rows(double* l, long ldl, V x, const Turns& t, int cols, int rows) {
  for (int b = 0; b < cols; b += kLanes) {
    const int j = kFalling ? cols - kLanes - b : b;
    x = rows == kLanes ? turn_block<kFalling, true>(l, ldl, x, t, j, kLanes, rows)
                       : turn_block<kFalling, false>(l, ldl, x, t, j, kLanes, rows);
  }
  return x;
}

inline double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }

inline Turns turns_in(double* work, int n) {
  const long stride = padded(n);
  return {work, work + stride, work + 2 * stride};
}

int update(double* l, long ldl, double* x, int n, double* work) {
  const Turns t = turns_in(work, n);
  double before = 1;
  for (int i = 0; i < n; i += kLanes) {
    const int rows = least(kLanes, n - i);
    double *left = l + i * ldl, *block = left + i;
    // the diagonal block by columns; a is known lane by lane, as in a forward substitution
    V column[kLanes], held[kLanes];
    double pivot[kLanes];
#pragma GCC unroll 8
    for (int r = 0; r < kLanes; ++r) {
      column[r] = r < rows ? load(block + r * ldl, first(r + 1)) : zero();
      pivot[r] = r < rows ? block[r * (ldl + 1)] : 1;
    }
    transpose(column);
    V rest = turn_rows<false>(left, ldl, load(x + i, first(rows)), t, i, rows);
    const V inverse = div(set(1), load(pivot));
    double a[kLanes], from[kLanes], to[kLanes];
#pragma GCC unroll 8
    for (int c = 0; c < kLanes; ++c) {
      held[c] = rest;
      double now[kLanes];
      store(now, mul(rest, inverse));
      a[c] = now[c];
      rest = fnma(set(a[c]), column[c], rest);
      from[c] = before;
      before = fused(a[c], a[c], before);
      to[c] = before;
    }
    const V b = load(from), grown = root(div(load(to), b)), cosine = div(set(1), grown);
    const V share = div(load(a), mul(b, grown));
    const V pivots = mul(load(pivot), grown);
    const Mask here = first(rows);
    store(t.cosine + i, cosine, here);
    store(t.share + i, share, here);
    store(t.weight + i, load(a), here);
    store(pivot, pivots);
    double cosines[kLanes], shares[kLanes];
    store(cosines, cosine);
    store(shares, share);
    for (int r = 0; r < rows; ++r)
      if (!(pivot[r] > 0) || !(pivot[r] - pivot[r] == 0)) return i + r;
#pragma GCC unroll 8
    for (int c = 0; c < kLanes; ++c)
      column[c] = fma(set(shares[c]), held[c], mul(set(cosines[c]), column[c]));
    transpose(column);
#pragma GCC unroll 8
    for (int r = 0; r < kLanes; ++r)
      if (r < rows) {
        store(block + r * ldl, column[r], first(r));
        block[r * (ldl + 1)] = pivot[r];
      }
  }
  return -1;
}

// What must be left of 1 beside |L^-1 x|^2: rounding of n terms.
inline double least_left(int n) { return 8.0 * (n + 8) * 0x1p-52; }

bool downdate(double* l, long ldl, double* x, int n, double* work) {
  trsv(x, l, ldl, n);
  double squares = 0;
  for (int i = 0; i < n; ++i) squares = fused(x[i], x[i], squares);
  const double left = 1 - squares;
  if (!(left > least_left(n))) return false;
  const Turns t = turns_in(work, n);
  double after = left;
  for (int i = n - 1; i >= 0; --i) {  // sums of squares only: nothing cancels
    t.share[i] = after;
    after = fused(x[i], x[i], after);
    t.cosine[i] = after;
  }
  for (int i = 0; i < n; i += kLanes) {
    const Mask m = first(n - i);
    const V one = set(1), a = load(x + i, m);
    V small = load(t.share + i, m), large = load(t.cosine + i, m);
    if (i + kLanes > n) {  // lanes beyond: 1, not 0 / 0
      double pad[kLanes];
      store(pad, one);
      store(pad, small, m);
      small = load(pad);
      store(pad, one);
      store(pad, large, m);
      large = load(pad);
    }
    const V shrunk = root(div(small, large));
    store(t.cosine + i, shrunk, m);
    store(t.share + i, negate(div(a, mul(large, shrunk))), m);
    store(t.weight + i, negate(a), m);
  }
  for (int i = 0; i < n; i += kLanes) {
    const int rows = least(kLanes, n - i);
    double *from = l + i * ldl, *block = from + i;
    // the diagonal block: lane r of column c is 0 for r < c, where nothing is summed or changed
    V column[kLanes], sum = zero();
#pragma GCC unroll 8
    for (int r = 0; r < kLanes; ++r) column[r] = r < rows ? load(block + r * ldl, first(r + 1)) : zero();
    transpose(column);
#pragma GCC unroll 8
    for (int p = 0; p < kLanes; ++p) {
      const int c = kLanes - 1 - p;
      if (c >= rows) continue;
      const V turned = fma(set(t.share[i + c]), sum, mul(set(t.cosine[i + c]), column[c]));
      sum = fnma(set(t.weight[i + c]), column[c], sum);
      column[c] = turned;
    }
    transpose(column);
#pragma GCC unroll 8
    for (int r = 0; r < kLanes; ++r)
      if (r < rows) store(block + r * ldl, column[r], first(r + 1));
    turn_rows<true>(from, ldl, sum, t, i, rows);
  }
  return true;
}

// Columns side by side: kVectors chains at once, the last one of `tail` lanes.
template <int kVectors>
void turn_columns(double* to, long ldt, double* carry, const double* a, long lda, const double* turns,
                  int count, int tail) {
  const Mask m = first(tail);
  auto get = [m](const double* p, int v) __attribute__((always_inline)) {
    return v == kVectors - 1 ? load(p + v * kLanes, m) : load(p + v * kLanes);
  };
  auto put = [m](double* p, int v, V x) __attribute__((always_inline)) {
    if (v == kVectors - 1)
      store(p + v * kLanes, x, m);
    else
      store(p + v * kLanes, x);
  };
  V c[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) c[v] = get(carry, v);
  for (int r = 0; r < count; ++r, to += ldt, a += lda, turns += 4) {
    const V t0 = set(turns[0]), t1 = set(turns[1]), t2 = set(turns[2]), t3 = set(turns[3]);
    V x[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) x[v] = get(a, v);  // all, before `to` is written over them
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      put(to, v, fma(t0, c[v], mul(t1, x[v])));
      c[v] = fma(t2, c[v], mul(t3, x[v]));
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) put(carry, v, c[v]);
}

void turn(double* to, long ldt, double* carry, const double* a, long lda, const double* turns, int count,
          int cols) {
  for (int j = 0; j < cols;) {
    const int vectors = least(4, vectors_of(cols - j));
    const int tail = least(kLanes, cols - j - (vectors - 1) * kLanes);
    using Columns = void (*)(double*, long, double*, const double*, long, const double*, int, int);
    constexpr Columns kWidths[] = {turn_columns<1>, turn_columns<2>, turn_columns<3>, turn_columns<4>};
    kWidths[vectors - 1](to + j, ldt, carry + j, a + j, lda, turns, count, tail);
    j += vectors * kLanes;
  }
}
