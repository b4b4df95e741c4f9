// The furnace's steady curves: published shapes, and the magnitudes that the equations printed when they were
// first tried (docs/boiler.md has both tables). Tolerances are the width of the published ranges.
#include "emisopt/plant/combustion.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace emisopt {
namespace {

FurnaceOutput at(double o2_percent, double phi = 0.20, double tilt = 0, double load = 1, int which = 0,
                 double slag = 0, double* t_fe = nullptr) {
  static const Furnace kFurnace{FurnaceParameters{}};
  FurnaceInput in;
  in.fuel = grade(which);
  in.load = load;
  in.lambda = Stoichiometry(in.fuel).lambda_from_o2(0.01 * o2_percent);
  in.phi = phi;
  in.tilt = tilt;
  in.slag = slag;
  return kFurnace.steady(in, t_fe);
}

TEST(Stoichiometry, AirRatioAndOxygenAreInverse) {
  for (int g = 0; g < kGrades; ++g) {
    const Stoichiometry st(grade(g));
    for (double lambda : {1.0, 1.05, 1.2, 1.6}) EXPECT_NEAR(st.lambda_from_o2(st.o2(lambda)), lambda, 1e-12);
    // Coal burns with about 0.25..0.27 Nm3 of dry gas per MJ at lambda 1, whatever its ash and water.
    EXPECT_NEAR(1e6 * st.dry(1) * 0.022414 / grade(g).lhv, 0.255, 0.015);
  }
}

TEST(Stoichiometry, MassFractionsOfBlendsSumToOne) {
  const Fuel f = blend({0.5, 0.2, 0.3}, 1.1, 0.97);
  EXPECT_NEAR(f.c + f.h + f.o + f.n + f.s + f.ash + f.moisture, 1, 1e-12);
  EXPECT_NEAR(f.lhv, 0.97 * (0.5 * grade(0).lhv + 0.2 * grade(1).lhv + 0.3 * grade(2).lhv), 1);
}

TEST(Furnace, NoxRisesWithOxygenByTenToTwentyPercentPerPoint) {
  EXPECT_NEAR(at(3.3).nox_mg, 354, 25);  // prototype 354
  for (double o2 : {3.0, 3.5}) {
    const double rise = at(o2 + 1).nox_mg / at(o2).nox_mg - 1;
    EXPECT_GT(rise, 0.10);
    EXPECT_LT(rise, 0.20);
  }
}

TEST(Furnace, CarbonMonoxideHasAKneeBetweenTwoAndThreePercentOxygen) {
  EXPECT_NEAR(at(4.0).co_mg, 13, 4);  // prototype 13 / 117 / 392 / 1066 mg at 4 / 3 / 2.5 / 2 %
  EXPECT_NEAR(at(3.0).co_mg, 117, 25);
  EXPECT_NEAR(at(2.5).co_mg, 392, 60);
  EXPECT_NEAR(at(2.0).co_mg, 1066, 120);
}

TEST(Furnace, OverfireAirHasAnOptimumForNoxAndCostsCo) {
  const double none = at(3.3, 0).nox_mg;
  EXPECT_NEAR(at(3.3, 0.20).nox_mg / none, 0.76, 0.06);
  EXPECT_NEAR(at(3.3, 0.25).nox_mg / none, 0.69, 0.06);
  EXPECT_GT(at(3.3, 0.32).nox_mg, at(3.3, 0.26).nox_mg);  // too deep: HCN and NH3 burn to NO at the ports
  EXPECT_NEAR(at(3.3, 0.20).co_mg, 55, 12);
  EXPECT_NEAR(at(3.3, 0.35).co_mg, 614, 100);
  EXPECT_NEAR(100 * at(3.3, 0).loi, 1.6, 0.5);  // unburnt carbon rises 1..3 points with staging
  EXPECT_NEAR(100 * at(3.3, 0.35).loi, 3.8, 0.7);
}

TEST(Furnace, TiltMovesTheFlame) {
  double low = 0, level = 0, high = 0;
  at(3.3, 0.2, -25, 1, 0, 0, &low);
  at(3.3, 0.2, 0, 1, 0, 0, &level);
  at(3.3, 0.2, 25, 1, 0, 0, &high);
  EXPECT_NEAR(low - level, -63, 8);
  EXPECT_NEAR(high - level, 70, 8);
  EXPECT_GT(at(3.3, 0.2, 20).nox_mg, 1.05 * at(3.3, 0.2, -20).nox_mg);
}

TEST(Furnace, BoilerEfficiencyPeaksNearThreePointTwoPercentOxygen) {
  double best = 0, where = 0;
  for (double o2 = 2; o2 < 6; o2 += 0.05)
    if (at(o2).boiler_efficiency > best) {
      best = at(o2).boiler_efficiency;
      where = o2;
    }
  EXPECT_NEAR(100 * best, 93.57, 0.2);
  EXPECT_NEAR(where, 3.25, 0.3);
  EXPECT_NEAR(100 * (best - at(5).boiler_efficiency), 0.4, 0.12);
}

TEST(Furnace, NoxFallsWithLoadAtFixedOxygen) {
  const double full = at(3.3).nox_mg;
  EXPECT_NEAR(at(3.3, 0.2, 0, 0.6).nox_mg / full, 226.0 / 354, 0.06);
  EXPECT_NEAR(at(3.3, 0.2, 0, 0.5).nox_mg / full, 190.0 / 354, 0.06);
  EXPECT_GT(at(5.6, 0.12, 0, 0.5).nox_mg, full);  // with an operator's part-load oxygen it rises again
}

TEST(Furnace, FuelCIsTheDifficultOneAndSlagHeats) {
  EXPECT_GT(at(3.8, 0.2, 0, 1, 2).nox_mg, 1.08 * at(3.8).nox_mg);
  EXPECT_GT(at(3.8, 0.2, 0, 1, 2).loi, 1.7 * at(3.8).loi);
  EXPECT_LT(at(3.8, 0.2, 0, 1, 2).net_efficiency, at(3.8).net_efficiency);
  double clean = 0, fouled = 0;
  at(3.3, 0.2, 0, 1, 0, 0, &clean);
  at(3.3, 0.2, 0, 1, 0, 1, &fouled);
  EXPECT_GT(fouled - clean, 50);
  EXPECT_GT(at(3.3, 0.2, 0, 1, 0, 1).co_mg, 2 * at(3.3).co_mg);
}

TEST(Furnace, EveryOutputIsSmooth) {
  // Second differences shrink with the square of the step everywhere on lines through the box: no kink.
  auto outputs = [](double s, double* y) {
    const FurnaceOutput o = at(2.2 + 3.5 * s, 0.05 + 0.25 * s, -20 + 40 * s, 0.5 + 0.5 * s, 2, s);
    y[0] = std::log(o.nox_mg);
    y[1] = std::log(o.co_mg);
    y[2] = o.net_efficiency;
    y[3] = o.loi;
    y[4] = o.volume;
  };
  auto worst = [&](double h, int k) {
    double w = 0;
    for (double s = 0.05; s < 0.95; s += 0.0049) {
      double a[5], b[5], c[5];
      outputs(s - h, a);
      outputs(s, b);
      outputs(s + h, c);
      w = std::max(w, std::abs(a[k] - 2 * b[k] + c[k]));
    }
    return w;
  };
  for (int k = 0; k < 5; ++k) EXPECT_LT(worst(5e-4, k), 0.35 * worst(1e-3, k)) << k;
}

}  // namespace
}  // namespace emisopt
