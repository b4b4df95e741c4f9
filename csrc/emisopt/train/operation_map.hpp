// What outputs follow from operation alone, learnt once on the training rows: ridge regression, closed form.
#pragma once
#include <cstdint>
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

struct OperationMapConfig {
  double ridge = 10;         // penalty on the linear weights, > 0
  int waves = 200;           // random Fourier features beside the linear part, 0..2000
  double wave_length = 3;    // of their kernel: root mean square of input differences in sd, > 0
  double wave_ridge = 1;     // penalty on their weights, > 0
  std::uint64_t seed = 0;    // of the features
  Index most_rows = 50'000;  // evenly spread training rows that are read at most, >= 2
  void validate() const;     // InputError "OperationMapConfig.field: expected ..., got ..."
};

/// z(x) = w0 + w'x + sum_j v_j sqrt(2 / M) cos(omega_j'x + phi_j): a line, and a smooth bend on it. The waves
/// are draws of a squared-exponential kernel's spectrum (Rahimi, Recht 2007), bounded, so that far from the
/// data the line alone goes on. Inputs and outputs normalised; a missing input counts as its mean, 0.
class OperationMap {
 public:
  OperationMap() = default;
  /// x (N, F), z (N, O), NaN = missing; a row counts for the outputs that it has. An output without any value
  /// gets the map 0. Throws ShapeError.
  static OperationMap fit(ConstView x, ConstView z, const OperationMapConfig& config);
  /// The same on the waves of `from`, a map of F inputs and O outputs learnt elsewhere, and shrunk towards it
  /// instead of to zero: all penalties, the intercept's too, count `pull` >= 0 times. Without rows it is
  /// `from`, with many it is what they say.
  static OperationMap fit(ConstView x, ConstView z, const OperationMapConfig& config,
                          const OperationMap& from, double pull);
  /// The map as another plant's columns see it: its input column i is ours `inputs[i]`, its output o ours
  /// `outputs[o]`; -1: none of ours, no slope there, an output of 0. Throws InputError for what is not there.
  OperationMap rearranged(const std::vector<Index>& inputs, const std::vector<Index>& outputs) const;

  Index inputs() const { return omega_.cols; }
  Index outputs() const { return weights_.rows; }
  void value(double* z, const double* x) const;  // z (O)
  /// out (O, F): d z / d x, 0 for a missing input.
  void slope(View out, const double* x) const;

  // The whole state, for files: weights (O, 1 + F + M), omega (M, F), phase (M).
  const Matrix& weights() const { return weights_; }
  const Matrix& omega() const { return omega_; }
  const std::vector<double>& phase() const { return phase_; }
  /// ShapeError when they do not fit, InputError for what is no finite number.
  static OperationMap restore(Matrix weights, Matrix omega, std::vector<double> phase);

 private:
  void solve(ConstView x, ConstView z, const OperationMapConfig& config, double pull, double intercept);
  Index columns() const { return 1 + omega_.cols + omega_.rows; }
  void features(double* out, const double* x) const;

  Matrix weights_, omega_;
  std::vector<double> phase_;
};

}  // namespace emisopt
