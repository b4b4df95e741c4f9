#include "emisopt/control/bias.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

using Kind = ControllerConfig::Bias;

// One tick as a loop runs it: the raw forecast is corrected, reported, and compared with the truth.
void tick(BiasFilter& filter, double raw, double measured, bool calibrating = false) {
  Matrix y(1, 1, raw);
  filter.apply(y);
  filter.observe(y.row(0), &measured, calibrating);
}

TEST(BiasFilter, RemovesAConstantOffset) {
  Rng rng(1);
  BiasFilter filter(1, Kind::additive, 0.15);
  for (int t = 0; t < 200; ++t) {
    const double truth = 100 + 10 * rng.normal();
    tick(filter, truth - 12, truth + 0.1 * rng.normal());
  }
  EXPECT_NEAR(filter.values()[0], 12, 0.3);
}

TEST(BiasFilter, RemovesAConstantFactorAndScalesTheSlope) {
  Rng rng(2);
  BiasFilter filter(1, Kind::multiplicative, 0.15);
  for (int t = 0; t < 200; ++t) {
    const double truth = 100 + 10 * rng.normal();
    tick(filter, truth / 1.3, truth * (1 + 0.001 * rng.normal()));
  }
  EXPECT_NEAR(filter.values()[0], 1.3, 0.01);
  EXPECT_EQ(filter.slope(0), filter.values()[0]);
  Matrix y(2, 1, 50.0);
  filter.apply(y);
  EXPECT_EQ(y(1, 0), 50 * filter.values()[0]);
}

TEST(BiasFilter, IgnoresMissingFrozenAndCalibrating) {
  for (const Kind kind : {Kind::additive, Kind::multiplicative}) {
    BiasFilter filter(1, kind, 0.15);
    const double neutral = kind == Kind::additive ? 0 : 1;
    tick(filter, 100, kMissing);
    tick(filter, 100, INFINITY);
    tick(filter, kMissing, 100);
    tick(filter, 100, 300, /*calibrating=*/true);
    EXPECT_EQ(filter.values()[0], neutral);
    for (int t = 0; t < 4; ++t) tick(filter, 100, 130);  // the fourth of the same is a frozen sensor
    const double then = filter.values()[0];
    for (int t = 0; t < 100; ++t) tick(filter, 100, 130);
    EXPECT_EQ(filter.values()[0], then);
    tick(filter, 100, 131);
    EXPECT_NE(filter.values()[0], then);
  }
}

TEST(BiasFilter, SpikeMovesItNoMoreThanAClippedInnovation) {
  Rng rng(3);
  BiasFilter filter(1, Kind::additive, 0.15);
  for (int t = 0; t < 200; ++t) tick(filter, 100, 100 + rng.normal());
  const double before = filter.values()[0];
  tick(filter, 100, 1e6);
  EXPECT_LT(std::abs(filter.values()[0] - before), 0.15 * 5 * 2);  // gain * clip * spread with room
}

TEST(BiasFilter, FactorSkipsWhatIsNotPositiveAndStaysBounded) {
  BiasFilter filter(1, Kind::multiplicative, 1);
  tick(filter, 100, -5);
  tick(filter, 100, 0);
  tick(filter, -100, 5);
  EXPECT_EQ(filter.values()[0], 1);
  for (int t = 0; t < 10000; ++t) tick(filter, 1, 1e6 + t);
  EXPECT_LE(filter.values()[0], std::exp(1.0) + 1e-12);
}

TEST(BiasFilter, NoneNeverMoves) {
  BiasFilter filter(1, Kind::none, 0.15);
  tick(filter, 1, 2);
  Matrix y(1, 1, 7.0);
  filter.apply(y);
  EXPECT_EQ(y(0, 0), 7);
  EXPECT_EQ(filter.slope(0), 1);
}

TEST(BiasFilter, ResetForgets) {
  BiasFilter filter(1, Kind::additive, 0.5);
  tick(filter, 1, 2);
  EXPECT_NE(filter.values()[0], 0);
  filter.reset();
  EXPECT_EQ(filter.values()[0], 0);
}

}  // namespace
}  // namespace emisopt
