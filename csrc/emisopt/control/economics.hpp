// What a plan costs: money through the OutputMap, setpoint prices; and what it is wished to be: targets, calm
// moves, near the data.
#pragma once
#include "emisopt/control/convex.hpp"
#include "emisopt/control/moves.hpp"

namespace emisopt {

class Economics {
 public:
  /// Throws InputError when prices or envelope do not fit the outputs (O) and setpoints.
  Economics(Objective objective, Envelope envelope, const Moves& moves, int outputs);

  /// Prices and targets of the tick that comes. Throws ShapeError, and InputError naming what has a gap.
  /// pull (U): the setpoints' steady targets; empty: none.
  void set_tick(const TickInput& input, const std::vector<double>& pull, double pull_weight);

  struct Cost {
    double money = 0;    // map and setpoint prices over the horizon
    double penalty = 0;  // tracking, pull, move suppression and envelope
    double size = 0;     // sum of |terms| of money and tracking: what "a share of the cost" refers to
    double total() const { return money + penalty; }
  };
  /// plan (H,U), median (H,O), known (H,D) or empty, applied (U).
  Cost value(ConstView plan, ConstView median, ConstView known, const double* applied) const;

  /// dy (H,O), du (H,U) = gradient of everything but move suppression.
  void gradient(View dy, View du, ConstView plan, ConstView median, ConstView known) const;
  /// s (O+U, O+U): convex part of the second derivative of step t by (y_t, u_t): the map's curvature with its
  /// negative eigenvalues cut, and the envelope's.
  void curvature(Matrix& s, Index t, ConstView plan, ConstView median, ConstView known) const;
  /// Move suppression by the block values in ranges, x / (high - low): g (n) and h (n,n) are added to.
  void suppression(double* g, View h, ConstView x, const double* applied) const;

  int known_width() const {
    return envelope_.radius2 > 0 ? static_cast<int>(envelope_.mean.size()) - U() : -1;
  }

 private:
  int U() const { return moves_.setpoints(); }
  double price(Index t, std::size_t j) const {
    return price_.rows > 0 ? price_(t, static_cast<Index>(j)) : objective_.price[j];
  }
  double setpoint_price(Index t, int u) const {
    return setpoint_price_.rows > 0 ? setpoint_price_(t, u) : moves_.setpoint(u).price;
  }
  /// median - target of tracking term k, what of it lies outside the zone.
  double deviation(Index t, std::size_t k, const double* y) const;
  /// One step: dy (O), du (U) are overwritten with the gradient of the map's money.
  void map_gradient(double* dy, double* du, Index t, const double* y, const double* u, const double* d) const;
  /// m2 and its half gradient (P v) for one step; unknown disturbances at their mean.
  double distance(std::vector<double>& pv, const double* u, const double* d) const;

  Objective objective_;
  Envelope envelope_;
  const Moves& moves_;
  int outputs_;
  Matrix price_, setpoint_price_, target_;  // (H,Q), (H,U), (H,K) of this tick; empty: as constructed
  std::vector<double> pull_;                // (U) or empty
  double pull_weight_ = 0;
  // Scratch of value and gradient (not shared between threads).
  mutable std::vector<double> q_, pv_, v_, probe_, plus_, minus_, prices_;
  mutable Convex convex_;
};

}  // namespace emisopt
