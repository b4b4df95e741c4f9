#include "emisopt/loop/scenario.hpp"

#include "emisopt/loop/tuned_operator.hpp"

namespace emisopt {
using namespace boiler;
namespace {
constexpr double kDay = 86400;
}

Scenario boiler_48h(std::uint64_t seed, const BoilerParameters& parameters) {
  Scenario s;
  s.name = "boiler-48h: fuel A to C at hour 6, slagging, NOx 75 and CO 125 mg/Nm3 1 h, slip 2.5 ppm 1 h";
  s.boiler.parameters = parameters;
  s.boiler.seed = seed;
  // After a quarter year of history, 18:00 on Monday to Thursday, so that a working day lies inside.
  const double start = kDay * (91 + static_cast<double>(seed % 4)) + 18 * 3600;
  s.boiler.start_s = start - static_cast<double>(s.warm_rows) * kPeriod;
  s.boiler.fuel_plan = {{0, 0}, {start + 6 * 3600, 2}};
  // Back-off quantiles: chosen on seeds 900-903 and 2000-2001, the least that kept hours above permit near
  // zero together with the margin of Scenario.mpc in Python.
  s.limits = {{"NOx 1 h", kNox, 75, 12, 1, 0.95, 0.5},
              {"CO 1 h", kCo, 125, 12, 1, 0.95, 0.5},
              {"NH3 slip 1 h", kSlip, 2.5, 12, 2, 0.9, 0.5}};
  s.warm_rules = tuned_operator();
  return s;
}

Scenario boiler_48h_fee(std::uint64_t seed, const BoilerParameters& parameters, double eur_per_kg) {
  Scenario s = boiler_48h(seed, parameters);
  s.prices.nox_fee_eur_per_kg = eur_per_kg;
  s.name += ", NOx fee";
  return s;
}

LoopStart start_scenario(const Scenario& s) {
  auto plant = std::make_unique<Boiler>(s.boiler);
  Operator people(s.warm_rules);
  BoilerSetpoints applied = {3.6, 18, 0.8, 0};
  Matrix measured(s.warm_rows, kColumns), truth(s.warm_rows, kOutputs);
  std::vector<double> time;
  for (Index r = 0; r < s.warm_rows; ++r) {
    if (r > 0) applied = people.decide(measured.row(r - 1), applied);
    plant->advance(applied.data());
    plant->measure(measured.row(r));
    plant->truth(truth.row(r));
    time.push_back(kEpoch + plant->time());
  }
  History history = make_history(plant->tags(), std::move(measured), std::move(time), {}, Use::live);
  return {std::move(plant), std::move(history), std::move(truth), {applied.begin(), applied.end()}};
}

}  // namespace emisopt
