// Model-predictive control of setpoints: SQP over a Predictor, soft ranked limits, hard bounds and rates.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "emisopt/base/output_map.hpp"
#include "emisopt/control/predictor.hpp"
#include "emisopt/control/status.hpp"
#include "emisopt/control/time_budget.hpp"
#include "emisopt/permit/limit_row.hpp"

namespace emisopt {

class WindowBackoff;

struct Setpoint {
  std::string name, unit;
  double low = 0, high = 1;  // hard bounds
  double rate = kMissing;    // hard: largest |move| per tick; NaN: free
  double price = 0;          // cost per unit and tick
  double move_weight = 0;    // cost per (move / (high-low))^2
  double safe = kMissing;    // target of SAFE_RAMP; NaN: middle of the bounds
  double dead_band = 0;      // hard: a move smaller than this is not made
  int hold_rows = 0;         // hard: after a move it stays for so many ticks
};

/// Hard: sum of weight[u] * setpoint u <= upper, at every step of every plan (a ratio, an air-fuel relation,
/// two mills that share a fan). Where the setpoints in force break it, it may not get worse, and is left as
/// fast as bounds and rates let it.
struct Interlock {
  std::string name;
  std::vector<double> weight;  // (U)
  double upper = 0;
};

/// A target for one output: weight * (max(0, |median - target| - zone) / scale)^2 per step, a wish beside the
/// money and not part of it.
struct Tracking {
  int output = 0;
  double target = 0, weight = 1;
  double zone = 0;   // half width of what is as good as the target
  double scale = 1;  // of a deviation that costs `weight`
};

/// cost per tick = sum_j price[j] * q_j, q = map(y, u, d) with y the median forecast; plus setpoint prices.
/// Move suppression and tracking are weighed in the optimisation but are not money and not part of
/// Decision::cost.
struct Objective {
  std::shared_ptr<const OutputMap> map;  // null: q = y (the outputs themselves)
  std::vector<double> price;             // per quantity of the map; cost unit per tick per unit
  std::string currency = "EUR";
  std::vector<Tracking> tracking = {};
};

/// Where the training data lies: (u, d) of training rows, as mean and precision of their whitened distance
/// m2 = v' P v, v = (u, d) - mean. Plans beyond `radius2` are penalised: weight * (m2 - radius2)_+^2 per
/// step. A disturbance that is not known counts as its mean. D may be 0: the setpoints alone.
struct Envelope {
  std::vector<double> mean;  // (U + D)
  Matrix precision;          // (U + D, U + D)
  double radius2 = 0;        // squared distance that holds the chosen share of training rows; 0: off
  double weight = 0;
};

struct ControllerConfig {
  int blocks = 6;               // move blocking: setpoints change at the start of each block only
  int max_iterations = 3;       // Jacobians per tick; 1 is real-time iteration
  double deadline_s = 0.05;     // wall clock per decision; one tile of work (a batch, a Jacobian) may pass it
  double slack_l1 = 0;          // exact penalty per unit of slack / limit, rank 1; 0: chosen, see docs
  double trust = 0.25;          // first trust region, share of each setpoint's range
  double kkt_tolerance = 1e-5;  // share of the horizon's cost that a full-range move may still promise
  double limit_margin = 1e-4;   // share of each limit kept free, so that rounding does not break it
  int max_hold = 12;            // failed ticks before SAFE_RAMP
  enum class Bias { none, additive, multiplicative } bias = Bias::none;
  double bias_gain = 0.15;        // filter gain per tick of the output bias, (0, 1]
  std::function<double()> clock;  // seconds, monotonic; null: the steady clock
  double max_move = kMissing;     // hard: largest |move| per tick as a share of the range, for every setpoint
  /// How a conflict of ranks is settled: by weights a hundred times apart, or strictly one after the other.
  enum class Ranks { penalty, lexicographic } ranks = Ranks::penalty;
  int adjoint_steps = 8;  // most steps between Jacobians; each costs a forward and a backward pass
  double target_weight =
      0;  // pull to the steady-state target: cost per (distance / range)^2 and step; 0: none
};

/// What is special about one tick. Views may be empty; what is missing in one that is not is refused.
struct TickInput {
  std::vector<char> manual = {};           // (U) 1: in an operator's hand, stays as applied; empty: none
  ConstView price = {};                    // (H,Q) in place of Objective::price
  ConstView setpoint_price = {};           // (H,U) in place of Setpoint::price
  ConstView target = {};                   // (H,K) in place of Tracking::target, K of them
  std::vector<double> steady_target = {};  // (U) to pull to in place of the target layer's own
  const Work* replay = nullptr;            // do this much and ask no clock
  /// Rows of averages are held with its back-off, and it is told of the plan that was chosen; null: none. One
  /// made for the limits of this controller. It allocates.
  WindowBackoff* windows = nullptr;
  Index row = 0;  // number of the first coming row, for `windows`
};

/// Why a plan is as it is. A price is what one more unit would be worth over the horizon, at the margin.
struct Reason {
  enum class Kind { limit, bound, rate, interlock, held } kind = Kind::limit;
  std::string name;       // of the limit, setpoint or interlock
  double price = 0;       // >= 0, cost per unit that the limit is wider
  bool given_up = false;  // a limit that cannot hold: its price is that of its rank's weight
  int first_step = 0, last_step = 0;
};
/// The best plan in which one setpoint stays where it is, or in which the move is a given one.
struct Alternative {
  std::string held;          // setpoint that stays; empty: the move that was asked about
  std::vector<double> move;  // (U)
  double cost = 0;           // money over the horizon, forecast
  double extra = 0;          // its cost, shaping included, above the plan's
  std::vector<Slack> slacks;
};
struct Explanation {
  std::vector<Reason> reasons;            // dearest first
  std::vector<Alternative> alternatives;  // fewest broken limits first, then cheapest
};

struct Decision {
  std::vector<double> move;  // (U) setpoints to apply now; always inside bounds and rates
  Status status = Status::hold;
  Matrix plan;           // (H,U); its first row is the move
  Matrix median, upper;  // (H,O) forecast under `plan`, bias included; NaN when not is_ok(status)
  std::vector<Slack> slacks;
  double cost = 0;     // predicted money over the horizon; NaN when not is_ok(status)
  double kkt = 0;      // residual of the last linearisation, scaled as kkt_tolerance
  int iterations = 0;  // Jacobians taken
  int adjoint = 0;     // steps taken on an older Jacobian and an exact gradient
  Work work;           // how much was done before the clock said stop: TickInput::replay
  double seconds = 0;
  std::string reason;  // why not OPTIMAL, one line
};

class Controller {
 public:
  /// Throws InputError naming the setpoint, limit or field that is out of range.
  Controller(std::vector<Setpoint> setpoints, std::vector<Limit> limits, Objective objective, int horizon,
             int outputs, ControllerConfig config = {}, Envelope envelope = {},
             std::vector<Interlock> interlocks = {});
  ~Controller();
  Controller(Controller&&) noexcept;

