// Dual active set method on the Gram matrix A H^-1 A' of the constraints that bind. Private to qp.
//
// With H = L L', u = L'x and m_k = L^-1 a_k, the dual of the QP (qp.hpp) is
//   minimise over y   1/2 | L^-1 g + sum m_k y_k |^2 + sum (u_k y_k^+ - l_k y_k^-) + sum phi_k(y_k)
// phi_k: 0; on a soft row (|y_k| - l1_k)^2 / (2 l2_k) beyond l1_k. So a slack never is a variable: it is a
// range for the multiplier (l2 = 0), or 1/l2 on the diagonal once the multiplier has passed l1 (l2 > 0).
// The method holds the y_k of a working set at the minimiser that their ranges allow, scans all constraints
// for the worst violated ones, and lets those join one after another (Goldfarb, Idnani 1983; Bartlett,
// Biegler 2006; Arnstrom, Bemporad, Axehill 2022). The objective of the dual falls at every step, so no set
// returns.
#pragma once
#include <cmath>
#include <functional>
#include <span>
#include <vector>

#include "emisopt/qp/gram_factor.hpp"
#include "emisopt/qp/hessian_metric.hpp"
#include "emisopt/qp/qp.hpp"
#include "emisopt/qp/ties.hpp"

namespace emisopt::detail {

class DualActiveSet {
 public:
  DualActiveSet(int max_variables, int max_rows);

  enum class End { converged, infeasible, pivots, stopped };

  /// The matrices of `p`: factorised here. False: H is not positive definite enough for a dual method.
  bool load(const QpProblem& p);
  /// After load(): transforms every row, so that feedback() need not.
  void prebuild() { metric_.build_all(); }

  /// Solves `p`, whose matrices were loaded, from the working set that (y, z) names; empty: from none.
  End run(const QpProblem& p, std::span<const double> y, std::span<const double> z, int max_pivots,
          const std::function<bool()>* stop);
  /// From the multipliers of a similar problem, without load(): bounds and rows of two entries that bound
  /// there are held as equalities (ties.hpp), what is left is solved, and those whose multiplier says that
  /// they should not bind are let go, until none does: a primal method whose steps are solved problems, so
  /// the objective falls. Where ties leave no feasible point, the proof's multipliers say which to let go.
  /// False: no answer this way; a start for run() is in start_y, start_z.
  bool run_tied(const QpProblem& p, std::span<const double> y, std::span<const double> z, int max_pivots,
                const std::function<bool()>* stop, End& end);
  /// The same from the working set and factor that the last run() or feedback() left.
  End feedback(const QpProblem& p, int max_pivots, const std::function<bool()>* stop);
  /// One Newton step on the optimality conditions of the working set, residuals taken with H itself.
  void refine(const QpProblem& p);

  bool tied() const { return ties_.count() > 0; }
  bool fits(const QpProblem& p) const { return p.hessian.rows == metric_.n && p.rows.rows == metric_.m; }
  int pivots() const { return pivots_; }
  bool binds() const { return factor_.size() > 0 || tied(); }
  double row_value(int i) const { return value_[static_cast<std::size_t>(i)]; }  // at the last scan
  /// What the last run left: solution; or, infeasible, multipliers y, z of hard constraints with
  /// A'y + z = 0 whose bounds say that 0 is negative.
  std::vector<double> x, y, z;           // (n), (m), (n)
  std::vector<double> start_y, start_z;  // (m), (n) of run_tied()

 private:
  static constexpr int kCandidates = 16;
  static constexpr signed char kIgnored = 4, kTied = 5;  // of state_
  static constexpr double kDefinite = 1e-11;             // least pivot of H, relative to its diagonal
  static constexpr double kDependent = 1e-10;  // least new part of a row that joins, squared and relative
  struct Candidate {
    int constraint;
    double score;
  };

  void take_bounds(const QpProblem& p);
  void start(const QpProblem& p);  // u0 from g and what is held at its weight
  int tie();                       // of what start_y, start_z name; returns how many
  /// From y, z of the others; `force` without the objective's: for a proof. Returns how many have the wrong
  /// sign. release: those become 0 in start_y, start_z, and so do they in y, z.
  int tied_multipliers(const QpProblem& p, bool objective, bool release);
  void open_set(std::span<const double> y, std::span<const double> z);
  End iterate(int max_pivots, const std::function<bool()>* stop);
  int scan();  // fills candidates_
  double scores(double& least, double& off);
  bool settle();                 // y of the set to its minimiser; false: out of pivots
  bool join(int k, bool known);  // false: infeasible, multipliers in y, z. known: product_ is its products
  /// The members' share of a row m (d) with products product_: its combination in factor_. Returns the square
  /// of what is new.
  double remainder(const double* m, double square);
  void push(int k, double lambda, bool beyond, double square);
  void remove(int i);
  void event(int i, double limit);                    // multiplier i has come to `limit`
  void hold(int i, double limit);                     // leaves the set, multiplier stays at `limit`
  void shift_origin(const double* m, double amount);  // u0 -= amount m
  void ranges(int k, bool beyond, int side, double& low, double& high) const;
  void products(const double* m, double* out);  // with the members, in their order
  void position();                              // x from the multipliers
  void multipliers(bool positioned = false);    // y, z and x
  double bound(int i) const;
  bool soft(int k) const { return k < metric_.m && l1_[static_cast<std::size_t>(k)] < HUGE_VAL; }

  HessianMetric metric_;
  GramFactor factor_;
  Ties ties_;
  const kernels::DenseTable& table_;
  long stride_ = 0;
  double doubt_ = 0;
  bool ignored_ = false;
  int pivots_ = 0, max_pivots_ = 0, held_ = 0, idle_ = 0;
  std::vector<double> low_, high_, value_, score_;  // (m + n): rows, then bounds; x is value_ from m
  std::vector<double> l1_, l2_;                     // (m)
  // 0: out; +-1: in the set, at upper or lower side; +-2: in the set, slack open; +-3: held at +-l1, not in
  // it; 4: out, and not asked again; 5: tied
  std::vector<signed char> state_;                       // (m + n)
  std::vector<signed char> side_;                        // of each tie: 1 upper, -1 lower
  std::vector<double> origin_, u_, tmp_, tied_, floor_;  // (n)
  std::vector<double> members_;                          // (capacity, stride)
  std::vector<int> id_, slot_;                           // (capacity)
  std::vector<double> lambda_, target_, right_, least_, most_, open_, square_, product_, scattered_;
  Candidate candidates_[kCandidates];
};

}  // namespace emisopt::detail
