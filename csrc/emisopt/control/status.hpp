// The outcome of a decision: a ladder from best to last resort. `ok` only for the first three.
#pragma once
#include <string>
#include <vector>

namespace emisopt {

enum class Status {
  optimal = 0,                // OPTIMAL: converged, verified
  feasible_deadline = 1,      // FEASIBLE_DEADLINE: stopped by the clock or iteration budget, limits hold
  limit_slacked = 2,          // LIMIT_SLACKED: some soft limit cannot hold; named in Decision::slacks
  previous_plan_shifted = 3,  // PREVIOUS_PLAN_SHIFTED: this tick's solve failed
  hold = 4,                   // HOLD: no usable plan; last commanded move kept
  safe_ramp = 5,              // SAFE_RAMP: held too long or told so; ramp to the safe setpoints
};
const char* to_string(Status);
inline bool is_ok(Status s) { return static_cast<int>(s) <= 2; }

/// A limit that does not hold in the plan: by how much at most, and the first step at which.
struct Slack {
  std::string limit;
  double amount = 0;                    // unit of the limit
  int first_step = 0, last_step = 0;    // at whose ends the windows close that are above it
  int output = 0;                       // column of the forecast
  int worst_first = 0, worst_step = 0;  // the future steps of the window that is `amount` above
};

}  // namespace emisopt
