#include "emisopt/control/spike_gate.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

// One row of one output: forecast 100, upper 105, so that the band at width 4 is 80 to 120.
void row(SpikeGate& gate, double measured, double upper = 105) {
  const double median = 100;
  gate.expect(&median, &upper);
  gate.judge(&measured);
}

std::vector<bool> aside(const SpikeGate& gate, Index rows) {
  Matrix y(rows, 1, 1.0);
  gate.apply(y.view());
  std::vector<bool> out;
  for (Index r = 0; r < rows; ++r) out.push_back(std::isnan(y(r, 0)));
  return out;
}

TEST(SpikeGate, PutsALoneReadingAsideAndRemembersItsRow) {
  SpikeGate gate(1);
  for (const double y : {101.0, 150.0, 99.0, 60.0, 102.0}) row(gate, y);
  EXPECT_EQ(aside(gate, 5), (std::vector<bool>{false, true, false, true, false}));
  EXPECT_EQ(aside(gate, 2), (std::vector<bool>{true, false}));
  EXPECT_TRUE(gate.any(2));
  EXPECT_FALSE(gate.any(1));
}

TEST(SpikeGate, BelievesAJumpAtItsSecondReading) {
  SpikeGate gate(1);
  for (const double y : {150.0, 151.0, 152.0}) row(gate, y);
  EXPECT_EQ(aside(gate, 3), (std::vector<bool>{true, false, false}));
  SpikeGate swings(1);  // far above, then far below: neither confirms the other
  for (const double y : {150.0, 50.0}) row(swings, y);
  EXPECT_EQ(aside(swings, 2), (std::vector<bool>{true, true}));
}

TEST(SpikeGate, AMissingReadingBetweenConfirmsNothingAndForgetsNothing) {
  SpikeGate gate(1);
  for (const double y : {150.0, kMissing, 150.0}) row(gate, y);
  EXPECT_EQ(aside(gate, 3), (std::vector<bool>{true, false, false}));
}

TEST(SpikeGate, WithoutABandEverythingIsBelieved) {
  SpikeGate no_limit(1), off(1, 0), nan(1), blind(1);
  row(no_limit, 1e9, 100);
  row(off, 1e9);
  row(nan, 1e9, kMissing);
  const double y = 1e9;
  blind.judge(&y);  // no forecast was made for this row
  for (const SpikeGate* gate : {&no_limit, &off, &nan, &blind}) EXPECT_FALSE(gate->any(1));
}

TEST(SpikeGate, ABandServesOneRowOnly) {
  SpikeGate gate(1);
  row(gate, 100);
  const double y = 1e9;
  gate.judge(&y);
  EXPECT_FALSE(gate.any(2));
}

TEST(SpikeGate, ForgetsWhenRowsDoNotFollow) {
  SpikeGate gate(1);
  row(gate, 150);
  gate.forget();
  EXPECT_FALSE(gate.any(100));
  row(gate, 150);
  EXPECT_TRUE(gate.any(1));
}

TEST(SpikeGate, HealthyNoiseIsHardlyEverPutAside) {
  Rng rng(5);
  SpikeGate gate(1);
  int count = 0;
  for (int t = 0; t < 100000; ++t) {
    row(gate, 100 + 5 / 1.645 * rng.normal());  // upper 105 is the 95 % quantile of this noise
    count += gate.any(1);
  }
  EXPECT_EQ(count, 0);  // 6.6 sigma
}

TEST(SpikeGate, RefusesABadWidth) {
  EXPECT_THROW(SpikeGate(1, -1), InputError);
  EXPECT_THROW(SpikeGate(1, HUGE_VAL), InputError);
  EXPECT_THROW(SpikeGate(1, kMissing), InputError);
}

}  // namespace
}  // namespace emisopt
