// What setpoints may do: bounds, rates, interlocks, dead-bands and move blocking. Hard by construction: every
// plan that leaves this file is legal, whatever came in. Rule for each setpoint and tick, v the value before:
//   held (by an operator, or because it moved a moment ago)   next = v
//   v inside the bounds      next in [max(low, v - rate), min(high, v + rate)]
//   v outside, out of reach  next = v moved by exactly one rate towards the bounds
// These intervals form a box, and v clipped to it, the anchor, is in it. An interlock a'u <= b is held as
// a'u <= max(b, a'anchor): the anchor is legal, box and half-spaces are convex, so any wanted point can be
// drawn back on its line to the anchor, in closed form, until it is legal too.
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
  /// bounds; interlocks with U finite weights, not all 0.
  Moves(std::vector<Setpoint> setpoints, int horizon, int blocks, std::vector<Interlock> interlocks = {});

  int setpoints() const { return static_cast<int>(list_.size()); }
  int horizon() const { return horizon_; }
  int blocks() const { return static_cast<int>(start_.size()); }
  int block_start(int b) const { return start_[static_cast<std::size_t>(b)]; }  // first step of block b
  int block_of(int step) const { return of_step_[static_cast<std::size_t>(step)]; }
  const Setpoint& setpoint(int u) const { return list_[static_cast<std::size_t>(u)]; }
  double range(int u) const { return setpoint(u).high - setpoint(u).low; }
  double safe(int u) const;
  const std::vector<Interlock>& interlocks() const { return interlocks_; }

  /// For the tick that comes: setpoint u stays where it is for the first steps[u] steps. Empty: none does.
  void hold(const std::vector<int>& steps);
  bool held(int u, int step) const { return !held_.empty() && step < held_[static_cast<std::size_t>(u)]; }

  /// The values that one tick may lead to from `before`, at `step` of the plan.
  struct Interval {
    double low, high;
  };
  static constexpr int kLater = 1 << 30;  // a step at which nothing is held
  Interval reach(int u, double before, int step = kLater) const;
  /// `wanted` brought into reach(before); NaN: as if `before` had been wanted. `before` must be finite.
  double legalise(int u, double wanted, double before, int step = kLater) const;
  /// (U) in place, interlocks too; the last check before a move leaves the controller.
  void legalise(double* move, const double* before, int step = 0) const;
  bool legal(const double* move, const double* before, int step = 0) const;
  /// Moves below a dead-band are not made: (U) in place, legal before and after. Setpoints outside their
  /// bounds come back however small the move. True when something changed.
  bool quiet(double* move, const double* before) const;

  /// reach() over the blocks, from `applied` (U): low, high (blocks, U). A value inside them for block b can
  /// be reached, and from any such value some value of block b+1 can.
  void reachable(Matrix& low, Matrix& high, const double* applied) const;
  /// x (blocks, U) block by block made legal from `applied` (U), the first one quiet.
  void legalise_blocks(View x, const double* applied) const;
  /// plan (H,U) row by row made legal from `applied` (U), the first one quiet.
  void legalise_plan(View plan, const double* applied) const;
  /// plan (H,U) from legal block values (blocks, U): constant within a block, except that a value outside the
  /// bounds keeps coming back.
  void expand(View plan, ConstView x, const double* applied) const;
  /// Block values from a plan shifted by `age` steps; its last row repeats.
  void sample(View x, ConstView plan, int age) const;

 private:
  /// The largest a'u of interlock k that is legal after `before`; `anchor` (U) is `before` in the box.
  double cap(std::size_t k, const double* anchor) const;
  void respect(double* move, const double* before, int step) const;

  std::vector<Setpoint> list_;
  std::vector<Interlock> interlocks_;
  std::vector<int> held_;  // (U) or empty
  int horizon_;
  std::vector<int> start_, of_step_;
  // Scratch (not shared between threads).
  mutable std::vector<double> anchor_, wanted_;
  mutable std::vector<Interval> box_;
  mutable std::vector<char> stuck_;
};

}  // namespace emisopt
