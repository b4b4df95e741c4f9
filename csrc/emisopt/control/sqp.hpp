// One tick's optimisation: sequential quadratic programming over the block values of the setpoints.
// Private to control; the ladder of outcomes and everything that outlives a tick is in controller.cpp.
#pragma once
#include <string>
#include <vector>

#include "emisopt/control/bias.hpp"
#include "emisopt/control/curvature.hpp"
#include "emisopt/control/economics.hpp"
#include "emisopt/qp/qp.hpp"

namespace emisopt {

/// A plan with what is known of it.
struct PlanPoint {
  Matrix x;              // (blocks, U) block values
  Matrix plan;           // (H,U)
  Matrix median, upper;  // (H,O), bias included
  Economics::Cost cost;
  std::vector<double> excess;   // per limit row: (value - tightened bound) / scale; > 0: violated
  std::vector<double> penalty;  // per rank: sum of phi(excess)
  bool finite = false;          // forecasts and cost
};

struct SqpOutcome {
  enum class Stop {
    converged,
    iterations,
    no_descent,
    deadline,
    forecast_nan,
    jacobian_nan,
    qp_failed,
    threw
  };
  Stop stop = Stop::iterations;
  bool found = false;  // `best` holds an evaluated plan
  int solved = 0;      // QPs answered and verified
  PlanPoint best;
  double kkt = kMissing;
  int iterations = 0;
  std::string detail;  // which output, which exception
};

/// Everything of a tick that does not change during it.
struct SqpTick {
  Predictor& predictor;
  const std::vector<double>& applied;  // (U) finite
  const std::vector<LimitRow>& rows;
  const std::vector<Matrix>& starts;  // legal block values (blocks, U), at least one
  const BiasFilter& bias;
  const std::function<double()>& remaining;  // seconds until the deadline
  const std::function<bool()>& late;         // remaining() <= 0
};

bool all_finite(const Matrix& m);
/// (blocks * U) how many steps each block value stands for: the metric of a sum over steps.
std::vector<double> block_steps(const Moves& moves);

class Sqp {
 public:
  Sqp(const Moves& moves, const std::vector<Limit>& limits, const Economics& economics,
      const ControllerConfig& config, int outputs);

  SqpOutcome solve(const SqpTick& tick);
  void forget();  // curvature learnt so far

 private:
  /// Value and derivatives at a point, by scaled block values (x / range).
  struct Model {
    Matrix median, upper;          // (H*O, n) condensed Jacobians, bias and ranges applied
    std::vector<double> gradient;  // (n) of the cost
    Matrix rows;                   // (limit rows, n), in units of the limit's scale
  };
  /// The QP's answer as this file uses it.
  struct Step {
    std::vector<double> d;           // (n)
    std::vector<double> multiplier;  // (limit rows)
    double predicted = 0;            // decrease of the merit in the model
    double kkt = 0;
    bool at_trust = false;
    bool verified = false;  // the QP's own check passed; else it missed by little
  };

  void evaluate(std::vector<PlanPoint>& points, const SqpTick& tick);
  void measure(PlanPoint& p, const SqpTick& tick) const;
  double merit(const PlanPoint& p) const;
  double noise(const PlanPoint& p, const SqpTick& tick) const;
  bool jacobian(const PlanPoint& p, const SqpTick& tick, std::string& detail);
  void linearise(const PlanPoint& p, const SqpTick& tick);  // gradient, rows, from the present Jacobian
  void curvature(const PlanPoint& p, const SqpTick& tick);
  void learn(const PlanPoint& p, const SqpTick& tick);
  void pose(const PlanPoint& p, const std::vector<double>& excess, double trust);
  QpStatus quadratic(const PlanPoint& p, const SqpTick& tick, double trust, Step& step);
  const QpResult& solve_qp(const SqpTick& tick);
  PlanPoint stepped(const PlanPoint& from, const std::vector<double>& d, double alpha) const;
  bool bend(PlanPoint& full, const PlanPoint& from, const SqpTick& tick, const Step& step, double trust);
  bool search(PlanPoint& current, const SqpTick& tick, const Step& step, const std::vector<double>& alphas,
              double trust, double& gained);
  double scale(const LimitRow& row) const;
  double weight(const LimitRow& row) const;
  int rank_of(const LimitRow& row) const { return rank_[static_cast<std::size_t>(row.limit)]; }
  int n() const { return moves_.blocks() * moves_.setpoints(); }

  const Moves& moves_;
  const std::vector<Limit>& limits_;
  const Economics& economics_;
  const ControllerConfig& config_;
  int outputs_;
  std::vector<int> rank_;  // per limit, compressed: 0 is most important
  int ranks_ = 1;
  double base_ = 1;      // penalty weight of the least important rank
  int raises_ = 0;       // how often it was raised in this tick
  int noisy_steps_ = 0;  // taken in this tick on the gradient's word alone
  double cost_scale_ = 1;

  Model model_;
  std::vector<PlanMove> block_moves_;  // (n) in the order of the block values
  Matrix known_curvature_, hessian_;   // (n,n)
  Curvature learnt_;                   // part 0: the cost's remainder; 1 + l: limit l
  double stand_in_ = 0;                // diagonal while nothing is learnt of the cost
  double levenberg_ = 0, floor_ = 0;
  std::vector<double> last_x_, last_gradient_;  // (n): where and what the cost's gradient was
  Matrix last_rows_;                            // (limit rows, n) there
  std::vector<double> multiplier_;              // (limit rows) of the last QP
  std::vector<double> pressure_;                // (limits) sums of them, kept from tick to tick
  bool has_last_ = false;

  Matrix low_, high_;                           // (blocks, U) reachable
  std::vector<std::pair<int, int>> rate_rows_;  // (block, setpoint) pairs that have a rate
  QpSolver qp_;
  Matrix qp_rows_;
  std::vector<double> lower_, upper_, row_lower_, row_upper_, l1_, l2_;
};

}  // namespace emisopt
