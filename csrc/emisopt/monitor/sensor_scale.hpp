// A tag's readings as numbers near 0 and 1, by quantiles: spikes and freezes in the reference do not move it.
#pragma once
#include <vector>

#include "emisopt/data/tag.hpp"

namespace emisopt {

/// z = (g(x) - centre) / spread, g the identity or x -> log(max(x, 0) + offset): skewed emissions agree with
/// their neighbours in proportion. (features/scaler.hpp scales by mean and standard deviation, for training.)
struct SensorScale {
  bool log = false;
  double offset = 0;
  double centre = 0, spread = 1;  // of g(x); spread 0: the tag did not vary

  double normal(double x) const;  // NaN stays NaN
  double physical(double z) const;
  double slope(double z) const;  // d physical / d z, > 0

  /// x (N), NaN = missing. The log is taken for Scale::log, and for Scale::automatic where an emission is
  /// never negative and its upper tail more than three times its lower one. Centre is the median, spread the
  /// distance of the quartiles as a normal standard deviation; where that is 0, of quantiles farther out.
  static SensorScale fit(const Tag& tag, std::vector<double> x);
};

/// The q-quantile (0..1) of values without NaN, linear between neighbours; NaN for none. Reorders `values`.
double quantile(std::vector<double>& values, double q);

}  // namespace emisopt
