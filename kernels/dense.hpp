// fp64 dense algebra of the controller's QP, the engines' second public header (backend.hpp is the first).
// Row-major, on memory of the caller: nothing here allocates, locks, throws or starts a thread, so a call
// gives the same bits whoever makes it. Plain types only: the SIMD objects include this file, and must not
// carry an inline function of the standard library (docs/engine.md, "One object per level").
//
// Matrices are (rows, cols) at a[i * lda + j], any lda >= cols, at any address of a double. Where a matrix is
// symmetric or triangular, only its lower triangle is read or written, except that potrf may read (never
// write) the blocks of `lanes` x `lanes` entries on the diagonal in full.
#pragma once

namespace emisopt::kernels {

enum class Isa : unsigned char;

/// Doubles that `work` of any function below must hold for order n (and any k or m).
constexpr long dense_work(int n) { return 2L * 128 * (n + 24) + 128 * 24; }

/// One level's functions. Which bits can be relied on: those of one function, level and n (and k, m),
/// whatever the addresses and strides. Each entry of gemm, syrk, potrf and trsm is one chain of fused
/// multiply-adds in the order of the inner index (from the last one down in trsm_transposed), so it does not
/// depend on the number of right sides either; sums over a row (gemv, symv, trsv) run in `lanes` partial
/// sums, then pairs. Between levels: a chain of n operations errs by at most n eps of its largest partial
/// sum.
struct DenseTable {
  const char* name;  // level whose instructions the object holds
  int lanes;         // doubles per vector, as compiled

  /// y (rows) = A (rows, cols) x (cols)
  void (*gemv)(double* y, const double* a, long lda, const double* x, int rows, int cols);
  /// y (cols) += A (rows, cols)' x (rows)
  void (*gemv_transposed)(double* y, const double* a, long lda, const double* x, int rows, int cols);
  /// y (n) = K x, of which only the lower triangle is read
  void (*symv)(double* y, const double* k, long ldk, const double* x, int n);
  /// C (m, n) = A B, or C += A B. a(i, l) at a[i * a_row + l * a_col]: either may be the larger stride.
  void (*gemm)(double* c, long ldc, const double* a, long a_row, long a_col, const double* b, long ldb, int m,
               int n, int k, bool accumulate);
  /// Lower triangle of C (n, n) = A' diag(w) A, or +=; A (k, n), w (k) or null: all 1.
  void (*syrk_transposed)(double* c, long ldc, const double* a, long lda, const double* w, int n, int k,
                          bool accumulate, double* work);
  /// Lower triangle of C (n, n) = A diag(w) A', or +=; A (n, k), w (k) or null: all 1.
  void (*syrk)(double* c, long ldc, const double* a, long lda, const double* w, int n, int k, bool accumulate,
               double* work);
  /// K = L L', lower triangle in place. -1, or the index of the first pivot that is not positive and finite;
  /// the triangle is then spoiled. Divisions are products with the reciprocal.      (Golub, Van Loan
  /// 2013, 4.2)
  int (*potrf)(double* k, long ldk, int n, double* work);
  /// How many of a (n) are not zero (NaN is not), in `columns` (limit) the places of the first `limit`;
  /// beyond `limit` it may stop counting.
  int (*entries)(int* columns, int limit, const double* a, int n);
  /// x (n) = L^-1 x, and x = L'^-1 x. Pivots must be normal numbers: each is inverted once.
  void (*trsv)(double* x, const double* l, long ldl, int n);
  void (*trsv_transposed)(double* x, const double* l, long ldl, int n);
  /// B (n, m) = L^-1 B, and B = L'^-1 B.
  void (*trsm)(double* b, long ldb, const double* l, long ldl, int n, int m);
  void (*trsm_transposed)(double* b, long ldb, const double* l, long ldl, int n, int m);
  /// L L' + x x' by Givens rotations, in place; x (n) is destroyed. -1, or the row whose pivot is not finite.
  /// Squares of pivots and x must neither over- nor underflow.                 (Golub, Van Loan 2013, 6.5.4)
  int (*update)(double* l, long ldl, double* x, int n, double* work);
  /// A row that is carried through others: for r = 0 .. count-1, with t = turns + 4 r,
  ///   to_r, carry = t0 carry + t1 a_r, t2 carry + t3 a_r        (rows of cols)
  /// `to` may be `a`, or lie before it. Strides may be negative.
  void (*turn)(double* to, long ldt, double* carry, const double* a, long lda, const double* turns, int count,
               int cols);
  /// L L' - x x'. False, and L untouched, when that is not positive definite to working precision. x (n) is
  /// destroyed. Rotations from the end, found from L^-1 x before anything is written (LINPACK's dchdd;
  /// Stewart 1979): backward stable, unlike hyperbolic rotations taken one by one.
  bool (*downdate)(double* l, long ldl, double* x, int n, double* work);
};

/// The table of a level (vnni: avx512's). Throws InputError when this build or this CPU lacks it.
const DenseTable& dense_table(Isa isa);
/// That of isa_level(), as it was at the first call: the best of this CPU, lowered by EMISOPT_ISA.
const DenseTable& dense_table();

}  // namespace emisopt::kernels
