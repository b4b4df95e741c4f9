// What setpoints may do: bounds, rates and move blocking. Hard by construction: every plan that leaves this
// file is legal, whatever came in. Rule for each setpoint and tick, v the value before:
//   v inside the bounds      next in [max(low, v - rate), min(high, v + rate)]
//   v outside, out of reach  next = v moved by exactly one rate towards the bounds
#pragma once
#include <vector>

#include "emisopt/control/controller.hpp"

namespace emisopt {

/// Lengths of the blocks that cut H steps into at most `blocks`: short first, growing geometrically; the sum
/// is H. H = 24, 6 blocks: 1, 1, 2, 3, 6, 11.
std::vector<int> block_lengths(int horizon, int blocks);

class Moves {
 public:
  /// Throws InputError naming the setpoint: finite low < high, rate NaN or > 0, safe NaN or within the
  /// bounds.
  Moves(std::vector<Setpoint> setpoints, int horizon, int blocks);

  int setpoints() const { return static_cast<int>(list_.size()); }
  int horizon() const { return horizon_; }
  int blocks() const { return static_cast<int>(start_.size()); }
  int block_start(int b) const { return start_[static_cast<std::size_t>(b)]; }  // first step of block b
  int block_of(int step) const { return of_step_[static_cast<std::size_t>(step)]; }
  const Setpoint& setpoint(int u) const { return list_[static_cast<std::size_t>(u)]; }
  double range(int u) const { return setpoint(u).high - setpoint(u).low; }
  double safe(int u) const;

  /// The values that one tick may lead to from `before`.
  struct Interval {
    double low, high;
  };
  Interval reach(int u, double before) const;
  /// `wanted` brought into reach(before); NaN: as if `before` had been wanted. `before` must be finite.
  double legalise(int u, double wanted, double before) const;
  /// (U) in place; the last check before a move leaves the controller.
  void legalise(double* move, const double* before) const;
  bool legal(const double* move, const double* before) const;

  /// reach() over the blocks, from `applied` (U): low, high (blocks, U). A value inside them for block b can
  /// be reached, and from any such value some value of block b+1 can.
  void reachable(Matrix& low, Matrix& high, const double* applied) const;
  /// x (blocks, U) block by block made legal from `applied` (U).
  void legalise_blocks(View x, const double* applied) const;
  /// plan (H,U) row by row made legal from `applied` (U).
  void legalise_plan(View plan, const double* applied) const;
  /// plan (H,U) from legal block values (blocks, U): constant within a block, except that a value outside the
  /// bounds keeps coming back.
  void expand(View plan, ConstView x, const double* applied) const;
  /// Block values from a plan shifted by `age` steps; its last row repeats.
  void sample(View x, ConstView plan, int age) const;

 private:
  std::vector<Setpoint> list_;
  int horizon_;
  std::vector<int> start_, of_step_;
};

}  // namespace emisopt
