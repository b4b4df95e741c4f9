// One tick's optimisation: sequential quadratic programming over the block values of the setpoints.
// Private to control; the ladder of outcomes and everything that outlives a tick is in controller.cpp.
//   sqp.cpp          the iteration: candidate plans in batches, what is accepted, when it ends
//   sqp_model.cpp    Jacobians, gradients, curvature at a point
//   sqp_qp.cpp       the quadratic programs, by penalty or rank by rank
//   sqp_explain.cpp  what the last of them says: prices, alternatives, the steady target
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "emisopt/control/bias.hpp"
#include "emisopt/control/convex.hpp"
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
  int iterations = 0;  // Jacobians, a prepared one included
  int adjoint = 0;     // steps on an older Jacobian
  std::string detail;  // which output, which exception
};

/// Everything of a tick that does not change during it.
struct SqpTick {
  Predictor& predictor;
  const std::vector<double>& applied;  // (U) finite
  std::span<const LimitRow> rows;
  std::span<const Matrix> starts;  // legal block values (blocks, U), at least one
  const BiasFilter& bias;
  TimeBudget& time;
};

/// A step is judged by what it gains, so a nearly verified answer serves; "converged" asks for a verified
/// one.
bool usable(const QpResult& r);

/// phi(s) of a violation s, relative to its limit: L1 and a little L2; its multiplier is weight * (1 + ...).
double limit_penalty(double s);
inline const QpOptions kQpOptions{.max_iterations = 60, .tolerance = 1e-8};
inline constexpr double kSlackL2 = 1e-3;  // phi(s) = s + kSlackL2/2 s^2

bool all_finite(const Matrix& m);
/// m (rows, cols), cleared, on the memory that it has if that is enough.
void shape(Matrix& m, Index rows, Index cols, double fill = 0);

class Sqp {
 public:
  Sqp(const Moves& moves, const std::vector<Limit>& limits, const Economics& economics,
      const ControllerConfig& config, int outputs);

  /// The outcome lives here until the next call.
  SqpOutcome& solve(const SqpTick& tick);
  /// The Jacobian at block values x (blocks, U), for the next solve(). False, and nothing prepared, when it
  /// is not finite or the predictor throws.
  bool prepare(Predictor& predictor, const Matrix& x, const std::vector<double>& applied,
               const BiasFilter& bias);
  void forget();  // curvature learnt so far, and what was prepared

