// How far two distributions are apart, for reports beside an alarm: population stability index, Hellinger and
// Jensen–Shannon distance of shares in bins, earth mover's distance of samples, chi-squared test of
// categories.
#pragma once
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

/// Shares p, q >= 0 of equally many bins, each summing to 1 (to 1e-6). sum (q - p) log(q / p); an empty bin
/// counts as the least positive normal number, as in frouros, so one empty bin gives hundreds. Throw
/// InputError.
double population_stability(const std::vector<double>& p, const std::vector<double>& q);
/// sqrt(sum (sqrt p - sqrt q)^2 / 2), 0 to 1.
double hellinger_distance(const std::vector<double>& p, const std::vector<double>& q);
/// sqrt of the Jensen–Shannon divergence, natural logarithm, as SciPy; shares are scaled to a sum of 1.
double jensen_shannon_distance(const std::vector<double>& p, const std::vector<double>& q);
/// Area between the two empirical distribution functions, in the values' unit; NaN is left out. Throws
/// InputError for infinite values, or samples without any.
double earth_mover_distance(std::vector<double> x, std::vector<double> y);

struct ChiSquared {
  double statistic = 0, p_value = 1;
  Index dof = 0;
};
/// Whether counts of the same categories in two samples come from one distribution (2 x n table; without
/// Yates' correction, which SciPy applies when n is 2). Categories that neither has are left out. InputError.
ChiSquared categories_differ(const std::vector<double>& first, const std::vector<double>& second);

}  // namespace emisopt
