// The cheapest steady setpoints of the true boiler under limits: a search over the whole box, so that no
// local optimum is taken for the answer. The yardstick of the operator gap and the oracle's second start.
#pragma once
#include "emisopt/plant/boiler.hpp"

namespace emisopt {

struct SteadyLimits {
  double nox = 100, co = 125;  // mg/Nm3
  double slip = 2.5;           // ppm
};

struct SteadyOptimum {
  BoilerSetpoints setpoints{};
  BoilerSteady steady;
  double excess = 0;  // sum of relative violations; 0: all limits hold
};

/// `point`: fuel, load, slag, ambient; its setpoints are ignored. `near`: a local search from the overfire
/// air and tilt of these instead of one from the best three points of a grid.
SteadyOptimum steady_optimum(const BoilerParameters& parameters, BoilerPoint point,
                             const SteadyLimits& limits, const BoilerSetpoints* near = nullptr);

}  // namespace emisopt
