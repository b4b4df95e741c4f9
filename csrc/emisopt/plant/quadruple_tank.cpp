#include "emisopt/plant/quadruple_tank.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace emisopt {
using namespace tank;
namespace {
// Johansson 2000, section II. cm, s, V.
constexpr double kArea[kTanks] = {28, 32, 28, 32};                // cm2 of the tanks
constexpr double kOutlet[kTanks] = {0.071, 0.057, 0.071, 0.057};  // cm2 of their outlets
constexpr double kGravity = 981;                                  // cm/s2
constexpr double kRainMean = 2.5;                                 // cm3/s into tank 2; not in the paper
enum Influence { kRain, kWear1, kWear2 };

}  // namespace

TagMap quadruple_tank_tags() {
  TagMap m;
  m.plant = "Johansson's quadruple tank";
  m.source = "simulated by emisopt from published equations (docs/plants.md); no real unit";
  m.synthetic = true;
  m.period = 15;
  m.tags = {
      plain_tag("pump_1", "V", Role::setpoint, 0.5, 6, 0.6),
      plain_tag("pump_2", "V", Role::setpoint, 0.5, 6, 0.6),
      plain_tag("inflow", "cm3/s", Role::disturbance, -5, 50),
      plain_tag("level_3", "cm", Role::disturbance, -1, 40),
      plain_tag("level_4", "cm", Role::disturbance, -1, 40),
      plain_tag("supply", "cm3/s", Role::quality, 0, 60),
      plain_tag("discharge", "g/s", Role::emission, 0, 60),
      plain_tag("power", "V2", Role::quality, 0, 100),
      plain_tag("level_1", "cm", Role::quality, 0, 60),
      plain_tag("level_2", "cm", Role::quality, 0, 60),
  };
  return m;
}

QuadrupleTank::QuadrupleTank(const TankSetting& setting, std::uint64_t seed, double wander, double noise,
                             int steps)
    : OdePlant(quadruple_tank_tags(), {12, 13, 2, 2}, {0, 0, 0, 0}, steps,
               {{kRainMean * wander, 1.2, 900, 0.8, 120}, {1, 0.02, 1800, 0, 0}, {1, 0.02, 1800, 0, 0}},
               wander,
               {0, 0, 0.15 * noise, 0.1 * noise, 0.1 * noise, 0.15 * noise, 0.15 * noise, 0.1 * noise,
                0.1 * noise, 0.1 * noise},
               seed),
      setting_(setting) {
  const double u[kSetpoints] = {setting.v1, setting.v2};
  settle(u);
}

void QuadrupleTank::equations(const double* x, const double* u, const double* w, double* dx,
                              double* y) const {
  double out[kTanks];  // cm3/s, Torricelli
  for (int i = 0; i < kTanks; ++i) out[i] = kOutlet[i] * std::sqrt(2 * kGravity * std::max(0.0, x[i]));
  const double pump1 = w[kWear1] * setting_.k1 * u[kPump1], pump2 = w[kWear2] * setting_.k2 * u[kPump2];
  const double rain = std::max(0.0, w[kRain]);
  dx[0] = (-out[0] + out[2] + setting_.gamma1 * pump1) / kArea[0];
  dx[1] = (-out[1] + out[3] + setting_.gamma2 * pump2 + rain) / kArea[1];
  dx[2] = (-out[2] + (1 - setting_.gamma2) * pump2) / kArea[2];
  dx[3] = (-out[3] + (1 - setting_.gamma1) * pump1) / kArea[3];
  y[kSupply] = out[0];
  y[kDischarge] = out[1];
  y[kPower] = u[kPump1] * u[kPump1] + u[kPump2] * u[kPump2];
  y[kLevel1] = x[0];
  y[kLevel2] = x[1];
}

void QuadrupleTank::disturbances(const double* x, const double* w, double* d) const {
  d[kInflow] = std::max(0.0, w[kRain]);
  d[kLevel3] = x[2];
  d[kLevel4] = x[3];
}

}  // namespace emisopt
