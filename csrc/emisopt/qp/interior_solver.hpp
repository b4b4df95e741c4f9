// The interior point method on a caller's problem: scales it, unscales and checks the iterates, and names
// what cannot hold. Private to qp.
#pragma once
#include <functional>
#include <vector>

#include "emisopt/qp/dense_kkt.hpp"
#include "emisopt/qp/interior_point.hpp"
#include "emisopt/qp/qp.hpp"

namespace emisopt::detail {

class InteriorSolver {
 public:
  InteriorSolver(int max_variables, int max_rows, QpOptions options);

  /// Fills `result` (sized and cleared by the caller) with the best iterate that was checked, or, when the
  /// hard rows cannot hold, with the point of least total violation and the multipliers that prove it.
  void solve(const QpProblem& p, QpResult& result, const std::function<bool()>* stop);
  /// The same, for a problem of which a certificate says that it is infeasible.
  void least_violation(const QpProblem& p, QpResult& result, const std::function<bool()>* stop);

  void tolerance(double t) { options_.tolerance = t; }

 private:
  void equilibrate(const QpProblem& p);
  void unscale(const QpProblem& p);
  bool verified(const QpProblem& p);
  void name_violations(const QpProblem& p);

  QpOptions options_;
  DenseKkt kkt_;
  InteriorPoint core;
  QpResult* out_ = nullptr;
  std::vector<double> column, row, pass, check_;  // x = length * column .* x';  scaled row = row .* original
  double length = 1, cost = 1;
  std::vector<double> best_x, best_y, best_z, best_slack;  // put aside while an iterate is checked
};

/// Keeps the largest violations, at most 8, the list's memory.
void note_violation(std::vector<QpViolation>& list, int where, double amount);

}  // namespace emisopt::detail
