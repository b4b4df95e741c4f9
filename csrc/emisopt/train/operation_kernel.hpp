// How alike two rows are, by their time and by their operation.
#pragma once
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

/// variance * exp(-|dt| / time) * m(d / length) * p(dt / period) * k. m(v) = (1 + sqrt(3) v) exp(-sqrt(3) v)
/// is the Matérn kernel of order 3/2 (Rasmussen, Williams 2006, eq. 4.17), once differentiable, so that a
/// plan has a gradient everywhere; p(v) = exp(-2 (sin(pi v) / ripple)^2) their periodic one (eq. 4.31): a row
/// is like those of the same time of day; k is `weekend` between a working day and a Saturday or Sunday,
/// else 1.
struct KernelTerm {
  double variance = 0;  // of the target's own variance, >= 0
  double time = 1000;   // rows after which the likeness has fallen to 1/e, > 0
  double length = 0;  // root mean square of the inputs' differences, in their sd; 0: operation does not count
  double period = 0;  // rows, >= 0; 0: time does not come again
  double ripple = 0.5;  // how fine the pattern within a period may be, > 0
  double weekend = 1;   // likeness of a working day and a weekend, 0..1; 1: all days are alike
};

/// Sum of terms. A distance is the root of the mean, not of the sum, of squared differences: a length then
/// means the same on a plant with 3 inputs and on one with 30. A missing input (NaN, and an infinite one)
/// lies off the axis of its column: at one sd from the mean, and at no distance from another missing one; so
/// the kernel stays one.
class OperationKernel {
 public:
  OperationKernel() = default;
  /// Throws InputError naming the term and field for numbers out of range, for no term, for inputs < 0.
  OperationKernel(std::vector<KernelTerm> terms, Index inputs)
      : OperationKernel(std::move(terms), inputs, inputs, -1) {}
  /// The first `counted` inputs make the distance. Rows are of the same kind of day where input `kind` (-1:
  /// there is none) is the same.
  OperationKernel(std::vector<KernelTerm> terms, Index inputs, Index counted, Index kind);

  Index inputs() const { return inputs_; }
  const std::vector<KernelTerm>& terms() const { return terms_; }
  double variance() const { return variance_; }  // of a row with itself
  double value(double ta, const double* a, double tb, const double* b) const;
  /// out (n): the row (t, x) with each of n rows: times (n), xs (n, inputs).
  void row(double* out, double t, const double* x, const double* times, const double* xs, Index n) const;
  /// out (inputs) += weight * d value / d a; 0 for a missing input.
  void add_slope(double* out, double weight, double ta, const double* a, double tb, const double* b) const;

 private:
  double distance(const double* a, const double* b) const;
  bool same_kind(const double* a, const double* b) const { return kind_ < 0 || a[kind_] == b[kind_]; }
  static double over_time(const KernelTerm& term, double dt, bool same_kind);

  std::vector<KernelTerm> terms_;
  Index inputs_ = 0, counted_ = 0, kind_ = -1;
  double variance_ = 0;
  bool operation_ = false;  // whether any term looks at it
};

}  // namespace emisopt
