// How likely each running average is to break its limit, from a quantile forecast: the rows that the
// controller holds and compliance checks, here with what is not known yet as random.
#pragma once
#include <vector>

#include "emisopt/permit/limit_row.hpp"

namespace emisopt {

/// A forecast of one output: values (H, Q), rising in each row, at levels (Q), rising in (0, 1), Q >= 2.
/// Between levels the quantile function is linear in the normal score of the level, and so it goes on beyond
/// the outermost two.
struct QuantileForecast {
  std::vector<double> levels;
  ConstView values;
};

/// The normal score of y in its own forecast: Phi^-1 of the level at which y lies; NaN for NaN. values (Q).
double normal_score(const std::vector<double>& levels, const double* values, double y);

/// How the forecast errors of the H steps of one forecast hang together: normal scores with a mean and a
/// spread per step (0 and 1 where the quantiles are calibrated) and a correlation (a Gaussian copula). The
/// quantiles alone do not say it, and a mean over n rows of independent errors is sqrt(n) times too sure.
struct ErrorDependence {
  std::vector<double> mean, spread;  // (H)
  Matrix correlation;                // (H, H), positive definite

  static ErrorDependence independent(int horizon);
  /// Correlation exp(-|i - j| / memory); memory in rows, above 0.
  static ErrorDependence exponential(int horizon, double memory);
  /// From the scores (n, H) of past forecasts, NaN where no value came. Pairwise correlations over the rows
  /// that have both, shrunk towards the exponential form that fits them best by H / (n + H), and further
  /// until positive definite. Throws InputError for fewer than 20 complete enough rows: a step with fewer
  /// than 20 scores.
  static ErrorDependence fit(ConstView scores);
};

/// One limit row's outlook.
struct BreakRisk {
  int limit = 0, end_step = 0;    // as in LimitRow
  double probability = kMissing;  // of sum > rhs; NaN where a needed quantile is
  double median = kMissing;       // of the running average itself, in the output's unit
  double high = kMissing;         // its `confidence` quantile
  double headroom = kMissing;     // by how much every coming row of the window may be higher until the
                                  // probability reaches 1 - confidence; negative: too high already
};

class BreakProbability {
 public:
  /// samples: even, >= 2; drawn once, in antithetic pairs, so that every call sees the same draws: same
  /// inputs, same bits, and a probability never rises with the limit. Throws InputError.
  explicit BreakProbability(ErrorDependence dependence, int samples = 2048);

  int horizon() const { return static_cast<int>(dependence_.mean.size()); }
  const ErrorDependence& dependence() const { return dependence_; }

  /// Rows of limits on the one output that `forecast` is for. `limits` gives each row's limit; confidence in
  /// (0, 1). Throws ShapeError / InputError for a forecast or rows that do not fit the horizon.
  std::vector<BreakRisk> assess(const std::vector<LimitRow>& rows, const std::vector<Limit>& limits,
                                const QuantileForecast& forecast, double confidence = 0.95) const;
  /// The probability that at least one of the rows breaks; NaN where a needed quantile is, 0 for no rows.
  double any(const std::vector<LimitRow>& rows, const QuantileForecast& forecast) const;

 private:
  Matrix draw(const QuantileForecast& forecast) const;  // (H, samples)

  ErrorDependence dependence_;
  Matrix scores_;  // (H, samples): draws of the dependent normal scores
};

}  // namespace emisopt
