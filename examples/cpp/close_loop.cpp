// Closes the loop on the simulated boiler without Python: loads a checkpoint that `emisopt fit` or the demo
// wrote, lets the controller choose setpoints every five minutes, and prints its bill beside that of operator
// rules that met the same disturbances and the same noise. The plant is synthetic (docs/boiler.md).
//
//   close_loop MODEL.safetensors [HOURS=48] [SEED=1]
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "emisopt/loop/closed_loop.hpp"
#include "emisopt/loop/mpc_policy.hpp"
#include "emisopt/loop/operator_policy.hpp"
#include "emisopt/loop/scenario.hpp"
#include "emisopt/loop/tuned_operator.hpp"

namespace {

using namespace emisopt;

void print_summary(const LoopSummary& s, const TagMap& tags) {
  std::printf("\n%s, %.0f h\n  cost %.0f EUR: fuel %.0f, ammonia %.0f\n", s.policy.c_str(), s.hours,
              s.total_eur, s.fuel_eur, s.nh3_eur);
  std::size_t o = 0;
  for (const Index tag : tags.outputs()) {
    const Tag& t = tags.tags[static_cast<std::size_t>(tag)];
    std::printf("  %-11s mean %8.2f, worst hour %8.2f %s\n", t.name.c_str(), s.mean[o], s.worst[o],
                t.unit.c_str());
    ++o;
  }
  for (const LimitSummary& l : s.limits)
    std::printf("  %-11s above for %.2f h (worst %.2f)\n", l.name.c_str(), l.hours_above, l.worst);
  std::printf("  decisions: p50 %.2f ms, p99 %.2f ms, max %.2f ms; illegal moves: %d; status:", 1e3 * s.p50_s,
              1e3 * s.p99_s, 1e3 * s.max_s, s.illegal_moves);
  for (std::size_t k = 0; k < s.status_count.size(); ++k)
    if (s.status_count[k]) std::printf(" %s %d", to_string(static_cast<Status>(k)), s.status_count[k]);
  std::printf("\n");
}

int close_loop(const char* path, double hours, std::uint64_t seed) {
  const Forecaster forecaster = Forecaster::load(path);
  Scenario scenario = boiler_48h(seed);
  if (forecaster.config.context > scenario.warm_rows) scenario.warm_rows = forecaster.config.context;
  const LoopStart start = start_scenario(scenario);
  const TagMap& tags = start.plant->tags();

  LoopOptions options;
  options.rows = static_cast<Index>(hours * 3600 / tags.period);
  options.ahead = forecaster.config.horizon;
  std::printf("%s: %s\n", path, forecaster.tags.plant.c_str());

  OperatorPolicy people(tuned_operator());
  MpcPolicy mpc(forecaster, scenario.limits, scenario.prices);
  for (Policy* policy : {static_cast<Policy*>(&people), static_cast<Policy*>(&mpc)}) {
    const LoopLog log = run_closed_loop(start, *policy, options);
    print_summary(summarise(log, scenario.limits, scenario.prices), tags);
  }
  return 0;
}

}  // namespace

int main(int count, char** words) {
  const double hours = count > 2 ? std::atof(words[2]) : 48;
  if (count < 2 || count > 4 || !(hours >= 1)) {
    std::fprintf(stderr, "usage: close_loop MODEL.safetensors [HOURS>=1] [SEED]\n");
    return 2;
  }
  try {
    return close_loop(words[1], hours, count > 3 ? std::strtoull(words[3], nullptr, 10) : 1);
  } catch (const std::exception& error) {  // one line: where, what was expected, what came
    std::fprintf(stderr, "close_loop: %s\n", error.what());
    return 2;
  }
}
