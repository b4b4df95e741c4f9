// Runs a policy against a simulated plant and judges it by the plant's truth.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "emisopt/loop/policy.hpp"
#include "emisopt/permit/limit_row.hpp"
#include "emisopt/plant/plant.hpp"

namespace emisopt {

/// Where every policy begins: a plant in full state, the rows that led there, and their truth.
struct LoopStart {
  std::unique_ptr<Plant> plant;
  History history;              // measured warm-up rows
  Matrix truth;                 // (warm-up rows, O)
  std::vector<double> applied;  // (U)
};

struct LoopOptions {
  Index rows = 576;
  int ahead = 24;  // rows of schedule shown
  /// Called with each measured row (C) before the policy sees it, to break sensors on purpose.
  std::function<void(Index row, double* measured)> tamper;
  /// Called after each row with rows done and rows in all; returning false ends the run there.
  std::function<bool(Index done, Index rows)> progress;
};

/// One run, row by row. N rows, U setpoints, C tags, O outputs, D disturbances.
struct LoopLog {
  std::string policy;
  TagMap tags;
  std::vector<double> time;           // (N) s since 1970, end of the row
  Matrix setpoints;                   // (N,U) applied during the row
  Matrix measured;                    // (N,C)
  Matrix truth;                       // (N,O)
  Matrix disturbances;                // (N,D) true
  std::vector<Action> actions;        // (N) decided before the row
  std::vector<PlantState> state;      // (N) what the unit did
  Matrix before;                      // (W,O) truth of the warm-up rows
  std::vector<double> applied_first;  // (U) in force before row 0

  Index rows() const { return static_cast<Index>(time.size()); }
};

/// The plant is cloned: a start serves any number of policies, and each meets the same disturbances and the
/// same noise. A setpoint that is not finite is replaced by the one in force; others outside bounds or rates
/// are clipped; both are counted by summarise().
LoopLog run_closed_loop(const LoopStart& start, Policy& policy, const LoopOptions& options = {});

/// What the rows cost: fuel by the true load and efficiency, NH3 by the true flow, a fee on NOx by the true
/// concentration and the flue gas of the fuel.
struct Prices {
  double fuel_eur_per_gj = 3.2, nh3_eur_per_kg = 0.65;
  double nox_fee_eur_per_kg = 0;
};

struct LimitSummary {
  std::string name;
  int rank = 1;
  double hours_above = 0;  // rows whose rolling mean of the truth exceeds the limit, in hours
  double worst = 0;        // largest rolling mean
};

struct LoopSummary {
  std::string policy;
  double hours = 0;
  double fuel_eur = 0, nh3_eur = 0, fee_eur = 0, total_eur = 0;
  std::vector<double> mean, worst;         // (O) of the truth: mean, and largest hourly mean
  std::vector<LimitSummary> limits;        // in the order given
  double hours_above_permit = 0;           // sum over limits of rank 1
  double p50_s = 0, p99_s = 0, max_s = 0;  // decision time
  std::vector<int> status_count;           // by Status
  int illegal_moves = 0;                   // decided setpoints outside bounds or rates, or not finite
  double travel = 0;                       // sum of |move| / (high - low), all setpoints
};

/// Needs outputs "efficiency" (%) and "nh3_flow" (kg/h), disturbance "load" (MW), and "nox" (mg/Nm3) for a
/// fee; InputError otherwise.
LoopSummary summarise(const LoopLog& log, const std::vector<Limit>& limits, const Prices& prices = {});

}  // namespace emisopt
