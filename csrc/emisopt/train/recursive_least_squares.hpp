// Least squares with forgetting, one output, in square-root form.
#pragma once
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

/// Weights w that minimise sum_i forgetting^(age of i) (y_i - w'f_i)^2 + prior |w|^2, by R w = d with R upper
/// triangular: a new row is rotated into (R, d) by Givens rotations, so no covariance is ever subtracted
/// from and R'R cannot lose positive definiteness, which the plain recursion does under forgetting (Sayed
/// 2008, ch. 35). What forgetting takes from the prior is put back, one weight per update in turn, so that
/// directions that are no longer excited fade to 0 instead of blowing up.
class RecursiveLeastSquares {
 public:
  RecursiveLeastSquares() = default;
  /// InputError: features outside 1..2000, forgetting outside (0.5, 1], prior not > 0.
  RecursiveLeastSquares(Index features, double forgetting, double prior);

  Index features() const { return root_.cols - 1; }
  void update(const double* f, double y);
  /// (prediction, leverage f'(R'R)^-1 f): the prediction's variance in units of the noise's.
  struct Prediction {
    double mean = 0, leverage = 0;
  };
  Prediction predict(const double* f) const;
  const std::vector<double>& weights() const;  // (features)

  // The whole state, for files: (R | d) as (features, features + 1), and the weight whose prior is next.
  const Matrix& root() const { return root_; }
  Index next() const { return next_; }
  /// ShapeError, or InputError for a diagonal that is not > 0.
  void restore(const Matrix& root, Index next);

 private:
  void rotate_in(std::vector<double>& row, Index from);

  double forgetting_ = 1, prior_ = 1;
  Matrix root_;  // (features, features + 1)
  Index next_ = 0;
  std::vector<double> row_;
  mutable std::vector<double> weights_;
  mutable bool stale_ = true;
};

}  // namespace emisopt
