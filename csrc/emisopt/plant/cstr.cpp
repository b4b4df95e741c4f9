#include "emisopt/plant/cstr.hpp"

#include <cmath>
#include <string>
#include <utility>

namespace emisopt {
using namespace cstr;
namespace {
// Klatt and Engell 1993; Chen, Kremling and Allgoewer 1995, table 1. Per hour, litre, mol, kJ, kg, K.
constexpr double kK10 = 1.287e12, kK20 = 1.287e12;        // 1/h
constexpr double kK30 = 9.043e9;                          // l/(mol h)
constexpr double kE1 = 9758.3, kE2 = 9758.3, kE3 = 8560;  // K: activation energy over the gas constant
constexpr double kH1 = 4.2, kH2 = -11.0, kH3 = -41.85;    // kJ/mol
constexpr double kRho = 0.9342, kCp = 3.01;               // kg/l, kJ/(kg K)
constexpr double kKw = 4032, kArea = 0.215;               // kJ/(h m2 K), m2
constexpr double kVolume = 10, kMassK = 5.0, kCpK = 2.0;  // l, kg, kJ/(kg K)
constexpr double kMassD = 0.1322;                         // kg/mol of D, dicyclopentadiene
constexpr double kSecondsPerHour = 3600, kCelsius = 273.15;
constexpr double kFeed0 = 14.19, kHeat0 = -1113.5;  // the main operating point
enum Influence { kFouling = 2 };                    // behind the two measured ones of the feed

double scaled(double value, double factor) { return factor * value; }
}  // namespace

TagMap cstr_tags() {
  TagMap m;
  m.plant = "Klatt-Engell reactor";
  m.source = "simulated by emisopt from published equations (docs/plants.md); no real unit";
  m.synthetic = true;
  m.period = 60;
  m.tags = {
      plain_tag("feed", "1/h", Role::setpoint, 3, 35, 3),
      plain_tag("heat", "kJ/h", Role::setpoint, -9000, 0, 1000),
      plain_tag("c_in", "mol/l", Role::disturbance, 3, 7),
      plain_tag("t_in", "degC", Role::disturbance, 60, 150),
      plain_tag("c_a", "mol/l", Role::disturbance, 0, 7),
      plain_tag("t_jacket", "degC", Role::disturbance, 0, 200),
      plain_tag("product", "mol/h", Role::quality, 0, 1000),
      plain_tag("by_c", "mol/h", Role::quality, 0, 1000),
      plain_tag("by_d", "kg/h", Role::emission, 0, 70),
      plain_tag("t_reactor", "degC", Role::quality, 0, 200),
  };
  return m;
}

Cstr::Cstr(std::uint64_t seed, double wander, double noise, int steps)
    : OdePlant(cstr_tags(), {2.1402105, 1.0903044, 114.19108, 112.90659}, {0, 0, -kCelsius, -kCelsius}, steps,
               {{5.1, 0.15, 2400, 0.05, 300}, {104.9, 1.5, 3600, 0.5, 300}, {1, 0.04, 7200, 0, 0}}, wander,
               {0, 0, scaled(0.03, noise), scaled(0.2, noise), scaled(0.02, noise), scaled(0.1, noise),
                scaled(2.0, noise), scaled(2.0, noise), scaled(0.1, noise), scaled(0.1, noise)},
               seed) {
  const double u[kSetpoints] = {kFeed0, kHeat0};
  settle(u);
}

void Cstr::equations(const double* x, const double* u, const double* w, double* dx, double* y) const {
  const double a = x[kA], b = x[kB], t = x[kReactor], jacket = x[kJacket], feed = u[kFeed];
  const double kelvin = t + kCelsius;
  const double k1 = kK10 * std::exp(-kE1 / kelvin), k2 = kK20 * std::exp(-kE2 / kelvin);
  const double k3 = kK30 * std::exp(-kE3 / kelvin);
  const double through = w[kFouling] * kKw * kArea * (jacket - t);  // kJ/h from jacket to reactor
  const double heat = k1 * a * kH1 + k2 * b * kH2 + k3 * a * a * kH3;
  dx[kA] = feed * (w[kConcentrationIn] - a) - k1 * a - k3 * a * a;
  dx[kB] = -feed * b + k1 * a - k2 * b;
  dx[kReactor] = feed * (w[kTemperatureIn] - t) + through / (kRho * kCp * kVolume) - heat / (kRho * kCp);
  dx[kJacket] = (u[kHeat] - through) / (kMassK * kCpK);
  for (int i = 0; i < kStates; ++i) dx[i] /= kSecondsPerHour;
  y[kProduct] = feed * kVolume * b;
  y[kByC] = kVolume * k2 * b;
  y[kByD] = kMassD * 0.5 * kVolume * k3 * a * a;  // two A make one D
  y[kTemperature] = t;
}

void Cstr::disturbances(const double* x, const double* w, double* d) const {
  d[kConcentrationIn] = w[kConcentrationIn];
  d[kTemperatureIn] = w[kTemperatureIn];
  d[kConcentrationA] = x[kA];
  d[kJacketTemperature] = x[kJacket];
}

}  // namespace emisopt
