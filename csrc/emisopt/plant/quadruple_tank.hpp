// The quadruple tank of Johansson: two pumps fill four tanks, the upper two empty into the lower ones. Where
// the valves send most water to the upper tanks the process has a zero in the right half-plane.
// Equations, numbers and sources: docs/plants.md. No data of a real unit. Row period 15 s.
#pragma once
#include "emisopt/plant/ode_plant.hpp"

namespace emisopt {

namespace tank {
enum SetpointIndex { kPump1, kPump2, kSetpoints };
enum OutputIndex { kSupply, kDischarge, kPower, kLevel1, kLevel2, kOutputs };
enum DisturbanceIndex { kInflow, kLevel3, kLevel4, kDisturbances };
inline constexpr int kTanks = 4;
}  // namespace tank

/// Johansson 2000, table 1: his two operating points, with the zeros that give them their names.
struct TankSetting {
  double k1, k2;          // cm3/(V s) of the pumps
  double gamma1, gamma2;  // share of each pump's water that goes to its lower tank
  double v1, v2;          // V at the operating point
  static TankSetting minimum_phase() { return {3.33, 3.35, 0.70, 0.60, 3.00, 3.00}; }
  static TankSetting nonminimum_phase() { return {3.14, 3.29, 0.43, 0.34, 3.15, 3.15}; }
};

/// Tags: pump_1, pump_2; inflow, level_3, level_4; supply, discharge, power, level_1, level_2.
TagMap quadruple_tank_tags();

class QuadrupleTank final : public OdePlant {
 public:
  /// seed: of the inflow, the pumps' wear and noise. wander, noise: factors, 0: none (then no inflow, either:
  /// the published plant). Starts at rest at the published operating point.
  explicit QuadrupleTank(const TankSetting& setting = TankSetting::minimum_phase(), std::uint64_t seed = 0,
                         double wander = 1, double noise = 1, int steps = 30);
  std::unique_ptr<Plant> clone() const override { return std::make_unique<QuadrupleTank>(*this); }

 protected:
  void equations(const double* x, const double* u, const double* w, double* dx, double* y) const override;
  void disturbances(const double* x, const double* w, double* d) const override;

 private:
  TankSetting setting_;
};

}  // namespace emisopt
