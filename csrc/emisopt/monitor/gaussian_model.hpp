// Tags that vary together as one normal distribution: how far a row is from it, which tag makes it so, and
// what a missing reading would be. The covariance is shrunk, so that fewer rows than tags will do.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

/// A precision matrix (inverse covariance) and what its estimate took.
struct ShrunkPrecision {
  Matrix values;         // (d, d)
  double shrinkage = 0;  // share of the scaled identity in the covariance, 0 to 1
};

/// Inverse of the covariance of z (n, d), about zero, shrunk towards a multiple of the identity by the share
/// that minimises the expected squared error (Ledoit and Wolf 2004, "A well-conditioned estimator for
/// large-dimensional covariance matrices"). z holds no NaN; `more`, if not null, is a (d, d) added to the sum
/// of outer products: the uncertainty of cells that were filled in. Throws InputError for fewer than 2 rows
/// or a z that is zero everywhere.
ShrunkPrecision shrunk_precision(ConstView z, std::string_view where, const Matrix* more = nullptr);

/// z'Pz / d: 1 on average for rows of the distribution itself.
double squared_distance(const Matrix& precision, const double* z);

/// By how much d times the squared distance falls when a group of columns is left out (taken as unknown):
/// (Pz)_g' (P_gg)^-1 (Pz)_g. It is also the squared residual of the group's reconstruction from all other
/// columns over its variance, so a fault in one group shows there and is not smeared over its neighbours.
/// `first`, `step`, `count`: the group is first, first + step, ... (the lags of a tag).
double group_contribution(const Matrix& precision, const double* z, Index first, Index step, Index count);

/// Mean, spread and precision of the columns of a table.
struct GaussianModel {
  std::vector<double> mean, sd;  // (d) physical
  Matrix precision;              // (d, d) of the standardised columns
  double shrinkage = 0;

  /// Fits rows x (n, d); NaN = missing: expectation maximisation, begun at the mean, with the conditional
  /// mean and covariance of the missing cells. Throws InputError naming the column (by `names`, else its
  /// place) for a column without values or with one value only, and for an infinite value, naming the row.
  static GaussianModel fit(ConstView x, const std::vector<std::string>& names, std::string_view where);

  Index size() const { return static_cast<Index>(mean.size()); }
  /// z (d) = (x - mean) / sd; NaN stays NaN.
  void standardise(const double* x, double* z) const;
  /// Replaces each NaN of z (d) by its expectation given the others; returns how many there were. Their
  /// conditional covariance is added to `spread` (d, d) unless null.
  Index complete(double* z, Matrix* spread = nullptr) const;
};

}  // namespace emisopt
