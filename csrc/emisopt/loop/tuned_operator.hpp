// Operator rules tuned for the scenario boiler-48h by tools/tune_operator.cpp, before any MPC was run on it.
#pragma once
#include "emisopt/plant/operator.hpp"

namespace emisopt {

inline OperatorRules tuned_operator() {
  OperatorRules r;
  r.nox_limit = 75;
  r.co_limit = 125;
  r.o2_offset = 0.8;
  r.ofa_offset = 4;
  r.nox_target = 0.91;
  r.nh3_max = 0.86;
  r.tilt = -6;
  r.co_alarm = 0.9;
  return r;
}

}  // namespace emisopt
