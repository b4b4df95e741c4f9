// Named closed-loop scenarios of the embedded boiler. The name states what makes them hard.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "emisopt/loop/closed_loop.hpp"
#include "emisopt/plant/operator.hpp"

namespace emisopt {

struct Scenario {
  std::string name;           // for tables: fuel, limits, duration
  BoilerConfig boiler;        // plant, seed, start, fuel plan
  std::vector<Limit> limits;  // outputs in boiler::OutputIndex order
  Prices prices;
  OperatorRules warm_rules;  // who runs the plant before
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

/// Runs the warm-up.
LoopStart start_scenario(const Scenario& scenario);

}  // namespace emisopt
