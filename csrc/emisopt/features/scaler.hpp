// Physical <-> normalised, fixed once on training rows. At run time nothing is fitted: a plan, a label or a
// coming disturbance can never move a scale.
#pragma once
#include <vector>

#include "emisopt/data/history.hpp"

namespace emisopt {

/// One tag: z = (g(y) - mean) / sd with g the identity or y -> log(max(y, 0) + offset).
/// A categorical or cost tag keeps the identity (mean 0, sd 1).
struct TagScale {
  bool log = false;
  double offset = 0;                       // of the log, physical units
  double mean = 0, sd = 1;                 // of g(y) over the training rows
  double low = kMissing, high = kMissing;  // 0.5 % and 99.5 % of the training rows, physical: the hull's box

  double normalise(double y) const;
  double physical(double z) const;
  double slope(double z) const;  // d physical / d z, > 0
};

struct Scaler {
  std::vector<TagScale> tags;  // in TagMap order

  /// Fits on rows [0, rows) of the history and reads no other row. Scale::automatic takes the log when the
  /// tag is an emission, never negative, and its upper tail is more than kSkewed times as long as its lower
  /// one. Throws InputError naming a tag that has no value or one value only in those rows, a log asked of a
  /// tag without positive values, a log asked of a setpoint (its slope in the plan must be one number).
  static Scaler fit(const History& history, Index rows);
  /// The same, but a tag with a scale in `fixed` (per tag, null: none) gets that one, whatever its rows hold.
  static Scaler fit(const History& history, Index rows, const std::vector<const TagScale*>& fixed);

  /// z (count, tags) of the rows [first, first + count); NaN stays NaN, a category stays its index.
  Matrix normalise(const History& history, Index first, Index count) const;
};

/// (99.5 % - median) / (median - 0.5 %): 1 for a symmetric tag, 3.6 for a lognormal of spread 0.5. Read off
/// quantiles, so that one spike of an analyser does not decide it.
inline constexpr double kSkewed = 3.0;

}  // namespace emisopt
