// Bounds and rows of two entries that are held as equalities: each takes a variable out of the problem, so
// that x = Z v + x0 with one entry per row of Z. A warm working set is mostly such constraints, and what is
// left of the Hessian is small. Private to qp.
#pragma once
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt::detail {

/// A forest over the variables: an edge per row, a root that stands still per bound. Nothing allocates after
/// construction.
class Ties {
 public:
  explicit Ties(int max_variables);
  void clear(Index variables);
  int count() const { return count_; }
  int constraint(int t) const { return ties_[static_cast<std::size_t>(t)].constraint; }

  /// a x_i + b x_j = value, or, j < 0, a x_i = value. False, and nothing happens: those before determine the
  /// left side already. `constraint`: the caller's number for it.
  bool tie(int constraint, int i, double a, int j, double b, double value);
  /// After the last tie: numbers what is left. Returns how many variables v has.
  Index finish();

  Index free() const { return free_; }
  /// x_j = scale v_group + offset; group -1: x_j = offset.
  int group(Index j) const { return group_[static_cast<std::size_t>(j)]; }
  double scale(Index j) const { return scale_[static_cast<std::size_t>(j)]; }
  double offset(Index j) const { return offset_[static_cast<std::size_t>(j)]; }
  const double* offsets() const { return offset_.data(); }
  /// The variables of group g are order()[start(g)] .. order()[start(g + 1) - 1].
  const int* order() const { return order_.data(); }
  int start(Index g) const { return start_[static_cast<std::size_t>(g)]; }

  void expand(double* x, const double* v) const;      // x (n) = Z v + x0
  void add(double* x, const double* v) const;         // x (n) += Z v
  void gather(double* v, const double* force) const;  // v (free) = Z' force
  /// multiplier (count) with force + sum of multiplier times constraint = 0 but at one variable per group,
  /// where force (n) keeps what is left; floor (count): what rounding may make of a multiplier of 0, from
  /// `size` (n), the sizes of the terms of the force.
  void multipliers(double* multiplier, double* floor, double* force, const double* size);

 private:
  struct Tie {
    int constraint, i, j;
    double a, b;
  };
  struct Step {  // variable = scale * onto + offset
    int variable, onto;
    double scale, offset;
  };
  /// variable j through its root; returns the root, -1: it stands still.
  int root(int j, double& scale, double& offset);

  Index n_ = 0, free_ = 0;
  int count_ = 0;
  std::vector<Tie> ties_;
  std::vector<Step> steps_;  // in order of elimination
  std::vector<int> parent_;  // (n) -2: none, -1: stands still
  std::vector<double> scale_, offset_;
  std::vector<int> group_, order_, start_, degree_, link_;
};

}  // namespace emisopt::detail
