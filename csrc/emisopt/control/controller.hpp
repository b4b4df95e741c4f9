// Model-predictive control of setpoints: SQP over a Predictor, soft ranked limits, hard bounds and rates.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "emisopt/base/output_map.hpp"
#include "emisopt/control/predictor.hpp"
#include "emisopt/control/status.hpp"
#include "emisopt/permit/limit_row.hpp"

namespace emisopt {

struct Setpoint {
  std::string name, unit;
  double low = 0, high = 1;    // hard bounds
  double rate = kMissing;      // hard: largest |move| per tick; NaN: free
  double price = 0;            // cost per unit and tick
  double move_weight = 0;      // cost per (move / (high-low))^2
  double safe = kMissing;      // target of SAFE_RAMP; NaN: middle of the bounds
};

/// cost per tick = sum_j price[j] * q_j, q = map(y, u, d); plus setpoint prices, plus move suppression.
struct Objective {
  std::shared_ptr<const OutputMap> map;  // null: q = y (the outputs themselves)
  std::vector<double> price;             // per quantity of the map; cost unit per tick per unit
  std::string currency = "EUR";
};

/// Where the training data lies: (u, d) of training rows, as mean and precision of their whitened distance.
/// Plans beyond `radius2` are penalised: weight * (m2 - radius2)_+^2 per step.
struct Envelope {
  std::vector<double> mean;  // (U + D)
  Matrix precision;          // (U + D, U + D)
  double radius2 = 0;        // squared distance that holds the chosen share of training rows; 0: off
  double weight = 0;
};

struct ControllerConfig {
  int blocks = 6;                // move blocking: setpoints change at the start of each block only
  int max_iterations = 3;        // SQP iterations per tick; 1 is real-time iteration
  double deadline_s = 0.05;      // wall clock per decision
  double slack_l1 = 0;           // exact penalty per unit of scaled slack, rank 1; 0: chosen from the prices
  double trust = 0.25;           // first trust region, share of each setpoint's range
  double kkt_tolerance = 1e-5;
  int max_hold = 12;             // failed ticks before SAFE_RAMP
  enum class Bias { none, additive, multiplicative } bias = Bias::none;
  double bias_gain = 0.15;       // filter gain per tick of the output bias
};

struct Decision {
  std::vector<double> move;      // (U) setpoints to apply now; always inside bounds and rates
  Status status = Status::hold;
  Matrix plan;                   // (H,U)
  Matrix median, upper;          // (H,O) forecast under `plan`, bias included
  std::vector<Slack> slacks;
  double cost = 0;               // predicted cost over the horizon
  double kkt = 0;                // residual of the last SQP iteration
  int iterations = 0;
  double seconds = 0;
  std::string reason;            // why not OPTIMAL, one line
};

class Controller {
 public:
  Controller(std::vector<Setpoint> setpoints, std::vector<Limit> limits, Objective objective, int horizon,
             int outputs, ControllerConfig config = {}, Envelope envelope = {});
  ~Controller();
  Controller(Controller&&) noexcept;

  /// One decision. `applied` (U): setpoints commanded last tick (never measured ones). `past` (N,O): measured
  /// outputs, newest last, NaN = invalid; used for windows. Never throws on numeric trouble.
  Decision step(Predictor& predictor, const std::vector<double>& applied, ConstView past);

  /// Feeds the bias filter: forecast made for this row and its measurement (O); NaN or frozen: skipped.
  void observe(const double* forecast, const double* measured, bool calibrating = false);
  const std::vector<double>& bias() const;   // (O) offsets, or factors when multiplicative
  void reset();                              // forgets warm start and bias

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace emisopt
