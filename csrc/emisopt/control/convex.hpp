// The nearest convex form of a symmetric matrix, on memory that is made once. Private to control.
#pragma once
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

/// Eigenvalues below a floor are raised to it, eigenvectors kept: of all matrices with no eigenvalue below
/// the floor the nearest one in the Frobenius norm (Higham 1988). Beyond kSpectral rows, where the spectrum
/// costs more than what it serves, the diagonal is raised instead, by twice as much each time until a
/// Cholesky factor exists. By Householder's tridiagonal form and QL steps with implicit shifts (Martin,
/// Reinsch, Wilkinson 1968; Dubrulle 1970).
class Convex {
 public:
  static constexpr Index kSpectral = 128;

  explicit Convex(Index n);
  /// h (n,n), symmetric. True when it was changed. NaN and infinity are left as they are.
  bool raise(View h, double floor);

 private:
  void tridiagonal();
  bool diagonalise();

  Index n_;
  Matrix v_;                            // (n,n) the eigenvectors, in rows
  std::vector<double> diagonal_, off_;  // (n)
  Matrix factor_;                       // (n,n)
  std::vector<double> work_;
};

}  // namespace emisopt
