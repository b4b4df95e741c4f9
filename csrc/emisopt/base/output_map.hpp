// A differentiable map from forecast outputs to controlled quantities, one time step at a time.
// O2 correction and unit conversion (permit), ground concentration (plume), fuel cost (control) and
// users' own costs implement it; the controller only ever sees value() and vjp().
#pragma once
#include <memory>
#include <string>
#include <vector>

namespace emisopt {

class OutputMap {
 public:
  virtual ~OutputMap() = default;
  /// Names of the quantities that value() writes, with their units.
  virtual const std::vector<std::string>& names() const = 0;
  /// q (Q) from outputs y (O), setpoints u (U) and known disturbances d (D) of one step, physical units.
  virtual void value(double* q, const double* y, const double* u, const double* d) const = 0;
  /// dy (O) += (dq/dy)^T seed, du (U) += (dq/du)^T seed, at (y, u, d); seed (Q).
  virtual void vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
                   const double* d) const = 0;
};

}  // namespace emisopt
