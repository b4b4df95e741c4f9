// The iteration itself, on equilibrated data. Private to qp.
//
// Every bound and every side of a row is one "side" s with c_s(x) = sign (v - b) >= 0, v = x_j or a_i'x:
//   c + e - t = 0,  t, z >= 0,  t z = 0          e: slack, soft sides only (else 0)
//   z + w = l1 + l2 e,  e, w >= 0,  e w = 0      soft sides only
//   Hx + g - sum sign a z + sum_eq a y = 0       equalities: a'x = b with free y
// Newton's equations lose t, e, w and z in that order; what remains is a system in dx and one multiplier per
// row, which is somebody else's to solve (kkt.hpp). That multiplier, not the row's own weight times a
// difference, gives the step of z: near the end the weight is huge and the difference all cancellation.
#pragma once
#include <functional>
#include <vector>

#include "emisopt/qp/kkt.hpp"

namespace emisopt::detail {

class InteriorPoint {
 public:
  InteriorPoint(KktSystem& kkt, int max_variables, int max_rows);

  /// Equilibrated problem of the size that the system has; filled by the caller before run().
  std::vector<double> gradient;              // (n)
  std::vector<double> lower, upper;          // (n)
  std::vector<double> row_lower, row_upper;  // (m)
  std::vector<double> l1, l2;                // (m); infinite l1: hard

  /// What the last run left: primal, net multipliers (upper minus lower side), values of the rows, and what
  /// stationarity lacks: Hx + g + A'y + z.
  std::vector<double> x, y, z, value, rest;  // (n), (m), (n), (m), (n)

  enum class End { converged, iterations, stalled, numeric, stopped };

  /// Elastic: forget the objective, make every row a soft row of weight 1; gives the point of least total
  /// violation.
  enum class Mode { solve, elastic };

  /// Iterates from a cold start. `accept` is asked when the scaled residuals are small, and decides.
  End run(Mode mode, int max_iterations, const std::function<bool()>& accept,
          const std::function<bool()>* stop);
  int iterations() const { return iterations_; }
  /// Largest of primal, dual and mean complementarity at the iterate, in scaled units.
  double scaled_residual() const;
  double mean_product() const { return mu_; }

 private:
  void start(Mode mode);
  void open(Index of, double value, double sign, double b, double weight1, double weight2, double mu);
  void evaluate();  // residuals at the iterate
  bool factorise();
  void direction(bool refined);  // dx and all side directions for the present rtz, rew
  void step_sides();             // their directions from dx and the rows' multipliers, and longest_
  bool centre(double target);

  KktSystem& kkt_;
  Index n_ = 0, m_ = 0;
  // Sides: of bounds, of hard rows, of soft rows. of_: which variable or row; twin_: the row's other side,
  // -1.
  std::size_t bounds_ = 0, hard_ = 0, count_ = 0;
  std::vector<Index> of_, twin_;
  std::vector<double> sign_, b_, t_, z_, dt_, dz_, rp_, rtz_, d_, q_;
  std::vector<double> e_, w_, de_, dw_, re_, rew_, l1_, l2_;  // soft sides
  std::vector<double> over_t_, over_z_, over_e_, over_w_, old_dt_, old_dz_, old_de_, old_dw_, old_dx_,
      old_dy_;
  std::vector<char> fixed_;                                                         // (n)
  std::vector<char> equality_;                                                      // (m)
  std::vector<double> eq_y_;                                                        // (m)
  std::vector<double> dx_, rhs_, bound_weight_, force_, dx2_;                       // (n)
  std::vector<double> row_weight_, target_, dy_, dvalue_, dy2_, value2_, target2_;  // (m)
  Mode mode_ = Mode::solve;
  double rho_ = 0, mu_ = 0, primal_ = 0, dual_ = 0, promised_ = 0;
  double longest_ = 1;  // step to the nearest zero, in (0, 1]
  bool refine_ = false;
  int iterations_ = 0, products_ = 0;
};

}  // namespace emisopt::detail
