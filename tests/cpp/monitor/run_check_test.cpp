#include "emisopt/monitor/run_check.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

Tag tag(double low = 0, double high = 100) {
  Tag t;
  t.name = "o2";
  t.low = low;
  t.high = high;
  return t;
}

// A signal with a display of `quantum`: the coarser, the more often healthy readings repeat.
std::vector<double> displayed(Index n, double quantum, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<double> x;
  double level = 0;
  for (Index i = 0; i < n; ++i) {
    level = 0.95 * level + 0.3 * rng.normal();
    x.push_back(std::round((50 + level) / quantum) * quantum);
  }
  return x;
}

int false_freezes(const RunLimits& limits, const std::vector<double>& x) {
  RunCheck check;
  int alarms = 0;
  bool frozen = false;
  for (std::size_t row = 0; row < x.size(); ++row) {
    const bool now = check.push(limits, x[row], static_cast<Index>(row)) == ReadingState::frozen;
    alarms += now && !frozen;
    frozen = now;
  }
  return alarms;
}

constexpr double kRate = 1e-5;

TEST(RunLimits, TheCoarserTheDisplayTheLongerTheRunThatIsAFreeze) {
  int before = 0;
  for (const double quantum : {0.001, 0.1, 0.5, 1.0}) {
    const RunLimits limits = RunLimits::learn(tag(), displayed(20000, quantum, 1), {}, kRate);
    EXPECT_GE(limits.frozen_rows, before) << quantum;
    EXPECT_GE(limits.frozen_rows, 3);
    before = limits.frozen_rows;
    // 1e-5 a row on 200,000 fresh rows: 2 expected of a geometric run, which these nearly are.
    EXPECT_LE(false_freezes(limits, displayed(200000, quantum, 2)), 10) << quantum;
  }
  EXPECT_GT(before, 10);
}

TEST(RunLimits, FreezesInTheReferenceDoNotTeachThatFreezingIsHealthy) {
  std::vector<double> x = displayed(20000, 0.1, 3);
  const RunLimits clean = RunLimits::learn(tag(), x, {}, kRate);
  for (std::size_t at = 1000; at < x.size(); at += 5000)
    for (std::size_t i = 0; i < 60; ++i) x[at + i] = x[at];
  EXPECT_LE(RunLimits::learn(tag(), x, {}, kRate).frozen_rows, clean.frozen_rows + 1);
}

TEST(RunLimits, ATagThatRestsForHoursEveryNightIsNotFrozenThen) {
  for (const double rest : {50.0, 20.0}) {  // amid its range, or at the lowest it shows
    std::vector<double> x = displayed(20000, 0.01, 4);
    for (std::size_t at = 0; at + 90 < x.size(); at += 288)
      for (std::size_t i = 0; i < 90; ++i) x[at + i] = rest;
    const RunLimits limits = RunLimits::learn(tag(), x, {}, kRate);
    EXPECT_GT(rest == 50 ? limits.frozen_rows : limits.stuck_rows, 90);
    EXPECT_EQ(false_freezes(limits, x), 0);
  }
}

TEST(RunLimits, TheMapsOwnNumberAndRolesDecide) {
  Tag given = tag();
  given.frozen_after = 7;
  EXPECT_EQ(RunLimits::learn(given, displayed(1000, 0.1, 5), {}, kRate).frozen_rows, 7);
  Tag setpoint = tag();
  setpoint.role = Role::setpoint;
  const RunLimits limits = RunLimits::learn(setpoint, displayed(1000, 0.1, 5), {}, kRate);
  EXPECT_EQ(limits.frozen_rows, 0);
  EXPECT_EQ(limits.stuck_rows, 0);
  EXPECT_EQ(limits.high, 100);
  EXPECT_EQ(RunLimits::learn(tag(), {kMissing, kMissing}, {}, kRate).frozen_rows, 0);
}

TEST(RunLimits, GapsEndRuns) {
  std::vector<double> x(300, 5.0);
  std::vector<char> gap(300, 1);
  EXPECT_LE(RunLimits::learn(tag(), x, gap, kRate).stuck_rows, 3);
}

std::vector<ReadingState> states(const RunLimits& limits, const std::vector<double>& x) {
  RunCheck check;
  std::vector<ReadingState> out;
  for (std::size_t row = 0; row < x.size(); ++row)
    out.push_back(check.push(limits, x[row], static_cast<Index>(row)));
  return out;
}

TEST(RunCheck, TellsRangeFrozenStuckAndMissingApart) {
  RunLimits limits;
  limits.low = 0;
  limits.high = 100;
  limits.frozen_rows = limits.stuck_rows = 3;
  using enum ReadingState;
  EXPECT_EQ(states(limits, {50, 50, 50, kMissing, 50, 51}),
            (std::vector<ReadingState>{good, good, frozen, missing, frozen, good}));
  EXPECT_EQ(states(limits, {100, 100, 100, 99}), (std::vector<ReadingState>{good, good, stuck, good}));
  EXPECT_EQ(states(limits, {-1, 101, HUGE_VAL, -HUGE_VAL}),
            (std::vector<ReadingState>{range, range, missing, missing}));
  EXPECT_EQ(states(limits, {50, 50, 101, 50}), (std::vector<ReadingState>{good, good, range, good}));
}

TEST(RunCheck, TheHighestValueEverSeenIsAnEndToo) {
  RunLimits limits;  // an open range: a slip analyser that saturates at 10
  limits.least = 0.1;
  limits.greatest = 10;
  limits.frozen_rows = limits.stuck_rows = 3;
  EXPECT_EQ(states(limits, {10, 10, 10}).back(), ReadingState::stuck);
  EXPECT_EQ(states(limits, {9, 9, 9}).back(), ReadingState::frozen);
}

TEST(RunCheck, ZeroRowsSwitchItOff) {
  RunLimits limits;
  EXPECT_EQ(states(limits, std::vector<double>(1000, 5)).back(), ReadingState::good);
}

TEST(RunCheck, JitterBelowTheToleranceIsAFreezeAndSlowRampsAreNot) {
  RunLimits limits;
  limits.frozen_rows = limits.stuck_rows = 4;
  limits.tolerance = 0.01;
  EXPECT_EQ(states(limits, {5, 5.004, 4.997, 5.001}).back(), ReadingState::frozen);
  EXPECT_EQ(states(limits, {5, 5.008, 5.016, 5.024, 5.032}).back(), ReadingState::good);
}

}  // namespace
}  // namespace emisopt
