// A plant's tags as the controller wants them: setpoints with bounds and rates, and the bill as objective.
#pragma once
#include <vector>

#include "emisopt/control/controller.hpp"
#include "emisopt/data/tag.hpp"
#include "emisopt/loop/closed_loop.hpp"

namespace emisopt {

/// One Setpoint per tag of that role, in order. safe (U): targets of SAFE_RAMP; empty: the middle of the
/// bounds. move_weight: see Setpoint. Throws InputError when a setpoint tag has open bounds.
std::vector<Setpoint> plant_setpoints(const TagMap& tags, const std::vector<double>& safe,
                                      double move_weight);

/// Fuel and NH3 per row. Needs what summarise() needs.
Objective plant_objective(const TagMap& tags, const Prices& prices);

}  // namespace emisopt
