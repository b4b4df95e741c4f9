#include "emisopt/control/moves.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

Setpoint setpoint(double low, double high, double rate) {
  return {.name = "x", .unit = "", .low = low, .high = high, .rate = rate};
}

TEST(BlockLengths, SumToTheHorizonAndNeverShrink) {
  for (int h = 1; h <= 96; ++h)
    for (int blocks = 1; blocks <= 100; ++blocks) {
      const auto lengths = block_lengths(h, blocks);
      EXPECT_EQ(static_cast<int>(lengths.size()), std::min(h, blocks));
      EXPECT_EQ(std::accumulate(lengths.begin(), lengths.end(), 0), h);
      EXPECT_GE(lengths.front(), 1);
      EXPECT_TRUE(std::is_sorted(lengths.begin(), lengths.end()));
    }
  EXPECT_EQ(block_lengths(24, 6), (std::vector<int>{1, 1, 2, 3, 6, 11}));
  EXPECT_EQ(block_lengths(24, 1), std::vector<int>{24});
}

TEST(Moves, LegalCommandKeepsBoundsAndRate) {
  const Moves moves({setpoint(1, 6, 0.3)}, 4, 2);
  EXPECT_EQ(moves.legalise(0, 9, 3), 3.3);
  EXPECT_EQ(moves.legalise(0, -9, 3), 2.7);
  EXPECT_EQ(moves.legalise(0, 9, 5.9), 6);
  EXPECT_EQ(moves.legalise(0, 3.1, 3), 3.1);
  EXPECT_EQ(moves.legalise(0, kMissing, 3), 3);
  EXPECT_EQ(moves.legalise(0, INFINITY, 3), 3.3);
}

TEST(Moves, IllegalCommandComesBackAtFullRate) {
  const Moves moves({setpoint(1, 6, 0.3)}, 4, 2);
  EXPECT_DOUBLE_EQ(moves.legalise(0, 3, 8), 7.7);
  EXPECT_DOUBLE_EQ(moves.legalise(0, kMissing, 8), 7.7);
  EXPECT_DOUBLE_EQ(moves.legalise(0, 3, -2), -1.7);
  EXPECT_DOUBLE_EQ(moves.legalise(0, 9, 6.1), 6);  // within reach: inside the bounds at once
  const Moves free({setpoint(1, 6, kMissing)}, 4, 2);
  EXPECT_EQ(free.legalise(0, 3, 1e9), 3);
}

TEST(Moves, StepNeverExceedsTheRateEvenByRounding) {
  Rng rng(5);
  for (int i = 0; i < 100000; ++i) {
    const double rate = rng.uniform(1e-6, 2), before = rng.uniform(-5, 5);
    const Moves moves({setpoint(-6, 6, rate)}, 1, 1);
    for (double wanted : {-100.0, 100.0, rng.uniform(-6, 6)}) {
      const double move = moves.legalise(0, wanted, before);
      ASSERT_LE(std::abs(move - before), rate);
      ASSERT_GE(move, -6);
      ASSERT_LE(move, 6);
    }
  }
}

TEST(Moves, EveryReachableValueLeadsToAReachableValue) {
  Rng rng(6);
  for (int i = 0; i < 3000; ++i) {
    const Moves moves({setpoint(1, 6, rng.uniform(0.01, 3))}, 12, 5);
    const double applied = rng.uniform(-10, 16);
    Matrix low, high;
    moves.reachable(low, high, &applied);
    Matrix x(5, 1);
    for (int b = 0; b < 5; ++b) x(b, 0) = rng.uniform(low(b, 0), high(b, 0));
    Matrix legal = x;
    moves.legalise_blocks(legal, &applied);
    for (int b = 0; b < 5; ++b) {
      const double before = b ? legal(b - 1, 0) : applied;
      EXPECT_TRUE(moves.legal(legal.row(b), &before));
      EXPECT_GE(legal(b, 0), low(b, 0) - 1e-12);
      EXPECT_LE(legal(b, 0), high(b, 0) + 1e-12);
    }
  }
}

TEST(Moves, ExpandHoldsEachBlockAndSampleShifts) {
  const Moves moves({setpoint(0, 10, kMissing)}, 6, 3);  // lengths 1, 1, 4
  Matrix x(3, 1), plan(6, 1), back(3, 1);
  x(0, 0) = 1, x(1, 0) = 2, x(2, 0) = 3;
  const double applied = 0;
  moves.expand(plan, x, &applied);
  EXPECT_EQ(plan.values, (std::vector<double>{1, 2, 3, 3, 3, 3}));
  moves.sample(back, plan, 1);
  EXPECT_EQ(back.values, (std::vector<double>{2, 3, 3}));
  moves.sample(back, plan, 100);
  EXPECT_EQ(back.values, (std::vector<double>{3, 3, 3}));
}

TEST(Moves, RefusesImpossibleSetpoints) {
  const auto refused = [](Setpoint s, int horizon, int blocks) {
    EXPECT_THROW(Moves({s}, horizon, blocks), InputError);
  };
  refused(setpoint(2, 2, 1), 4, 2);
  refused(setpoint(kMissing, 2, 1), 4, 2);
  refused(setpoint(0, INFINITY, 1), 4, 2);
  refused(setpoint(0, 1, 0), 4, 2);
  refused(setpoint(0, 1, -1), 4, 2);
  refused(setpoint(0, 1, 1), 0, 2);
  refused(setpoint(0, 1, 1), 4, 0);
  Setpoint s = setpoint(0, 1, 1);
  s.safe = 2;
  refused(s, 4, 2);
  s = setpoint(0, 1, 1);
  s.price = kMissing;
  refused(s, 4, 2);
  s = setpoint(0, 1, 1);
  s.move_weight = -1;
  refused(s, 4, 2);
  EXPECT_THROW(Moves({}, 4, 2), InputError);
}

}  // namespace
}  // namespace emisopt
