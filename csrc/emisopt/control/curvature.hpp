// Second derivatives learnt from gradients of the Lagrangian: one matrix for the cost and one per limit, the
// latter per unit of multiplier. Apart, because multipliers move by orders of magnitude when a limit is given
// up or can be held again: a single matrix for their sum stays stiff for as many steps as it has dimensions,
// and hardly a step of them moves. Private to control.
#pragma once
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

class Curvature {
 public:
  /// Matrices (n,n), one per entry of `size`: how large the second derivatives of each part are expected to
  /// be, per unit of its weight, against those of the others. All zero until something is learnt.
  Curvature(Index n, std::vector<double> size);

  /// Symmetric rank-one update (Conn, Gould, Toint 1991) of the sum of weight[p] * part p with a step s (n)
  /// and the change y (n) of the sum's gradient along it, shared among the parts as the least change in
  /// proportion to their sizes. Negative curvature is learnt like any other; who needs a convex matrix makes
  /// one of the sum. False, and nothing learnt, when what y adds is below `noise` in every component, when it
  /// has next to no part along s, or is not finite.
  bool learn(const std::vector<double>& weight, const std::vector<double>& s, const std::vector<double>& y,
             double noise);
  /// h (n,n) += sum of weight[p] * part p.
  void add(View h, const std::vector<double>& weight) const;
  bool known() const { return known_; }
  void forget();
  /// A size, e.g. of the cost in this tick's money.
  void resize(int part, double size) { size_[static_cast<std::size_t>(part)] = size; }

 private:
  Index n() const { return static_cast<Index>(rest_.size()); }

  std::vector<double> size_;
  std::vector<Matrix> matrix_;  // (parts) of (n,n)
  bool known_ = false;
  std::vector<double> rest_;  // (n) scratch
};

}  // namespace emisopt
