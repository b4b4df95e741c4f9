#include "emisopt/permit/calibration.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

// Recalled values of k_v, which its formula gives to all digits.
TEST(Calibration, KvComesOutOfItsFormula) {
  const auto four = [](int n) { return std::round(variability_kv(n) * 1e4) / 1e4; };
  EXPECT_EQ(four(3), 0.8326);
  EXPECT_EQ(four(5), 0.9161);
  EXPECT_EQ(four(15), 0.9761);
  for (int n = 3; n < 40; ++n) EXPECT_LT(variability_kv(n), variability_kv(n + 1));
  EXPECT_THROW(variability_kv(1), InputError);
}

// What k_v is for: a monitor whose true spread is sigma0 passes half of its tests, whatever N.
TEST(Calibration, AMonitorAtTheLimitPassesHalfOfItsTests) {
  Rng rng(1);
  const CalibrationFunction identity;
  for (const std::size_t n : {5u, 15u}) {
    int passed = 0;
    constexpr int rounds = 4000;
    const double sigma0 = 0.2 * 200 / 1.96;
    for (int round = 0; round < rounds; ++round) {
      std::vector<double> x(n), y(n);
      for (std::size_t i = 0; i < n; ++i)
        x[i] = rng.uniform(50, 200), y[i] = x[i] + 3 + sigma0 * rng.normal();
      const Variability v = variability(identity, x, y, 200, 20);
      EXPECT_DOUBLE_EQ(v.sigma0, sigma0);
      passed += v.sd <= v.allowed;
    }
    EXPECT_NEAR(static_cast<double>(passed) / rounds, 0.5, 4 * 0.5 / std::sqrt(rounds));
  }
}

TEST(Calibration, LeastSquaresFindsTheLine) {
  const CalibrationFunction f = calibrate({4, 8, 12, 20}, {1, 3, 5, 9});
  EXPECT_NEAR(f.slope, 0.5, 1e-14);
  EXPECT_NEAR(f.intercept, -1, 1e-13);
  EXPECT_NEAR(f.r, 1, 1e-14);
  const Variability v = variability(f, {4, 8, 12, 20}, {1, 3, 5, 9}, 10, 20);
  EXPECT_NEAR(v.sd, 0, 1e-13);
  EXPECT_NEAR(v.mean_difference, 0, 1e-13);
  EXPECT_NEAR(v.allowed, 0.2 * 10 / 1.96 * variability_kv(4), 1e-12);
}

TEST(Calibration, TheLineThroughZeroMeetsZeroAndTheMeans) {
  const CalibrationFunction f = calibrate_through_zero({12, 12.2, 11.8}, {40, 41, 39}, 4);
  EXPECT_NEAR(f.intercept + f.slope * 4, 0, 1e-12);
  EXPECT_NEAR(f.intercept + f.slope * 12, 40, 1e-12);
}

// 2000/76/EC annex III (also 17. BImSchV annex 4).
TEST(Calibration, ConfidenceIntervalsOfTheDirective) {
  EXPECT_EQ(confidence_interval_pct("CO"), 10);
  EXPECT_EQ(confidence_interval_pct("SO2"), 20);
  EXPECT_EQ(confidence_interval_pct("NOx"), 20);
  EXPECT_EQ(confidence_interval_pct("dust"), 30);
  EXPECT_EQ(confidence_interval_pct("TOC"), 30);
  EXPECT_EQ(confidence_interval_pct("HCl"), 40);
  EXPECT_EQ(confidence_interval_pct("HF"), 40);
  EXPECT_THROW(confidence_interval_pct("NH3"), InputError);
}

TEST(Calibration, RefusesBadArguments) {
  const CalibrationFunction f;
  const std::vector<double> x = {1, 2, 3};
  EXPECT_THROW(calibrate({1, 1, 1}, x), InputError);
  EXPECT_THROW(calibrate({1, 2}, {1, 2}), InputError);
  EXPECT_THROW(calibrate(x, {1, 2}), ShapeError);
  EXPECT_THROW(calibrate_through_zero(x, x, 2), InputError);
  EXPECT_THROW(calibrate_through_zero(x, x, std::nan("")), InputError);
  EXPECT_THROW(variability(f, x, x, 0, 20), InputError);
  EXPECT_THROW(variability(f, x, x, 10, 100), InputError);
  EXPECT_THROW(variability(f, x, {1, 2}, 10, 20), ShapeError);
  EXPECT_THROW(variability(f, {1, std::nan(""), 3}, x, 10, 20), InputError);
}

}  // namespace
}  // namespace emisopt
