// A dense convex QP with bounds, two-sided rows and soft rows, and a solver that never says "optimal"
// without a separate check of its own answer.
//
//   minimise    1/2 x'Hx + g'x + sum over soft rows i of (l1_i s_i + 1/2 l2_i s_i^2)
//   subject to  lower <= x <= upper
//               row_lower_i <= a_i'x <= row_upper_i               hard rows
//               row_lower_i - s_i <= a_i'x <= row_upper_i + s_i   soft rows, s_i >= 0
//
// Lagrangian and signs: Hx + g + A'y + z = 0, y_i > 0 only at row_upper, y_i < 0 only at row_lower, z
// likewise for the bounds; on a soft row |y_i| <= l1_i + l2_i s_i, equal to it where s_i > 0.
#pragma once
#include <cmath>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

/// Views on the caller's memory. Infinite bounds are absent bounds; lower == upper is an equality; lower >
/// upper is infeasible, on soft rows too.
struct QpProblem {
  ConstView hessian;                             // (n,n) symmetric, positive semidefinite; both triangles
  std::span<const double> gradient;              // (n)
  std::span<const double> lower, upper;          // (n); empty: none
  ConstView rows;                                // (m,n); may be empty
  std::span<const double> row_lower, row_upper;  // (m)
  std::span<const double> l1;                    // (m) > 0, infinity: hard row; empty: all rows hard
  std::span<const double> l2;                    // (m) >= 0; empty: zero
};

enum class QpStatus {
  optimal,         // and verified
  max_iterations,  // feasible region not excluded, tolerance not reached
  infeasible,      // the hard rows and bounds cannot all hold; see `violated`
  numeric,         // factorisation broke down
  not_convex,      // H has a negative eigenvalue
  invalid,         // NaN, or an infinite number where a finite one must stand; nothing was solved
  stopped,         // the caller's stop() said so
};
const char* to_string(QpStatus);

/// How far (x, y, z) is from a solution: each part relative to the natural size of its own terms.
struct QpResidual {
  double primal = 0;           // worst violation of a bound or hard row
  double dual = 0;             // worst component of Hx + g + A'y + z, and of a multiplier beyond its range
  double complementarity = 0;  // sum of |multiplier * distance|, relative to the objective's terms
  double worst() const;
};

/// The independent check: shares no code but products of matrix and vector, and no scaling, with the solver.
/// x, z (n), y (m). With `memory` (qp_residual_memory(n, m)) it does not allocate, and begins with an upper
/// bound that costs less: one of at most `enough` is returned instead of the residual, and so is one of at
/// least `hopeless`.
QpResidual qp_residual(const QpProblem& problem, std::span<const double> x, std::span<const double> y,
                       std::span<const double> z, std::span<double> memory = {}, double enough = 0,
                       double hopeless = HUGE_VAL);
constexpr std::size_t qp_residual_memory(Index n, Index m) { return static_cast<std::size_t>(4 * n + m); }

enum class QpMethod {
  automatic,  // chosen in advance from size and start; the other one when its answer does not verify
  active_set,
  interior_point,
};
const char* to_string(QpMethod);

struct QpOptions {
  int max_iterations =
      50;  // of the interior point method; the active set method has as many per 4 constraints
  double tolerance = 1e-8;  // on QpResidual::worst()
  QpMethod method = QpMethod::automatic;
};

/// A bound or hard row that cannot hold together with the others.
struct QpViolation {
  int row = 0;        // 0..m-1: general row; m + j: bound of variable j
  double amount = 0;  // violation at the point of least total violation, in the row's own unit
};

struct QpResult {
  QpStatus status = QpStatus::invalid;
  std::vector<double> x;  // (n) inside the bounds; infeasible: least scaled total violation
  // Multipliers of rows and bounds. Infeasible: the proof (Farkas): A'y + z = 0 while
  // sum y+ upper - y- lower over rows and bounds is negative, checked; 0 where bounds cross by themselves.
  std::vector<double> y;      // (m)
  std::vector<double> z;      // (n)
  std::vector<double> slack;  // (m) violation of soft rows, 0 on hard rows
  double objective = 0;       // slack penalties included
  int iterations = 0;         // factorisations of the interior point method, pivots of the active set method
  QpMethod method = QpMethod::automatic;  // that gave the answer
  QpResidual residual;
  std::vector<QpViolation> violated;  // infeasible only: largest first, at most 8
};

/// A dual active set method and Mehrotra's predictor-corrector interior point method. Slacks and bounds are
/// eliminated before factorisation in both. Which one runs is decided before it runs; its answer is checked,
/// and if the check fails the other one runs. The workspace is sized at construction; no call allocates, and
/// none throws but for shapes: those that differ, or exceed the workspace, throw ShapeError before any work.
/// The result lives in the solver until the next call. `stop`, when given, is asked once per iteration.
class QpSolver {
 public:
  QpSolver(int max_variables, int max_rows, QpOptions options = {});
  ~QpSolver();
  QpSolver(QpSolver&&) noexcept;

  /// From a cold start; nothing of earlier calls is used.
  const QpResult& solve(const QpProblem& problem, const std::function<bool()>* stop = nullptr);

  /// From the multipliers y (m), z (n) of a similar problem, e.g. of the last sample shifted by one: their
  /// signs name the constraints that are expected to bind.
  const QpResult& solve_from(const QpProblem& problem, std::span<const double> y, std::span<const double> z,
                             const std::function<bool()>* stop = nullptr);

  /// What can be done before gradient and bounds are known: factorises H and transforms all rows. False: a
  /// problem that feedback() will have to solve from scratch.
  bool prepare(const QpProblem& problem);

  /// A problem with the H and rows of the last call (by value; they are not looked at again until the answer
  /// is checked). Starts from the multipliers given, or, without any, from the working set and factor of the
  /// last call, bit for bit.
  const QpResult& feedback(const QpProblem& problem, std::span<const double> y = {},
                           std::span<const double> z = {}, const std::function<bool()>* stop = nullptr);

 private:
  struct Workspace;
  std::unique_ptr<Workspace> work_;
};

}  // namespace emisopt
