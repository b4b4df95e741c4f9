#include "emisopt/loop/scenario.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/loop/operator_policy.hpp"
#include "emisopt/loop/oracle.hpp"

namespace emisopt {
namespace {
using namespace boiler;

LoopLog by_operator(const Scenario& s, Index rows) {
  OperatorPolicy people(s.warm_rules);
  LoopOptions options;
  options.rows = rows;
  options.tamper = tamper_of(s);
  return run_closed_loop(start_scenario(s), people, options);
}

TEST(Scenario, WeakFansDoNotBringTheOxygenThatIsAskedFor) {
  const auto short_hours = [](const Scenario& s) {
    const LoopLog log = by_operator(s, s.rows);
    int rows = 0;
    for (Index r = 0; r < log.rows(); ++r) rows += log.disturbances(r, kO2) < log.setpoints(r, kO2Sp) - 0.15;
    return rows / 12.0;
  };
  EXPECT_LT(short_hours(boiler_48h(900)), 0.5);
  EXPECT_GT(short_hours(boiler_48h_fan(900)), 5);
}

TEST(Scenario, WithoutAScrAmmoniaDoesNothingAndTheFurnaceDecides) {
  const Scenario s = boiler_48h_no_scr(900);
  EXPECT_FALSE(s.boiler.parameters.catalyst);
  ASSERT_EQ(s.limits.size(), 2u);
  const LoopLog log = by_operator(s, 100);
  for (Index r = 0; r < log.rows(); ++r) {
    EXPECT_EQ(log.truth(r, kSlip), 0);
    EXPECT_EQ(log.truth(r, kNh3Flow), 0);
    EXPECT_GT(log.truth(r, kNox), 150);
  }
  EXPECT_GT(log.measured(5, column(kNh3Flow)), 0);  // the idle meter's zero
}

TEST(Scenario, SixtyDaysHaveStopsStartUpsAndHoursWithoutAReading) {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    const Scenario s = boiler_60d(seed);
    EXPECT_EQ(s.rows, 60 * 288);
    ASSERT_TRUE(s.permit.has_value());
    EXPECT_NO_THROW(s.permit->validate());
    ASSERT_EQ(s.boiler.stops.size(), 2u);
    EXPECT_GE(s.no_reading.size(), 3u);
    const double begin = s.boiler.start_s + static_cast<double>(s.warm_rows) * kPeriod;
    const auto first = static_cast<Index>((s.boiler.stops[0].from - begin) / kPeriod);
    const auto last = static_cast<Index>((s.boiler.stops[0].to - begin) / kPeriod);
    const LoopLog log = by_operator(s, last + 288);
    EXPECT_EQ(log.state[static_cast<std::size_t>(first - 1)], PlantState::on);
    for (Index r = first; r < last; ++r) {
      EXPECT_EQ(log.state[static_cast<std::size_t>(r)], PlantState::off);
      EXPECT_TRUE(std::isnan(log.truth(r, kNox)));
      EXPECT_TRUE(std::isnan(log.measured(r, column(kNox))));
      EXPECT_EQ(log.setpoints(r, kO2Sp), log.setpoints(first - 1, kO2Sp));
    }
    int starting = 0;
    for (Index r = last; r < log.rows(); ++r)
      starting += log.state[static_cast<std::size_t>(r)] == PlantState::startup;
    EXPECT_EQ(starting, 48);
    // A cold catalyst: no ammonia for most of the first hour, far more NOx than afterwards.
    EXPECT_LT(log.truth(last + 3, kNh3Flow), 1);
    EXPECT_GT(log.truth(last + 3, kNox), 2 * log.truth(last + 47, kNox));
    const LoopSummary sum = summarise(log, s.limits, s.prices);
    EXPECT_TRUE(std::isfinite(sum.total_eur));
    EXPECT_GT(sum.total_eur, 0);
    int missing = 0;
    for (Index r = 0; r < first; ++r) missing += std::isnan(log.measured(r, column(kNox)));
    EXPECT_GT(missing, 30);
  }
}

TEST(Scenario, TheOracleGoesThroughAStop) {
  Scenario s = boiler_60d(4);
  const double begin = s.boiler.start_s + static_cast<double>(s.warm_rows) * kPeriod;
  s.boiler.stops = {{begin + 6 * kPeriod, begin + 10 * kPeriod}};
  OracleConfig config;
  config.threads = 1;
  config.permit = s.permit;
  OraclePolicy oracle(s.limits, s.prices, config);
  LoopOptions options;
  options.rows = 16;
  const LoopLog log = run_closed_loop(start_scenario(s), oracle, options);
  const LoopSummary sum = summarise(log, s.limits, s.prices);
  EXPECT_EQ(sum.illegal_moves, 0);
  for (Index r = 0; r < log.rows(); ++r) {
    const Status status = log.actions[static_cast<std::size_t>(r)].status;
    EXPECT_EQ(is_ok(status), r < 6 || r >= 10) << r << " " << to_string(status);
  }
}

}  // namespace
}  // namespace emisopt
