// The Cholesky factor of a covariance whose rows come and go: append at the end, remove anywhere, O(n^2)
// each.
#pragma once
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

/// L with L L' = K (n, n), and b = L^-1 r for S right sides r, kept while rows join and leave (Golub, Van
/// Loan 2013, 6.5.4). Appending is a forward substitution; removing a row adds the square of its column back
/// to what follows, a rank-one update by Givens rotations, which never subtracts and so never loses positive
/// definiteness. A right side is carried along as one more row of the factor. Stored by columns, so that all
/// inner loops run over neighbouring numbers. Deterministic: the same calls give the same bits.
class SlidingCholesky {
 public:
  SlidingCholesky() = default;
  /// Throws InputError for a capacity outside 1..20000 or sides < 0.
  explicit SlidingCholesky(Index capacity, Index sides = 0);

  Index size() const { return size_; }
  Index capacity() const { return capacity_; }
  Index sides() const { return sides_; }
  double at(Index i, Index j) const { return values_[place(i, j)]; }   // L(i, j), i >= j
  const double* side(Index s) const { return side_.row(s) + first_; }  // b of side s (n)

  /// Adds a row. `covariance` (n) with the rows that are there becomes L^-1 covariance in place; `variance`
  /// is its own, `right` (S) its right sides. The square of the new pivot is at least `least`, which the
  /// noise on the diagonal guarantees in exact arithmetic. Returns that square: the variance of the new row
  /// given the others. side(s)[n] is then its innovation in standard deviations. StateError when full.
  double append(double* covariance, double variance, double least, const double* right = nullptr);
  /// Cuts the newest row's innovation of side s to at most `bound` in size; returns the right side that it
  /// now stands for.
  double limit_newest(Index s, double bound);
  /// Takes row `p` out. InputError when there is none.
  void remove(Index p);
  void clear() { first_ = size_ = 0; }

  /// x (n, m) = L^-1 x, row-major: m systems at once read the factor once.
  void forward(double* x, Index m = 1) const;
  /// x (n) = L'^-1 x
  void backward(double* x) const;

  /// The same factor with some of the right sides.
  SlidingCholesky with_sides(const std::vector<Index>& kept) const;
  /// The lower triangle row by row, n (n + 1) / 2 numbers, and the sides (S, n): the whole state.
  std::vector<double> packed() const;
  Matrix packed_sides() const;
  /// ShapeError when they do not fit each other or the capacity, InputError for a pivot that is not > 0.
  void restore(const std::vector<double>& packed, const Matrix& sides);

 private:
  // Removing the oldest row moves the beginning; the numbers are moved only when the slack is used up.
  static constexpr Index kSlack = 128;
  Index stride() const { return capacity_ + kSlack; }
  std::size_t place(Index i, Index j) const {
    return static_cast<std::size_t>((first_ + j) * stride() + first_ + i);
  }
  double* column(Index j) { return values_.data() + place(j, j); }  // from its diagonal down
  const double* column(Index j) const { return values_.data() + place(j, j); }
  double* side_at(Index s) { return side_.row(s) + first_; }
  void close(Index p);

  Index capacity_ = 0, sides_ = 0, first_ = 0, size_ = 0;
  std::vector<double> values_;  // (capacity + slack)^2
  Matrix side_;                 // (S, capacity + slack)
};

}  // namespace emisopt
