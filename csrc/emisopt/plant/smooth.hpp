// Smooth stand-ins for max, clip and step, so that every steady equation of a plant has a derivative.
#pragma once
#include <cmath>

namespace emisopt {

/// max(x, 0) rounded over `width` (same unit as x); never overflows.
inline double softplus(double x, double width) {
  const double z = x / width;
  return z > 30 ? x : z < -30 ? width * std::exp(z) : width * std::log1p(std::exp(z));
}
/// 0 to 1 around z = 0.
inline double sigmoid(double z) { return 1.0 / (1.0 + std::exp(-z)); }
/// min(x, cap) rounded over `width`.
inline double soft_min(double x, double cap, double width) { return cap - softplus(cap - x, width); }
inline double square(double x) { return x * x; }
/// Exact step of dx/dt = (target - x) / tau over one interval; keep = exp(-dt / tau).
inline void relax(double& x, double target, double keep) { x = target + (x - target) * keep; }

}  // namespace emisopt
