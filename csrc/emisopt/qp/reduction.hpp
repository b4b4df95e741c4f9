// A QP without its fixed variables and without what its equalities determine. Private to qp.
//
// An equality row whose variables include a free one that no earlier equality mentions gives that variable as
// a combination of others: x = x0 + [I; W] v, v the variables that are kept. State equations in the order of
// time are all of this form, so a stage-wise problem in states and inputs becomes one in inputs (condensing).
#pragma once
#include <span>
#include <vector>

#include "emisopt/base/types.hpp"
#include "emisopt/qp/qp.hpp"
#include "kernels/dense.hpp"

namespace emisopt::detail {

class Reduction {
 public:
  Reduction(int max_variables, int max_rows);

  /// Is enough determined to pay for the change of variables? Remembers what, for reduce().
  bool worthwhile(const QpProblem& p);
  /// The smaller problem, on memory of this object.
  QpProblem reduce(const QpProblem& p);
  /// Solution and multipliers of `p` from those of the smaller problem. x, z (n), y (m).
  void restore(const QpProblem& p, std::span<const double> v, std::span<const double> row_multiplier,
               std::span<const double> bound_multiplier, std::span<double> x, std::span<double> y,
               std::span<double> z);
  /// One correction of the multipliers that restore() found.
  void correct(const QpProblem& p, std::span<const double> x, std::span<double> y, std::span<double> z);

 private:
  int choose(const QpProblem& p, bool backwards);
  void express(const QpProblem& p);

  struct Step {
    Index row, pivot;
  };
  const kernels::DenseTable& table_;
  std::vector<Step> steps_;          // equalities that go, in the order of elimination
  std::vector<Index> kept_, rows_;   // variables, rows that stay
  std::vector<Index> place_;         // (n) of a variable among kept_ or steps_
  std::vector<char> kind_;           // (n) kept, fixed, determined
  std::vector<char> seen_, gone_;    // (n), (m)
  std::vector<double> combination_;  // (steps, kept) W
  std::vector<Index> end_;           // (steps) its entries in W end before this one
  std::vector<double> offset_;       // (n) x0
  std::vector<double> hessian_, matrix_, gradient_, lower_, upper_, row_lower_, row_upper_, l1_, l2_;
  std::vector<double> weight_, force_, work_;
};

}  // namespace emisopt::detail
