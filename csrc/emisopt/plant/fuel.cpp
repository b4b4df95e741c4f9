#include "emisopt/plant/fuel.hpp"

namespace emisopt {
namespace {
constexpr std::array<Fuel, kGrades> kTable = {{
    {.600, .038, .072, .0100, .006, .170, .104, 23.2e6, 1.00, 0.60, 1.0},
    {.545, .035, .078, .0085, .007, .190, .145, 20.9e6, 1.10, 0.60, 0.8},
    {.630, .037, .055, .0140, .008, .190, .080, 24.3e6, 0.85, 0.50, 1.5},
}};
}  // namespace

const Fuel& grade(int which) { return kTable[static_cast<std::size_t>(which)]; }

Fuel blend(const std::array<double, kGrades>& weight, double n_factor, double lhv_factor) {
  Fuel f;
  f.reactivity = f.volatile_n = f.slagging = 0;
  for (int g = 0; g < kGrades; ++g) {
    const Fuel& k = grade(g);
    const double w = weight[static_cast<std::size_t>(g)];
    f.c += w * k.c * lhv_factor;
    f.h += w * k.h * lhv_factor;
    f.o += w * k.o * lhv_factor;
    f.n += w * k.n * n_factor;
    f.s += w * k.s;
    f.moisture += w * k.moisture;
    f.lhv += w * k.lhv * lhv_factor;
    f.reactivity += w * k.reactivity;
    f.volatile_n += w * k.volatile_n;
    f.slagging += w * k.slagging;
  }
  f.ash = 1 - (f.c + f.h + f.o + f.n + f.s + f.moisture);
  return f;
}

Stoichiometry::Stoichiometry(const Fuel& f) {
  const double need = 1e3 * (f.c / 12.011 + f.h / 4.032 + f.s / 32.06 - f.o / 32.0);
  air_ = need / kAirO2;
  co2_ = 1e3 * f.c / 12.011;
  nitrogen_ = 1e3 * f.n / 14.007;
  offset_ = co2_ + 1e3 * f.s / 32.06 + 0.5 * nitrogen_ - need;
  water_ = 1e3 * (f.h / 2.016 + f.moisture / 18.015);
  burnt_ = 1 - f.ash;
}

}  // namespace emisopt
