#include "emisopt/control/status.hpp"

namespace emisopt {

const char* to_string(Status s) {
  switch (s) {
    case Status::optimal:
      return "OPTIMAL";
    case Status::feasible_deadline:
      return "FEASIBLE_DEADLINE";
    case Status::limit_slacked:
      return "LIMIT_SLACKED";
    case Status::previous_plan_shifted:
      return "PREVIOUS_PLAN_SHIFTED";
    case Status::hold:
      return "HOLD";
    case Status::safe_ramp:
      return "SAFE_RAMP";
  }
  return "UNKNOWN";
}

}  // namespace emisopt
