// A piece of a plan that moves as one, as move blocking has it.
#pragma once
#include <compare>

namespace emisopt {

/// Setpoint `setpoint` raised by the same amount in steps first .. last (inclusive) of the horizon.
struct PlanMove {
  int setpoint = 0, first = 0, last = 0;
  auto operator<=>(const PlanMove&) const = default;
};

}  // namespace emisopt
