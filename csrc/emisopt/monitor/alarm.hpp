// What a detector says when it finds a change.
#pragma once
#include "emisopt/base/types.hpp"

namespace emisopt {

/// `size` is the estimated change in the unit of the values (two_window_ks: NaN, a distribution changed),
/// `delay` the estimated number of valid values since it began, `statistic` what exceeded the limit.
struct Alarm {
  int direction = 0;  // +1 up, -1 down, 0 neither (a distribution changed)
  double statistic = 0;
  double size = kMissing;
  Index delay = 0;
};

/// Implementations of one detector differ by up to an alarm, so the one that is matched has a name.
enum class DriftVariant {
  river,  // river 0.26.1, its arithmetic operation by operation
  moa     // MOA (Waikato/moa, 2025-09), as CapyMOA calls it
};

}  // namespace emisopt
