// Whatever chooses setpoints once a row, and all that it may know when it does.
#pragma once
#include <string>
#include <vector>

#include "emisopt/control/status.hpp"
#include "emisopt/data/history.hpp"
#include "emisopt/plant/plant.hpp"

namespace emisopt {

/// A decision's evidence: measured rows up to now, the known part of the future, the setpoints in force.
struct Observation {
  const History& history;  // newest row last; what instruments reported, cleaned by the tag map alone
  ConstView known;         // (rows ahead, D): dispatch, weather forecast, bunker plan; NaN unknown
  const std::vector<double>& applied;  // (U) commanded for the row just ended
  /// (C) the newest row as the control room's screens show it, not cleaned; null: the history's.
  const double* reported = nullptr;
  /// What the unit did in the newest row.
  PlantState state = PlantState::on;
};

struct Action {
  std::vector<double> setpoints;  // (U) for the coming row
  Status status = Status::optimal;
  double seconds = 0;  // decision time; 0: the loop's own clock is taken
  std::string reason;  // why not OPTIMAL
  std::vector<Slack> slacks;
  Matrix plan;               // (H,U), empty when the policy does not plan
  Matrix median, low, high;  // (H,O) its forecast under the plan, for fans; may be empty
};

class Policy {
 public:
  virtual ~Policy() = default;
  virtual std::string name() const = 0;
  /// Called once before the first decision with the live plant and the truth of the rows before (W,O). Only
  /// an upper bound may look at it; a policy that could run on a real plant ignores this.
  virtual void attach(const Plant& /*plant*/, ConstView /*truth_before*/) {}
  virtual Action decide(const Observation& seen) = 0;
};

}  // namespace emisopt
