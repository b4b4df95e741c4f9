#include "emisopt/plant/quadruple_tank.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace emisopt {
using namespace tank;
namespace {

TEST(QuadrupleTank, RestsAtThePublishedOperatingPoints) {
  // Johansson 2000, table 1: levels of his laboratory process, from which his rounded constants miss by up to
  // 0.17 cm (tank 3: (1 - 0.60) 3.35 3.00 / 0.071 cm/s, squared over 2 g, is 1.63 cm, printed 1.8).
  const double minimum[] = {12.4, 12.7, 1.8, 1.4}, nonminimum[] = {12.6, 13.0, 4.8, 4.9};
  const QuadrupleTank a(TankSetting::minimum_phase(), 0, 0), b(TankSetting::nonminimum_phase(), 0, 0);
  for (std::size_t i = 0; i < kTanks; ++i) {
    EXPECT_NEAR(a.state()[i], minimum[i], 0.2) << i;
    EXPECT_NEAR(b.state()[i], nonminimum[i], 0.2) << i;
  }
}

TEST(QuadrupleTank, WaterBalanceClosesAtRest) {
  QuadrupleTank plant(TankSetting::nonminimum_phase(), 0, 0);
  const double u[] = {2.5, 4};
  plant.settle(u);
  double slopes[kTanks], y[kOutputs];
  plant.rates(u, slopes, y);
  EXPECT_NEAR(y[kSupply] + y[kDischarge], 3.14 * 2.5 + 3.29 * 4, 1e-9);
  EXPECT_NEAR(y[kSupply], 0.43 * 3.14 * 2.5 + 0.66 * 3.29 * 4, 1e-9);
  EXPECT_EQ(y[kPower], 2.5 * 2.5 + 16);
}

// Reaction of the levels 1 and 2 to a step of the pump that feeds their own tank mostly from above.
TEST(QuadrupleTank, NonMinimumPhaseReactsFirstInTheWrongTank) {
  // One volt from pump 1 to pump 2: with most water going over the upper tanks, tank 1 first loses (its own
  // pump), then gains (from tank 3).
  const auto course = [](const TankSetting& s) {
    QuadrupleTank plant(s, 0, 0);
    const double before = plant.state()[0], u[] = {s.v1 - 1, s.v2 + 1};
    std::vector<double> change;
    for (int i = 0; i < 60; ++i) {
      plant.advance(u);
      change.push_back(plant.state()[0] - before);
    }
    return change;
  };
  const std::vector<double> non = course(TankSetting::nonminimum_phase());
  const std::vector<double> min = course(TankSetting::minimum_phase());
  EXPECT_LT(non[0], 0);
  EXPECT_GT(non.back(), 1);
  EXPECT_LT(min[0], 0);
  EXPECT_LT(min.back(), -1);
}

TEST(QuadrupleTank, EmptyTanksStayEmptyAndFinite) {
  QuadrupleTank plant(TankSetting::minimum_phase(), 1, 3);
  plant.set_state({0, 0, 0, 0});
  const double u[] = {0, 0};
  for (int i = 0; i < 50; ++i) plant.advance(u);
  for (const double h : plant.state()) EXPECT_TRUE(std::isfinite(h) && h >= 0);
}

}  // namespace
}  // namespace emisopt
