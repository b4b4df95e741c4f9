// A plant's tags as the controller wants them: setpoints with bounds and rates, and the bill as objective.
#pragma once
#include <vector>

#include "emisopt/control/controller.hpp"
#include "emisopt/data/history.hpp"
#include "emisopt/loop/closed_loop.hpp"

namespace emisopt {

/// One Setpoint per tag of that role, in order. safe (U): targets of SAFE_RAMP; empty: the middle of the
/// bounds. move_weight: see Setpoint. Throws InputError when a setpoint tag has open bounds.
std::vector<Setpoint> plant_setpoints(const TagMap& tags, const std::vector<double>& safe,
                                      double move_weight);

/// The bill of one row. Needs outputs "efficiency" (%) and "nh3_flow" (kg/h) and disturbance "load" (MW);
/// InputError otherwise.
Objective plant_objective(const TagMap& tags, const Prices& prices);

/// The box's inside as the training rows [0, rows) filled it: mean and precision of setpoints, dispatch and
/// weather; other disturbances do not count. radius2 holds `share` of the rows.
Envelope training_envelope(const History& history, Index rows, double share, double weight);

/// Where tag `name` stands among `among` (tag ids); InputError naming `where` when it is missing or
/// elsewhere.
int position(const TagMap& tags, const std::vector<Index>& among, const char* name, const char* where);

}  // namespace emisopt
