// The labels that a Gaussian process conditions on: the newest rows in which all of some outputs are known.
#pragma once
#include <vector>

#include "emisopt/train/operation_kernel.hpp"
#include "emisopt/train/sliding_cholesky.hpp"

namespace emisopt {

/// Gaussian process on residuals r (outputs) over (time, operation), on at most `capacity` rows; one factor
/// for all outputs, because the covariance does not depend on what was measured (Rasmussen, Williams 2006,
/// alg. 2.1). Time is in rows, residuals in any unit; the noise is added to the kernel's variance.
class LabelWindow {
 public:
  LabelWindow(OperationKernel kernel, double noise, Index capacity, Index outputs);

  Index size() const { return factor_.size(); }
  Index outputs() const { return factor_.sides(); }
  const std::vector<double>& times() const { return times_; }  // (n), in the order of arrival
  const double* inputs(Index row) const { return x_.data() + row * kernel_.inputs(); }
  double residual(Index row, Index output) const {
    return r_[static_cast<std::size_t>(row * outputs() + output)];
  }

  /// Takes a label in; x (inputs), r (outputs). A label of the same time is replaced; when the window is
  /// full, the oldest leaves, or the new one is not taken if it is the oldest itself (false). `innovation`
  /// (outputs): what came minus what the labels before said, in standard deviations; beyond `bounds`
  /// (outputs) the label counts as if it had come at the bound: a spike pulls no further, a step is caught up
  /// with.
  bool add(double t, const double* x, const double* r, const double* bounds, double* innovation);

  /// mean (n, outputs); variance (n), noise included, or null: it costs n^2 a row.
  void predict(View mean, double* variance, const double* t, ConstView x) const;
  /// out (outputs, inputs) += d mean / d x at one row.
  void add_slope(View out, double t, const double* x) const;
  /// Adds the rows again, in their order: removes the rounding errors of many removals. O(n^3).
  void refactor();
  /// The same rows with some of the outputs.
  LabelWindow with_outputs(const std::vector<Index>& kept) const;
  /// Whether both hold the same rows, so that their outputs could share a factor.
  bool same_rows(const LabelWindow& other) const;
  /// Takes over the outputs of a window with the same rows, and refactors.
  void merge(const LabelWindow& other);

  const SlidingCholesky& factor() const { return factor_; }
  /// The whole state: times (n), inputs (n, F), residuals (n, outputs) and the factor. ShapeError,
  /// InputError.
  void restore(std::vector<double> times, std::vector<double> x, std::vector<double> r,
               const std::vector<double>& packed, const Matrix& sides);

 private:
  void remove(Index row);
  double append(double t, const double* x, const double* r);
  const Matrix& coefficients() const;  // (outputs, n): K^-1 r

  OperationKernel kernel_;
  double noise_;
  SlidingCholesky factor_;
  std::vector<double> times_, x_, r_;
  mutable Matrix coefficients_;
  mutable bool stale_ = true;
};

}  // namespace emisopt
