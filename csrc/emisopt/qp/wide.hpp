// A convex QP of many variables and few outputs, stated as such, so that nothing costs n^3 or even n^2.
//
//   minimise    1/2 x'Tx + g'x + 1/2 sum_k w_k (J_k x)^2 + sum over soft rows (l1 s + 1/2 l2 s^2)
//   subject to  lower <= x <= upper,  row_lower <= c_i'x + J_k(i) x <= row_upper  (soft rows: up to s >= 0)
//
// T is banded (moves and rates of setpoints), J (p,n) holds the outputs' responses; a row is a few entries
// c_i, an output, or an output plus a few entries (a slack that rows share). What is said of rows, signs and
// multipliers in qp.hpp holds here with H = T + J' diag(w) J.
#pragma once
#include <functional>
#include <memory>
#include <span>

#include "emisopt/qp/qp.hpp"

namespace emisopt {

/// Views on the caller's memory.
struct WideProblem {
  ConstView band;                         // (n, b + 1): band(j, d) = T(j, j - d); not looked at where d > j
  ConstView outputs;                      // (p,n) J; may be empty
  std::span<const double> output_weight;  // (p) w >= 0; 0: the output matters to rows only
  std::span<const double> gradient;       // (n)
  std::span<const double> lower, upper;   // (n); empty: none
  std::span<const int> row_start;         // (m + 1): entries row_start[i] .. row_start[i + 1] are of row i
  std::span<const int> row_column;        // (entries), each at most once in a row
  std::span<const double> row_value;      // (entries)
  std::span<const int> row_output;        // (m) the output that the row contains, -1: none; empty: none
  std::span<const double> row_lower, row_upper;  // (m)
  std::span<const double> l1, l2;                // (m) as in QpProblem

  Index variables() const { return band.rows; }
  Index rows() const { return static_cast<Index>(row_lower.size()); }
};

/// What a WideSolver has room for.
struct WideSize {
  int variables = 0;
  int outputs = 0;  // a second row about the same output counts as one more
  int rows = 0;
  int entries = 0;  // of rows
  int band = 0;     // b; rows' entries that are further apart make the factor fill up
};

/// qp_residual of a WideProblem, or more: sizes that would cost n^2 are replaced by smaller ones. It shares
/// no code with the solver but products of matrix and vector.
/// memory: wide_residual_memory(n, m, p). x, z (n), y (m).
QpResidual wide_residual(const WideProblem& problem, std::span<const double> x, std::span<const double> y,
                         std::span<const double> z, std::span<double> memory);
constexpr std::size_t wide_residual_memory(Index n, Index m, Index p) {
  return static_cast<std::size_t>(5 * n + 2 * m + 3 * p);
}

/// Checks a proof of infeasibility from the problem's data alone, as certificate.hpp does for dense problems;
/// y (m) and z (n) are cleaned. memory: 2 n.
bool proves_infeasible(const WideProblem& problem, std::span<double> y, std::span<double> z,
                       std::span<double> memory);

/// The same problem with H and rows as dense matrices.
struct DenseCopy {
  Matrix hessian, rows;
  QpProblem problem;
};
DenseCopy to_dense(const WideProblem& problem);

/// Mehrotra's interior point method whose linear systems are solved in the space of outputs. Like QpSolver:
/// `optimal` is said of verified answers only, `infeasible` with a checked proof in y and z, nothing
/// allocates after construction, shapes that differ or exceed the room throw ShapeError. It has no second
/// method: what it cannot solve (T that is not positive semidefinite by itself, say) ends in `max_iterations`
/// or `numeric`, and QpSolver on to_dense() can say what it is.
class WideSolver {
 public:
  explicit WideSolver(WideSize room, QpOptions options = {});
  ~WideSolver();
  WideSolver(WideSolver&&) noexcept;

  const QpResult& solve(const WideProblem& problem, const std::function<bool()>* stop = nullptr);

 private:
  struct Workspace;
  std::unique_ptr<Workspace> work_;
};

}  // namespace emisopt
