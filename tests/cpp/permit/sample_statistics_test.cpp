#include "emisopt/permit/sample_statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/distribution.hpp"
#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

double rounded(double x, int decimals) {
  return std::round(x * std::pow(10, decimals)) / std::pow(10, decimals);
}

// ---- 40 CFR 1065.602, its examples to all printed digits
// ----------------------------------------------------

TEST(SampleStatistics, MeanDeviationAndRmsOf40Cfr1065) {
  const SampleStatistics s = sample_statistics({10.60, 11.91, 11.09}, 2, "test");
  EXPECT_EQ(s.n, 3);
  EXPECT_EQ(rounded(s.mean, 2), 11.20);
  EXPECT_EQ(rounded(s.sd, 4), 0.6619);
  EXPECT_EQ(rounded(s.rms, 2), 11.21);
}

TEST(SampleStatistics, AccuracyOf40Cfr1065) {
  EXPECT_EQ(rounded(accuracy({1806.4, 1803.1, 1798.9}, 1800.0), 1), 2.8);
}

TEST(SampleStatistics, UnpairedTAndFOf40Cfr1065) {
  const SampleStatistics reference = {11, 1205.3, 9.399, 0}, y = {7, 1123.8, 10.583, 0};
  const TTest t = welch_test(reference, y);
  EXPECT_EQ(rounded(t.t, 2), 16.63);
  EXPECT_EQ(rounded(t.dof, 2), 11.76);
  EXPECT_LT(t.p, 1e-8);
  EXPECT_EQ(rounded(f_test(reference, y).f, 3), 1.268);
}

// ---- 40 CFR 60 appendix C, section 5: runs 100, 95, 110 and 115, 120, 125; t' = 2.132, t > t'
// ---------------

TEST(SampleStatistics, EmissionRateChangeOf40Cfr60AppendixC) {
  const SampleStatistics a = sample_statistics({100, 95, 110}, 2, "a"),
                         b = sample_statistics({115, 120, 125}, 2, "b");
  EXPECT_EQ(b.mean, 120);
  EXPECT_DOUBLE_EQ(b.sd * b.sd, 25);
  const TTest t = pooled_test(a, b);
  EXPECT_EQ(t.dof, 4);
  EXPECT_EQ(rounded(student_quantile(0.95, t.dof), 3), 2.132);
  EXPECT_GT(t.t, 2.132);
  EXPECT_NEAR(t.t, (120 - 305.0 / 3) / std::sqrt((2 * 175.0 / 3 + 2 * 25) / 4 * 2 / 3), 1e-12);
}

// ---- what must hold in general
// ------------------------------------------------------------------------------

TEST(SampleStatistics, VarianceSurvivesALargeOffset) {
  EXPECT_NEAR(sample_statistics({1e9 + 1, 1e9 + 2, 1e9 + 3}, 2, "test").sd, 1, 1e-9);
}

TEST(SampleStatistics, PairedAndUnpairedAgreeWithTheirDefinitions) {
  const TTest t = paired_test({1, 2, 3, 4});
  EXPECT_NEAR(t.t, 2.5 / (std::sqrt(5.0 / 3) / 2), 1e-12);
  EXPECT_EQ(t.dof, 3);
  EXPECT_NEAR(t.p, 2 * student_cdf(-t.t, 3), 1e-15);
  // Equal sizes and spreads: Welch's and the pooled test are one.
  const SampleStatistics a = {9, 10, 2, 0}, b = {9, 12, 2, 0};
  EXPECT_NEAR(welch_test(a, b).t, pooled_test(a, b).t, 1e-12);
  EXPECT_NEAR(welch_test(a, b).dof, 16, 1e-12);
}

// Without a difference the p-values must be uniform: 5 % of 4000 tests below 0.05, four standard errors wide.
TEST(SampleStatistics, FalseAlarmsComeAtTheirRate) {
  Rng rng(1);
  int t_alarms = 0, f_alarms = 0, paired_alarms = 0;
  constexpr int rounds = 4000;
  for (int round = 0; round < rounds; ++round) {
    std::vector<double> a(9), b(9), d(9);
    for (std::size_t i = 0; i < 9; ++i) a[i] = rng.normal(), b[i] = rng.normal(), d[i] = a[i] - b[i];
    const auto sa = sample_statistics(a, 2, "a"), sb = sample_statistics(b, 2, "b");
    t_alarms += welch_test(sa, sb).p < 0.05;
    f_alarms += f_test(sa, sb).p < 0.05;
    paired_alarms += paired_test(d).p < 0.05;
  }
  const double error = 4 * std::sqrt(0.05 * 0.95 / rounds);
  for (const int alarms : {t_alarms, f_alarms, paired_alarms})
    EXPECT_NEAR(static_cast<double>(alarms) / rounds, 0.05, error);
}

TEST(SampleStatistics, CorrelationIsOneOnALineAndUnknownOnAConstant) {
  EXPECT_NEAR(correlation({1, 2, 3}, {5, 7, 9}), 1, 1e-15);
  EXPECT_NEAR(correlation({1, 2, 3}, {9, 7, 5}), -1, 1e-15);
  EXPECT_TRUE(std::isnan(correlation({1, 1, 1}, {9, 7, 5})));
  EXPECT_THROW(correlation({1, 2, 3}, {1, 2}), ShapeError);
}

TEST(SampleStatistics, RefusesWhatIsNoSample) {
  EXPECT_THROW(sample_statistics({1, 2}, 3, "test"), InputError);
  try {
    sample_statistics({1, std::nan(""), 3}, 2, "test");
    FAIL();
  } catch (const InputError& e) {
    EXPECT_STREQ(e.what(), "test: run 1: expected a finite value, got nan");
  }
  EXPECT_THROW(paired_test({2, 2, 2}), InputError);
  const SampleStatistics still = {3, 1, 0, 1}, moving = {3, 1, 1, 1};
  EXPECT_THROW(welch_test(still, still), InputError);
  EXPECT_THROW(pooled_test(still, still), InputError);
  EXPECT_THROW(f_test(still, moving), InputError);
  EXPECT_EQ(f_test(moving, still).p, 1);
}

}  // namespace
}  // namespace emisopt
