#include "emisopt/plant/scr.hpp"

#include <cmath>

namespace emisopt {
namespace {
constexpr std::array<double, Scr::kStreams> kNode = {-1.7320508075688772, 0, 1.7320508075688772};
constexpr std::array<double, Scr::kStreams> kWeight = {1.0 / 6, 2.0 / 3, 1.0 / 6};
}  // namespace

Scr::Outlet Scr::step(const Inlet& in, double dt) {
  const double warm = 1 / in.temp_k - 1.0 / 638;
  const double kr = p_.kr * std::exp(-5500 * warm - in.hours / p_.ageing_hours) / in.gas / kCells;
  const double ka = p_.ka / in.gas / kCells;
  const double kd = ka / (p_.affinity_per_ppm * std::exp(9000 * warm));  // ppm
  const double gain = dt * kCells * in.gas / p_.storage_ppm_s;           // coverage per ppm kept
  Outlet out;
  for (std::size_t s = 0; s < kStreams; ++s) {
    double no = in.no_ppm, nh3 = in.nh3_ppm * (1 + p_.maldistribution * kNode[s]);
    for (double& theta : theta_[s]) {
      // Eley-Rideal: NO reacts from the gas with adsorbed NH3; gas quasi-steady over the cell's length.
      // Backward Euler in the coverage. The residual rises with theta, from below 0 at 0 to above 0 at 1, so
      // a bracketed Newton finds the one root for any dt.
      double next = theta, low = 0, high = 1, a_out = 0, no_out = 0;
      for (int i = 0; i < 40; ++i) {
        const double free = 1 + ka * (1 - next), arriving = nh3 + kd * next;
        a_out = arriving / free;
        no_out = no * std::exp(-kr * next);
        const double residual = next - theta - gain * ((nh3 - a_out) - (no - no_out));
        const double slope = 1 + gain * ((kd * free + ka * arriving) / (free * free) + kr * no_out);
        (residual > 0 ? high : low) = next;
        const double move = residual / slope;
        if (std::abs(move) < 1e-9) break;
        next -= move;
        if (!(next > low && next < high)) next = 0.5 * (low + high);
      }
      theta = next;
      no = no_out;
      nh3 = a_out;
    }
    out.no_ppm += kWeight[s] * no;
    out.nh3_ppm += kWeight[s] * nh3;
  }
  return out;
}

Scr::Outlet Scr::settle(const Inlet& in) {
  return step(in, 1e9);  // a backward step so long that the coverage it starts from no longer matters
}

}  // namespace emisopt