  /// One decision. `applied` (U): setpoints commanded last tick (never measured ones). `past` (N,O): measured
  /// outputs, newest last, NaN = invalid; used for windows. Never throws on numeric trouble, nor lets an
  /// exception of the predictor pass. ShapeError: applied, past or predictor do not fit the controller.
  /// A limit with quantile <= 0.5 is held by the predictor's median, any other by its upper quantile.
  Decision step(Predictor& predictor, const std::vector<double>& applied, ConstView past);

  /// The same with rows that others made in place of those of limit_rows(): a permit's (Evaluator::coming),
  /// after those of limit_rows() for limits of one's own. LimitRow::limit is a place in the limits that the
  /// controller was made with. Throws InputError for a row that has none, or that leaves the horizon.
  Decision step(Predictor& predictor, const std::vector<double>& applied, ConstView past,
                const std::vector<LimitRow>& rows, const TickInput& input = {});

  /// Both into a decision of an earlier tick, on its memory: after the first ticks nothing is allocated, if
  /// the predictor does not (ForecastPredictor and MappedPredictor do not) and names of limits that cannot
  /// hold are no longer than a string holds in itself.
  void step(Decision& decision, Predictor& predictor, const std::vector<double>& applied, ConstView past);
  void step(Decision& decision, Predictor& predictor, const std::vector<double>& applied, ConstView past,
            const std::vector<LimitRow>& rows, const TickInput& input = {});

  /// Between two ticks: the Jacobian of the plan that the next one will begin with, by the predictor as it
  /// stands. The next step() then takes none: one batch of forecasts, a QP, a checked move. False when there
  /// is no plan yet, or the predictor has no sensitivities; then step() does it all. Never throws on numeric
  /// trouble.
  bool prepare(Predictor& predictor);

  /// Why the last plan is as it is, by the predictor it was made with; `move` (U), when not empty: what that
  /// move would lead to instead. Throws StateError when the last step had no plan of its own.
  Explanation explain(Predictor& predictor, const std::vector<double>& move = {});
  /// Steady-state optimum of the last tick's linear model (U); empty: none yet.
  const std::vector<double>& steady_target() const;

  /// Feeds the bias filter: the forecast made for this row as Decision::median had it, bias included (usually
  /// row 0 of the last decision), and the row's measurement (O). NaN, frozen or calibrating: skipped.
  void observe(const double* forecast, const double* measured, bool calibrating = false);
  const std::vector<double>& bias() const;  // (O) offsets, or factors when multiplicative
  void reset();                             // forgets warm start and bias

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace emisopt