  /// target (U): the steady optimum of the last linear model, from the end of plan p; empty: there is none.
  void steady_target(std::vector<double>& target, const PlanPoint& p, std::span<const LimitRow> rows);
  /// Prices of the last QP, dearest first.
  std::vector<Reason> reasons(const SqpTick& tick) const;
  /// The best plans by the last Jacobian with one setpoint held; with `move` (U), the best that begin with
  /// it. Forecast in one batch.
  std::vector<PlanPoint> alternatives(const PlanPoint& best, const SqpTick& tick,
                                      const std::vector<double>& move, std::vector<int>& held);
  double total(const PlanPoint& p) const { return p.cost.total(); }

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
    std::vector<double> rest;        // (n) what the curvature term and the trust region had to balance
    double complementarity = 0;      // sum of |multiplier * distance|
    int level = -1;        // what the step is to lower: a rank's violations, ranks_: the cost; -1: the
                           // merit of all together
    double predicted = 0;  // by how much, in the model
    double kkt = 0;
    bool verified = false;  // the QP's own check passed; else it missed by little
  };
  /// What is kept of the last QP, for those who ask why.
  struct Shadow {
    std::vector<double> limit;            // (limit rows) multipliers
    std::vector<char> reached;            // (limit rows) whether the last step ends on it
    std::vector<double> rate, interlock;  // of their rows
    std::vector<double> bound;            // (n), signed: > 0 at the upper one; 0 where the trust region bound
  };
  enum class Tried { moved, converged, stuck, late, failed };

  void evaluate(PlanPoint* points, std::size_t count, const SqpTick& tick);
  void measure(PlanPoint& p, const SqpTick& tick) const;
  double merit(const PlanPoint& p) const;
  double score(const PlanPoint& p, int level) const;
  bool keeps(const PlanPoint& p, const PlanPoint& than, int level) const;
  bool better(const PlanPoint& p, const PlanPoint& than) const;
  double noise(const PlanPoint& p, const SqpTick& tick, int level) const;
  double rank_tolerance() const { return 0.1 * config_.limit_margin + 1e-9; }
  void make_solvers(int rows);
  PlanPoint& spare(std::size_t i);
  bool jacobian(const PlanPoint& p, Predictor& predictor, const BiasFilter& bias, std::string& detail);
  void limit_gradients(std::span<const LimitRow> rows);
  bool linearise(const PlanPoint& p, const SqpTick& tick, bool fresh);
  void add_direct(std::vector<double>& g, const PlanPoint& p, const SqpTick& tick);
  bool lagrangian(std::vector<double>& g, const PlanPoint& p, const SqpTick& tick);
  bool pull_back(std::vector<double>& g, const Matrix& dy, const PlanPoint& p, const SqpTick& tick,
                 const std::vector<double>& multiplier);
  bool confirm(const PlanPoint& p, const SqpTick& tick, Step& step);
  void curvature(const PlanPoint& p, const SqpTick& tick);
  void weigh(const SqpTick& tick, const std::vector<double>& multiplier);
  void shift(std::span<const LimitRow> rows);
  void depart(const PlanPoint& p);
  void learn(const PlanPoint& p, const std::vector<double>& gradient);
  void secant(const PlanPoint& from, const PlanPoint& to);
  void convexify();
  void pose(const PlanPoint& p, const std::vector<double>& excess, double trust);
  QpStatus quadratic(const PlanPoint& p, const SqpTick& tick, double trust, Step& step);
  SqpOutcome::Stop descend(const SqpTick& tick, bool prepared, SqpOutcome& out);
  bool move_whole_bands(PlanPoint& p, const SqpTick& tick);
  bool freeze(const PlanPoint& p, const SqpTick& tick, const std::vector<double>& d, double trust,
              bool tried);
  void predict(const PlanPoint& p, const SqpTick& tick, const QpResult& r, Step& step);
  void stationarity(const PlanPoint& p, const QpResult& r, double trust, Step& step);
  const QpResult& solve_qp(const SqpTick& tick);
  const QpResult& ask(const SqpTick& tick, ConstView hessian, const std::vector<double>& gradient);
  const QpResult* rank_by_rank(const SqpTick& tick);
  void stepped(PlanPoint& to, const PlanPoint& from, const std::vector<double>& d) const;
  bool bend(const PlanPoint& full, const PlanPoint& from, const SqpTick& tick, const Step& step, double trust,
            double& gain);
  double gain_of(const PlanPoint& p, const PlanPoint& from, int level) const;
  bool search(PlanPoint& current, const SqpTick& tick, const Step& step, double trust, double& gained);
  Tried improve(PlanPoint& current, const SqpTick& tick, bool fresh, bool exact, double& trust,
                SqpOutcome& out);
  void come_back(PlanPoint& current, const SqpTick& tick, double trust);
  double scale(const LimitRow& row) const;
  double weight(const LimitRow& row) const;
  int rank_of(const LimitRow& row) const { return rank_[static_cast<std::size_t>(row.limit)]; }
  int n() const { return moves_.blocks() * moves_.setpoints(); }
  bool by_rank() const { return config_.ranks == ControllerConfig::Ranks::lexicographic && ranks_ > 1; }

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
  bool prepared_ = false;
  std::vector<PlanMove> block_moves_;  // (n) in the order of the block values
  Matrix known_curvature_, hessian_;   // (n,n)
  Curvature learnt_;                   // part 0: the cost's remainder; 1 + l: limit l
  Convex convex_;
  bool backward_ = true;  // the predictor offers backward passes, as far as is known
  double stand_in_ = 0;   // diagonal while nothing is learnt of the cost and nothing can be between Jacobians
  double floor_ = 0, steepest_ = 0;
  std::vector<double> multiplier_;  // (limit rows) of the last QP, kept from tick to tick
  std::vector<double> pressure_;    // (1 + limits) weights of learnt_'s parts: 1, sums of the multipliers
  std::vector<double> last_x_, last_gradient_;  // (n) where a step began, the Lagrangian's gradient there
  bool has_last_ = false;
  Shadow shadow_;

  Matrix low_, high_;                           // (blocks, U) reachable
  std::vector<std::pair<int, int>> rate_rows_;  // (block, setpoint) pairs that have a rate
  int room_;                                    // soft rows that qp_ was made for
  std::unique_ptr<QpSolver> qp_, inner_qp_;
  QpSolver steady_qp_;
  bool same_qp_ = false;                   // Hessian and rows are those of qp_'s last call
  bool keep_start_ = true;                 // what is solved now may serve the next QP as a start
  std::vector<double> start_y_, start_z_;  // multipliers of the last QP; empty: none
  Matrix qp_rows_;
  std::vector<double> lower_, upper_, row_lower_, row_upper_, l1_, l2_;

  // Memory that a tick needs, made once.
  SqpOutcome out_;
  Step step_, correction_;
  std::vector<PlanPoint> pool_;  // candidates; see spare()
  PlanPoint trial_, bent_, candidate_;
  Matrix plans_, median_, upper_of_;  // of a batch
  Matrix dy_, du_, seed_median_, seed_upper_, pulled_, unused_, tame_;
  Matrix s_, stack_, product_;  // of curvature()
  std::vector<double> by_step_, by_change_, defect_, change_, excess_, asked_, left_;
  Matrix steady_rows_, steady_hessian_;
  std::vector<double> steady_gradient_, steady_low_, steady_high_, steady_lower_, steady_upper_, steady_l1_,
      steady_l2_;
  std::vector<int> steady_limits_;
};

}  // namespace emisopt
