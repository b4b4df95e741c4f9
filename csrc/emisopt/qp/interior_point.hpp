// The iteration itself, on equilibrated data. Private to qp.
//
// Every bound and every side of a row is one "side" k with c_k(x) = sign (v_k - b_k) >= 0, v_k = x_j or
// a_i'x:
//   c + e - t = 0,  t, z >= 0,  t z = 0          e: slack, soft sides only (else 0)
//   z + w = l1 + l2 e,  e, w >= 0,  e w = 0      soft sides only
//   Hx + g - sum sign a z + sum_eq a y = 0       equalities: a'x = b with free y
// Newton's equations lose t, e, w and z in that order; what remains is (H + A'DA) dx = r of order n.
#pragma once
#include <functional>
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt::detail {

class InteriorPoint {
 public:
  InteriorPoint(int max_variables, int max_rows);

  /// Equilibrated problem of the current size; filled by the caller before start().
  Index n = 0, m = 0;
  std::vector<double> hessian, rows;         // (n,n), (m,n), leading parts of buffers
  std::vector<double> gradient;              // (n)
  std::vector<double> lower, upper;          // (n)
  std::vector<double> row_lower, row_upper;  // (m)
  std::vector<double> l1, l2;                // (m); infinite l1: hard

  /// What the last run left: primal, net multipliers (upper minus lower side).
  std::vector<double> x, y, z;  // (n), (m), (n)

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
  /// Is H + eps I positive definite, in scaled units?
  bool convex();

 private:
  struct Side {
    bool active, soft;
    double sign, b, l1, l2;
    double t, z, e, w;      // iterate
    double dt, dz, de, dw;  // direction
    double rp, re;          // residuals of the two linear equations
    double rtz, rew;        // right-hand sides of the two products
    double d, q;            // dz = d (q - dc)
  };

  void start(Mode mode);
  void sort_rows();
  void row_values(double* value, const double* v);   // value (m) = rows v
  void add_rows(double* force, const double* push);  // force (n) += rows' push
  void evaluate();                                   // residuals at the iterate
  bool factorise();
  void direction();             // dx and all side directions for the present rtz, rew
  void refine();                // one step of iterative refinement of dx
  double longest_step() const;  // in (0, 1]
  void multipliers();
  template <class F>
  void for_sides(F&& f);
  double side_dot(Index k, const double* values, const double* row_values) const {
    return k < 2 * n ? values[k % n] : row_values[(k - 2 * n) % m];
  }

  std::vector<Side> sides_;          // (2n + 2m): bounds low, bounds high, rows low, rows high
  std::vector<char> fixed_;          // (n)
  std::vector<char> equality_;       // (m)
  std::vector<double> eq_y_, eq_r_;  // (m)
  std::vector<double> factor_;       // (n,n)
  std::vector<double> full_rows_;    // (m,n): copies of the rows with many entries, one after another
  std::vector<double> full_weight_;  // (m)
  std::vector<Index> full_;          // which rows those are
  struct Entry {
    Index row = 0, column = 0;
    double value = 0;
  };
  std::vector<Entry> entries_;                // of the other rows, row by row: all that are not 0
  std::vector<double> work_;                  // of kernels/dense.hpp
  std::vector<double> dx_, rd_, rhs_, rest_;  // (n)
  std::vector<double> value_, dvalue_, weight_, push_, gather_;  // (m)
  Mode mode_ = Mode::solve;
  double rho_ = 0, mu_ = 0, primal_ = 0, dual_ = 0;
  int iterations_ = 0, products_ = 0;
};

}  // namespace emisopt::detail
