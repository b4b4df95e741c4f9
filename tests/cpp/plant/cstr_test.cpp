#include "emisopt/plant/cstr.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace emisopt {
using namespace cstr;
namespace {

TEST(Cstr, RestsAtThePublishedOperatingPoint) {
  // Chen, Kremling and Allgoewer 1995: 2.1402 mol/l, 1.0903 mol/l, 114.19 and 112.91 degC.
  const Cstr plant(0, 0);
  EXPECT_NEAR(plant.state()[kA], 2.1402, 5e-5);
  EXPECT_NEAR(plant.state()[kB], 1.0903, 5e-5);
  EXPECT_NEAR(plant.state()[kReactor], 114.19, 5e-3);
  EXPECT_NEAR(plant.state()[kJacket], 112.91, 5e-3);
}

TEST(Cstr, MatterAndEnergyBalanceAtRest) {
  Cstr plant(0, 0);
  const double u[] = {20, -3000};
  plant.settle(u);
  double slopes[kStates], y[kOutputs];
  plant.rates(u, slopes, y);
  const double a = plant.state()[kA], d = y[kByD] / 0.1322;  // mol/h
  // What comes in as A leaves as A, B, C or, two and two, as D.
  EXPECT_NEAR(20 * 10 * 5.1, 20 * 10 * a + y[kProduct] + y[kByC] + 2 * d, 1e-7);
  // Heat of reaction + heat of the feed = cooling. B is made at y_product + y_c.
  const double reaction = -(4.2 * (y[kProduct] + y[kByC]) - 11.0 * y[kByC] - 41.85 * 2 * d);
  EXPECT_NEAR(reaction + 20 * 10 * 0.9342 * 3.01 * (104.9 - plant.state()[kReactor]), 3000, 1e-6);
}

TEST(Cstr, MoreFeedMakesMoreOfBothProductAndD) {
  double before[kOutputs] = {};
  for (const double feed : {8.0, 14.0, 20.0, 26.0}) {
    Cstr plant(0, 0);
    const double u[] = {feed, -1500};
    plant.settle(u);
    double slopes[kStates], y[kOutputs];
    plant.rates(u, slopes, y);
    EXPECT_GT(y[kProduct], before[kProduct]);
    EXPECT_GT(y[kByD], before[kByD]);
    std::copy_n(y, int{kOutputs}, before);
  }
}

TEST(Cstr, TheGainFromFeedToConcentrationChangesItsSign) {
  // What makes the benchmark hard: the yield of B has its maximum near the operating point.
  const auto c_b = [](double feed) {
    Cstr plant(0, 0);
    const double u[] = {feed, -1113.5};
    plant.settle(u);
    return plant.state()[kB];
  };
  EXPECT_GT(c_b(14), c_b(8));
  EXPECT_LT(c_b(26), c_b(18));
}

TEST(Cstr, StaysPhysicalInEveryCornerOfTheBox) {
  for (const double feed : {3.0, 35.0})
    for (const double heat : {-9000.0, 0.0}) {
      Cstr plant(2, 3);
      const double u[] = {feed, heat};
      for (int i = 0; i < 200; ++i) plant.advance(u);
      for (const double x : plant.state()) EXPECT_TRUE(std::isfinite(x)) << feed << " " << heat;
      EXPECT_GE(plant.state()[kA], 0);
      EXPECT_LE(plant.state()[kA], 7);
      EXPECT_LT(plant.state()[kReactor], 150);
    }
}

}  // namespace
}  // namespace emisopt
