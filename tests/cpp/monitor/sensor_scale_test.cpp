#include "emisopt/monitor/sensor_scale.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

Tag emission(Scale scale) {
  Tag tag;
  tag.name = "nox";
  tag.role = Role::emission;
  tag.scale = scale;
  return tag;
}

std::vector<double> normal_values(double mean, double sd, int n) {
  Rng rng(3);
  std::vector<double> x;
  for (int i = 0; i < n; ++i) x.push_back(mean + sd * rng.normal());
  return x;
}

TEST(SensorScale, ATwentiethOfWildReadingsHardlyMovesIt) {
  std::vector<double> x = normal_values(100, 5, 2000);
  const SensorScale clean = SensorScale::fit(emission(Scale::linear), x);
  EXPECT_NEAR(clean.centre, 100, 0.4);
  EXPECT_NEAR(clean.spread, 5, 0.3);
  for (std::size_t i = 0; i < x.size(); i += 20) x[i] = i % 40 == 0 ? 1e6 : -1e6;
  x.push_back(kMissing);
  const SensorScale scale = SensorScale::fit(emission(Scale::linear), x);
  EXPECT_NEAR(scale.centre, clean.centre, 0.2);
  EXPECT_NEAR(scale.spread, clean.spread, 0.1 * clean.spread);
}

TEST(SensorScale, RoundTripsAndItsSlopeIsTheDerivative) {
  std::vector<double> x = normal_values(0, 0.8, 500);
  for (double& v : x) v = 50 * std::exp(v);
  for (const Scale kind : {Scale::linear, Scale::log, Scale::automatic}) {
    const SensorScale scale = SensorScale::fit(emission(kind), x);
    EXPECT_EQ(scale.log, kind != Scale::linear);
    const double z = scale.normal(80), h = 1e-6;
    EXPECT_NEAR(scale.physical(z), 80, 1e-9);
    EXPECT_NEAR(scale.slope(z), (scale.physical(z + h) - scale.physical(z - h)) / (2 * h), 1e-4);
  }
}

TEST(SensorScale, AMissingReadingStaysMissingAndANegativeOneIsFinite) {
  const SensorScale scale = SensorScale::fit(emission(Scale::log), {1, 2, 3, 4});
  EXPECT_TRUE(std::isnan(scale.normal(kMissing)));
  EXPECT_TRUE(std::isfinite(scale.normal(-5)));
}

TEST(SensorScale, ATagThatStandsStillMostOfTheTimeHasTheSpreadOfItsMoves) {
  std::vector<double> x(1000, 20);
  for (std::size_t i = 0; i < 200; ++i) x[i] = 30;
  EXPECT_NEAR(SensorScale::fit(emission(Scale::linear), x).spread, 10 / 3.29, 0.01);
}

TEST(SensorScale, ConstantOrUnknownTagsHaveNoSpread) {
  EXPECT_EQ(SensorScale::fit(emission(Scale::linear), std::vector<double>(10, 0.1)).spread, 0);
  EXPECT_EQ(SensorScale::fit(emission(Scale::linear), {kMissing, 3}).spread, 0);
  EXPECT_EQ(SensorScale::fit(emission(Scale::linear), {}).spread, 0);
}

TEST(Quantile, IsLinearBetweenNeighbours) {
  std::vector<double> x = {4, 1, 3, 2};
  EXPECT_DOUBLE_EQ(quantile(x, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(quantile(x, 0), 1);
  EXPECT_DOUBLE_EQ(quantile(x, 1), 4);
  std::vector<double> none;
  EXPECT_TRUE(std::isnan(quantile(none, 0.5)));
}

}  // namespace
}  // namespace emisopt
