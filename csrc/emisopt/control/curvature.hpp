// Second derivatives learnt from successive gradients: one quasi-Newton matrix for the cost and one per
// limit, the latter per unit of multiplier. Apart, because multipliers move by orders of magnitude when a
// limit is given up or can be held again: a single matrix for their sum stays stiff for as many steps as it
// has dimensions, and hardly a step of them moves. Private to control.
#pragma once
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

class Curvature {
 public:
  /// `parts` matrices (n,n), n the length of `metric`: a diagonal > 0 that the first matrix of each part is a
  /// multiple of. Steps of a plan's sum give a block curvature in proportion to its steps; with the identity
  /// in their place short blocks are held as stiff as long ones and unlearn it one pair at a time.
  Curvature(std::vector<double> metric, int parts);

  /// BFGS of `part` with a step s (n) and the change y (n) of its gradient along it; no eigenvalue starts
  /// below `floor`. Where s'y is under a fifth of what the matrix says, negative included, the matrix only
  /// shrinks along s, to that fifth. Powell's mixture (1978) of y and Bs would grow without bound beside s
  /// when the same concave direction comes tick after tick. A step that is nothing or a y that is not finite
  /// is left out.
  void learn(int part, const std::vector<double>& s, const std::vector<double>& y, double floor);
  /// h (n,n) += weight * matrix of `part`; nothing while it is not known.
  void add(View h, int part, double weight) const;
  bool known(int part) const { return known_[static_cast<std::size_t>(part)] != 0; }
  void forget();

 private:
  Index n() const { return static_cast<Index>(metric_.size()); }

  std::vector<double> metric_;
  std::vector<Matrix> matrix_;  // (parts) of (n,n)
  std::vector<char> known_;     // (parts)
  std::vector<double> bs_;      // (n) scratch
};

}  // namespace emisopt
