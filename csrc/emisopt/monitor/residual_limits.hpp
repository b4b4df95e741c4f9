// How far residuals of healthy tags go: each stretch of the reference is looked at by a model that was fitted
// on the others.
#pragma once
#include <vector>

#include "emisopt/monitor/sensor_model.hpp"

namespace emisopt {

inline constexpr double kMedianToSd = 1.4826;  // median of |x| to standard deviation, normal x

/// One row of every s in a row, drawn (the same each time), so that at most 20,000 stay: what a factor model
/// is fitted on. Years of minutes say no more of a few factors; every s-th row might miss a tag that comes so
/// often.
Matrix thinned(ConstView z);

/// Number of factors with which the first four fifths of z (N, T) say most of the last fifth: the smallest
/// whose mean log of the median residual, over the judged tags, is within 0.01 of the best.
Index choose_factors(ConstView z, const std::vector<char>& judged);

/// Limits (T) from held-out blocks of z (N, T). The largest 2 % of a statistic's values count as faults in
/// the reference: their size does not matter. A limit is infinite for a tag with too few readings to set it.
std::vector<ResidualLimits> residual_limits(ConstView z, const std::vector<char>& gap, Index factors,
                                            const SensorOptions& options);

}  // namespace emisopt
