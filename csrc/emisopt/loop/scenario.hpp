// Named closed-loop scenarios of the embedded boiler. The name states what makes them hard.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "emisopt/loop/closed_loop.hpp"
#include "emisopt/permit/permit.hpp"
#include "emisopt/plant/operator.hpp"

namespace emisopt {

struct Scenario {
  std::string name;              // for tables: fuel, limits, duration
  BoilerConfig boiler;           // plant, seed, start, fuel plan
  std::vector<Limit> limits;     // outputs in boiler::OutputIndex order
  std::optional<Permit> permit;  // judged beside the limits
  std::vector<Stop> no_reading;  // simulation times between which the NOx analyser is out
  Prices prices;
  OperatorRules warm_rules;  // who runs the plant before, tuned for this scenario (tuned_operator.hpp)
  Index warm_rows = 144;     // at least a forecaster's context
  Index rows = 576;          // 48 h
};

/// "boiler-48h": fuel A, at hour 6 the bunkers change to fuel C (low volatile, high nitrogen); slagging on;
/// NOx 75 and CO 125 mg/Nm3 as 1 h rolling means (rank 1), NH3 slip 2.5 ppm 1 h (rank 2). At 75 the slip
/// limit begins to bind on slagged fuel C at full load (docs/boiler.md, limit sweep). The seed sets
/// disturbances, noise and the weekday; the plant is `parameters`, by default the nominal one.
Scenario boiler_48h(std::uint64_t seed, const BoilerParameters& parameters = {});

/// The same with a fee on each kg of NOx: 4.5 EUR/kg is the dearest case of the plant's study
/// (docs/boiler.md). The limit no longer decides alone, and the room is wider.
Scenario boiler_48h_fee(std::uint64_t seed, const BoilerParameters& parameters = {}, double eur_per_kg = 4.5);

/// A unit whose fans have become weak (kWeakFans of the design gas volume in place of 1.06): at high load
/// they move all that they can, and the oxygen that is asked for does not arrive. Everything else as
/// boiler_48h.
Scenario boiler_48h_fan(std::uint64_t seed, BoilerParameters parameters = {});
inline constexpr double kWeakFans = 1.005;

/// A unit without SCR: NOx is made or not made in the furnace, where it trades against CO. NOx 400 mg/Nm3 1 h
/// (docs/boiler.md says why), no limit on slip. `parameters.catalyst` is set to false.
Scenario boiler_48h_no_scr(std::uint64_t seed, BoilerParameters parameters = {});

/// "boiler-60d": 60 days on random deliveries of all three fuels, by averages instead of hours: NOx 75 and CO
/// 125 mg/Nm3 over a day (block), NOx 75 over 30 operating days, 97 % of each month's half-hours at NOx 150
/// and CO 250; slip 2.5 ppm 1 h (rank 2). Two stops of a day or more, each followed by a start-up that the
/// permit leaves out, and a NOx analyser that is out for 3 to 6 hours about every ten days. An hour counts
/// with three quarters of its samples, a day with 18 of its hours.
Scenario boiler_60d(std::uint64_t seed, const BoilerParameters& parameters = {});

/// The equivalent limits on every row for the same controller: the averages' numbers, whatever the window.
std::vector<Limit> spot_limits_60d();

/// What breaks sensors on purpose in a run of this scenario (LoopOptions::tamper); empty: nothing.
std::function<void(Index, double*)> tamper_of(const Scenario& scenario);

/// Runs the warm-up.
LoopStart start_scenario(const Scenario& scenario);

}  // namespace emisopt
