// Is a QP infeasible, beyond doubt? Private to qp.
#pragma once
#include <span>

#include "emisopt/qp/qp.hpp"

namespace emisopt::detail {

/// Checks a proof of infeasibility from the problem's data alone (Farkas 1902). For any x within the bounds
/// and hard rows, (A'y + z)'x <= sum y+ upper - y- lower. y (m) on soft rows is set to 0, y and z on absent
/// sides likewise; z takes up what A'y + z lacks to 0 where a bound is there to do so. True when then the
/// right side is negative by more than rounding, and what is left of A'y + z could make up for it only at an
/// x a million times as large as the bounds in the proof.
bool proves_infeasible(const QpProblem& p, std::span<double> y, std::span<double> z);

}  // namespace emisopt::detail
