// What statuses and methods are called.
#include "emisopt/qp/qp.hpp"

namespace emisopt {

const char* to_string(QpStatus s) {
  switch (s) {
    case QpStatus::optimal:
      return "optimal";
    case QpStatus::max_iterations:
      return "max_iterations";
    case QpStatus::infeasible:
      return "infeasible";
    case QpStatus::numeric:
      return "numeric";
    case QpStatus::not_convex:
      return "not_convex";
    case QpStatus::invalid:
      return "invalid";
    case QpStatus::stopped:
      return "stopped";
  }
  return "unknown";
}

const char* to_string(QpMethod m) {
  return m == QpMethod::active_set       ? "active_set"
         : m == QpMethod::interior_point ? "interior_point"
                                         : "automatic";
}

}  // namespace emisopt
