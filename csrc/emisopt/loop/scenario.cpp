#include "emisopt/loop/scenario.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/loop/tuned_operator.hpp"

namespace emisopt {
using namespace boiler;
namespace {
constexpr double kDay = 86400;
constexpr double kNoScrNox = 400;  // mg/Nm3
}  // namespace

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
  s.warm_rules = tuned_operator_fee();
  return s;
}

Scenario boiler_48h_fan(std::uint64_t seed, BoilerParameters parameters) {
  parameters.fan_limit = kWeakFans;
  Scenario s = boiler_48h(seed, parameters);
  s.name += ", weak fans";
  s.warm_rules = tuned_operator_fan();
  return s;
}

Scenario boiler_48h_no_scr(std::uint64_t seed, BoilerParameters parameters) {
  parameters.catalyst = false;
  Scenario s = boiler_48h(seed, parameters);
  s.name = "boiler-48h-no-scr: fuel A to C at hour 6, slagging, NOx 400 and CO 125 mg/Nm3 1 h, no SCR";
  s.limits[0].limit = kNoScrNox;
  s.limits.pop_back();
  s.warm_rules = tuned_operator_no_scr();
  return s;
}

namespace {
Rule rule_60d(const char* pollutant, const char* tag, double limit, const char* words) {
  Rule r;
  r.name = std::string(pollutant) + " " + words;
  r.pollutant = pollutant;
  r.unit = "mg/Nm3";
  r.tag = tag;
  r.limit = limit;
  r.exclude.startup = true;
  r.base.validity.need = Need::share;
  r.base.validity.share = 0.75;
  r.source = "emisopt's own, for this scenario";
  r.verified = true;
  return r;
}

Permit permit_60d() {
  Permit p;
  p.name = "boiler-60d";
  p.source = "emisopt's own, for this scenario";
  for (const auto& [tag, pollutant] : {std::pair("nox", "NOx"), std::pair("co", "CO")})
    p.signals.push_back({.tag = tag, .pollutant = pollutant, .unit = "mg/Nm3"});
  const auto day = [](Rule r) {
    r.average.over = Over::day;
    r.average.min_share = 0.75;
    r.average.of_operation = true;
    return r;
  };
  const auto half_hours = [](Rule r) {
    r.base.length_s = 1800;
    r.allow = {0.97, 0, Per::month};
    return r;
  };
  p.rules.push_back(day(rule_60d("NOx", "nox", 75, "24 h")));
  Rule month = rule_60d("NOx", "nox", 75, "30 operating days");
  month.average.over = Over::operating_days;
  month.average.length = 30;
  month.average.min_share = 0.5;
  month.average.of_operation = true;
  p.rules.push_back(month);
  p.rules.push_back(half_hours(rule_60d("NOx", "nox", 150, "97 % of half-hours")));
  p.rules.push_back(day(rule_60d("CO", "co", 125, "24 h")));
  p.rules.push_back(half_hours(rule_60d("CO", "co", 250, "97 % of half-hours")));
  return p;
}
}  // namespace

Scenario boiler_60d(std::uint64_t seed, const BoilerParameters& parameters) {
  Scenario s = boiler_48h(seed, parameters);
  s.name =
      "boiler-60d: all fuels, stops and start-ups, NOx 75 and CO 125 mg/Nm3 over a day, NOx 75 over 30 "
      "operating days, 97 % of half-hours at NOx 150 and CO 250, slip 2.5 ppm 1 h";
  s.rows = 60 * 288;
  s.limits.erase(s.limits.begin(), s.limits.begin() + 2);
  s.permit = permit_60d();
  s.boiler.fuel_plan.clear();
  const double begin = s.boiler.start_s + static_cast<double>(s.warm_rows) * kPeriod;
  Rng rng(seed, 80);
  for (const double day : {14.0, 41.0}) {
    const double from = begin + kDay * (day + std::floor(8 * rng.uniform()));
    s.boiler.stops.push_back({from, from + 3600 * std::floor(rng.uniform(24, 61))});
  }
  for (double t = begin + kDay * rng.uniform(2, 10); t < begin + 60 * kDay; t += kDay * rng.uniform(6, 14))
    s.no_reading.push_back({t, t + 3600 * rng.uniform(3, 6)});
  return s;
}

std::vector<Limit> spot_limits_60d() {
  return {{"NOx spot", kNox, 75, 1, 1, 0.95, 0.5}, {"CO spot", kCo, 125, 1, 1, 0.95, 0.5}};
}

std::function<void(Index, double*)> tamper_of(const Scenario& scenario) {
  if (scenario.no_reading.empty()) return {};
  const double begin = scenario.boiler.start_s + static_cast<double>(scenario.warm_rows) * kPeriod;
  return [out = scenario.no_reading, begin](Index row, double* measured) {
    const double t = begin + (static_cast<double>(row) + 0.5) * kPeriod;
    if (std::any_of(out.begin(), out.end(), [t](const Stop& s) { return t >= s.from && t < s.to; }))
      measured[column(kNox)] = kMissing;
  };
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
