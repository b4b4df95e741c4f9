// Private to the two checks, dense and wide: what a side of a row or bound owes. No solver sees it.
#pragma once
#include <algorithm>
#include <cmath>

namespace emisopt::detail {

// One side of a row or bound: multiplier >= 0, distance = room left (negative: violated), soft weights.
struct CheckedSide {
  double multiplier, distance, l1, l2;
  bool soft() const { return std::isfinite(l1); }
  double violation() const { return std::max(0.0, -distance); }
  double room_gap() const { return std::isfinite(distance) ? multiplier * std::max(0.0, distance) : 0; }
  double penalty_gap() const {
    return soft() ? std::abs(l1 + l2 * violation() - multiplier) * violation() : 0;
  }
  // By how much the multiplier leaves its range, relative; a multiplier on an absent side is plainly wrong.
  double excess() const {
    if (!std::isfinite(distance)) return multiplier > 0 ? 1 : 0;
    return soft() ? std::max(0.0, multiplier - l1 - l2 * violation()) / l1 : 0;
  }
};

}  // namespace emisopt::detail
