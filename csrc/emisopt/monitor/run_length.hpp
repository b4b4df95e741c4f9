// Average run lengths of CUSUM and EWMA charts on independent standard normal values, from their integral
// equations (Page 1954; Crowder 1987) by Gauss–Legendre quadrature, and the limits that give a run length.
// run_length_study.hpp simulates what has no equation.
#pragma once
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

/// Mean number of values until a two-sided CUSUM of slack k and limit h alarms, from its start at zero, when
/// the values' mean is `shift`. Throws InputError for slack outside [0, 10], limit outside (0, 50].
double cusum_run_length(double slack, double limit, double shift = 0);
/// The same for an EWMA chart of this weight (0.01 to 1) and limit (0 to 20, in standard deviations of z).
double ewma_run_length(double weight, double limit, double shift = 0);

/// The limit whose in-control run length is `run_length` values (1.5 to 1e12). Throws InputError.
double cusum_limit(double run_length, double slack);
double ewma_limit(double run_length, double weight);

/// In-control run length by limit, tabulated once: the logarithm is linear between grid points and beyond.
class RunLengthCurve {
 public:
  static RunLengthCurve cusum(double slack);
  static RunLengthCurve ewma(double weight);

  double run_length(double limit) const;
  /// P(a statistic in control exceeds `peak` somewhere in `rows` values), for rare peaks: excursions above a
  /// high level come like a Poisson process, one per run length; one that began before the first row counts
  /// too, hence some rows more.
  double p_value(double peak, Index rows) const;

 private:
  RunLengthCurve(double step, double memory) : step_(step), memory_(memory) {}
  double step_, memory_;
  std::vector<double> log_run_length_;  // at step, 2 step, ...
};

}  // namespace emisopt
