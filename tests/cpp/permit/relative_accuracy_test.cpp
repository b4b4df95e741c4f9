#include "emisopt/permit/relative_accuracy.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/distribution.hpp"
#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

// The reference's own fixture: differences d at a reference of 50.
const std::vector<double> kDifferences = {1, -.5, .8, 1.2, -.3, .6, .9, -.1, .4};
const std::vector<double> kReference(9, 50.0);

std::vector<double> monitor_with(const std::vector<double>& reference, const std::vector<double>& d) {
  std::vector<double> m(d.size());
  for (std::size_t i = 0; i < d.size(); ++i) m[i] = reference[i] - d[i];
  return m;
}

TEST(RelativeAccuracy, NineRunsOfTheReference) {
  const RelativeAccuracy ra = relative_accuracy(kReference, monitor_with(kReference, kDifferences));
  EXPECT_EQ(ra.n, 9);
  EXPECT_EQ(ra.t, 2.306);
  EXPECT_NEAR(ra.mean_difference, 0.44444, 5e-6);
  EXPECT_NEAR(ra.sd, 0.610555, 5e-7);
  EXPECT_NEAR(ra.confidence, 0.469314, 5e-7);
  EXPECT_NEAR(ra.relative_accuracy_pct, 1.82752, 5e-6);
  EXPECT_FALSE(ra.biased);  // 0.4444 < 0.4693: chance explains it
  EXPECT_EQ(ra.bias_factor, 1);
}

TEST(RelativeAccuracy, AMonitorThatReadsLowGetsTheFactorThatCorrectsItsMean) {
  std::vector<double> d = kDifferences;
  for (double& x : d) x += 2;
  const std::vector<double> m = monitor_with(kReference, d);
  const RelativeAccuracy ra = relative_accuracy(kReference, m);
  EXPECT_TRUE(ra.biased);
  EXPECT_NEAR(ra.mean_monitor * ra.bias_factor, ra.mean_reference, 1e-12);
  // One that reads high is not adjusted: the rule protects against understating.
  for (double& x : d) x -= 4;
  const RelativeAccuracy high = relative_accuracy(kReference, monitor_with(kReference, d));
  EXPECT_FALSE(high.biased);
  EXPECT_EQ(high.bias_factor, 1);
}

TEST(RelativeAccuracy, UnitsDoNotMatterButTheDenominatorDoes) {
  const std::vector<double> m = monitor_with(kReference, kDifferences);
  const auto scaled = [](std::vector<double> v, double by) {
    for (double& x : v) x *= by;
    return v;
  };
  const double percent = relative_accuracy(kReference, m).relative_accuracy_pct;
  EXPECT_NEAR(relative_accuracy(scaled(kReference, 1.9125), scaled(m, 1.9125)).relative_accuracy_pct, percent,
              1e-12);
  RelativeAccuracyConfig config;
  config.denominator = 200;
  EXPECT_NEAR(relative_accuracy(kReference, m, config).relative_accuracy_pct, percent / 4, 1e-12);
  config.t_decimals = -1;
  EXPECT_DOUBLE_EQ(relative_accuracy(kReference, m, config).t, student_quantile(0.975, 8));
}

// The interval d +- CC must hold the true difference in 95 % of tests (4 standard errors of 2000 tests).
TEST(RelativeAccuracy, ConfidenceCoefficientCoversTheTrueDifference) {
  Rng rng(2);
  int covered = 0;
  constexpr int rounds = 2000;
  for (int round = 0; round < rounds; ++round) {
    std::vector<double> reference(9), monitor(9);
    for (std::size_t i = 0; i < 9; ++i)
      reference[i] = rng.uniform(80, 120), monitor[i] = reference[i] - 3 - 2 * rng.normal();
    const RelativeAccuracy ra = relative_accuracy(reference, monitor);
    covered += std::abs(ra.mean_difference - 3) <= ra.confidence;
  }
  EXPECT_NEAR(static_cast<double>(covered) / rounds, 0.95, 4 * std::sqrt(0.05 * 0.95 / rounds));
}

TEST(RelativeAccuracy, AShortAuditIsTheMeanErrorInPercent) {
  EXPECT_NEAR(audit_accuracy_pct({100, 100, 100}, {90, 95, 100}), -5, 1e-12);
  EXPECT_THROW(audit_accuracy_pct({0, 0, 0}, {1, 1, 1}), InputError);
}

TEST(CompareMethods, IdenticalSpreadsGiveFOfOneAndFullCorrelation) {
  std::vector<double> reference(27), monitor(27);
  Rng rng(3);
  for (std::size_t i = 0; i < 27; ++i)
    reference[i] = rng.uniform(50, 150), monitor[i] = reference[i] + 1 + 1e-6 * rng.normal();
  const MethodComparison c = compare_methods(reference, monitor, 27);
  EXPECT_EQ(c.n, 27);
  EXPECT_NEAR(c.f, 1, 1e-5);
  EXPECT_NEAR(c.r, 1, 1e-9);
  EXPECT_NEAR(c.mean_difference, -1, 1e-5);
  EXPECT_GT(c.t, 1e5);
  EXPECT_DOUBLE_EQ(c.f_critical, f_quantile(0.95, 26, 26));
  EXPECT_DOUBLE_EQ(c.t_critical, student_quantile(0.975, 26));
}

TEST(CompareMethods, RecalledLimitsArePs16sAndMarked) {
  const auto limits = ps16_limits(150, 3);
  EXPECT_EQ(limits[0].limit, 10);
  EXPECT_EQ(ps16_limits(100, 3)[0].limit, 20);
  EXPECT_EQ(ps16_limits(9.9, 3)[0].statistic, "absolute_mean_difference");
  EXPECT_EQ(ps16_limits(9.9, 3)[0].limit, 2);
  for (const AcceptanceLimit& limit : limits) EXPECT_FALSE(limit.verified);
  EXPECT_THROW(ps16_limits(0, 3), InputError);
}

TEST(RelativeAccuracy, RefusesBadRuns) {
  const std::vector<double> m = monitor_with(kReference, kDifferences);
  EXPECT_THROW(relative_accuracy(kReference, {1, 2}), ShapeError);
  EXPECT_THROW(relative_accuracy({1, 2, 3}, {1, 2, 3}), InputError);
  std::vector<double> hole = m;
  hole[4] = std::nan("");
  EXPECT_THROW(relative_accuracy(kReference, hole), InputError);
  EXPECT_THROW(relative_accuracy(std::vector<double>(9, 0.0), m), InputError);
  RelativeAccuracyConfig config;
  config.denominator = 0;
  EXPECT_THROW(relative_accuracy(kReference, m, config), InputError);
  config = {};
  config.least_runs = 1;
  EXPECT_THROW(relative_accuracy(kReference, m, config), InputError);
  EXPECT_THROW(compare_methods(kReference, m, 27), InputError);
  EXPECT_THROW(compare_methods(kReference, {1}, 3), ShapeError);
}

}  // namespace
}  // namespace emisopt
