#include "emisopt/monitor/run_length.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/distribution.hpp"
#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/monitor/run_length_study.hpp"

namespace emisopt {
namespace {

// Brook and Evans (1972): the upper CUSUM as a Markov chain of m states of width w. With m and 2 m states the
// leading error, of order w^2, is extrapolated away. Nothing is shared with the integral equation.
double brook_evans_once(double k, double h, double shift, int m) {
  const double w = 2 * h / (2 * m - 1);
  Matrix a(m, m + 1, 1.0);  // (I - R) mu = 1, Gauss-Jordan; diagonally dominant, so without row exchanges
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < m; ++j) {
      const double to = static_cast<double>(j - i) * w + k - shift;
      const double stays = j == 0 ? normal_cdf(to + w / 2) : normal_cdf(to + w / 2) - normal_cdf(to - w / 2);
      a(i, j) = (i == j) - stays;
    }
  for (Index p = 0; p < m; ++p)
    for (Index i = 0; i < m; ++i) {
      if (i == p) continue;
      const double factor = a(i, p) / a(p, p);
      for (Index j = p; j <= m; ++j) a(i, j) -= factor * a(p, j);
    }
  return a(0, m) / a(0, 0);
}

double brook_evans(double k, double h, double shift) {
  const double coarse = brook_evans_once(k, h, shift, 40), fine = brook_evans_once(k, h, shift, 80);
  return fine + (fine - coarse) / 3;
}

TEST(RunLength, AgreesWithBrookAndEvansMarkovChain) {
  for (const auto& [k, h] : {std::pair{0.5, 4.0}, {0.5, 5.0}, {0.25, 6.0}, {1.0, 2.5}}) {
    const double up = brook_evans(k, h, 0);
    EXPECT_NEAR(cusum_run_length(k, h), up / 2, 2e-4 * up) << k << " " << h;
    const double rise = brook_evans(k, h, 1), fall = brook_evans(k, h, -1);
    EXPECT_NEAR(cusum_run_length(k, h, 1), 1 / (1 / rise + 1 / fall), 2e-3) << k << " " << h;
  }
}

// Montgomery, Introduction to Statistical Quality Control, the CUSUM chapter's table for k = 1/2 (recalled;
// the equation gives every digit).
TEST(RunLength, GivesMontgomerysCusumTable) {
  const double shift[] = {0, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3};
  const double at_4[] = {168, 74.2, 26.6, 13.3, 8.38, 4.75, 3.34, 2.62, 2.19};
  const double at_5[] = {465, 139, 38.0, 17.0, 10.4, 5.75, 4.01, 3.11, 2.57};
  for (std::size_t i = 0; i < 9; ++i) {
    EXPECT_NEAR(cusum_run_length(0.5, 4, shift[i]), at_4[i], 0.004 * at_4[i]) << shift[i];
    EXPECT_NEAR(cusum_run_length(0.5, 5, shift[i]), at_5[i], 0.004 * at_5[i]) << shift[i];
  }
  // Hawkins' limits for a run length of 370, same chapter
  const double k[] = {0.25, 0.5, 0.75, 1.0, 1.25, 1.5}, h[] = {8.01, 4.77, 3.34, 2.52, 1.99, 1.61};
  for (std::size_t i = 0; i < 6; ++i) EXPECT_NEAR(cusum_limit(370, k[i]), h[i], 0.006) << k[i];
}

// Lucas and Saccucci (1990): five charts of run length 500 (recalled; the equation gives them to 0.1 %).
TEST(RunLength, GivesLucasAndSaccuccisEwmaTable) {
  const double weight[] = {0.4, 0.25, 0.2, 0.1, 0.05}, limit[] = {3.054, 2.998, 2.962, 2.814, 2.615};
  const double at_1[] = {14.3, 11.1, 10.5, 10.3, 11.4};
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(ewma_run_length(weight[i], limit[i]), 500, 1) << weight[i];
    EXPECT_NEAR(ewma_limit(500, weight[i]), limit[i], 0.001) << weight[i];
    EXPECT_NEAR(ewma_run_length(weight[i], limit[i], 1), at_1[i], 0.06) << weight[i];
  }
  EXPECT_NEAR(ewma_run_length(1, 3), 1 / (2 * (1 - normal_cdf(3))), 1e-6);  // a Shewhart chart: 370.4
}

TEST(RunLength, AgreesWithSimulation) {
  const std::vector<DetectorOptions> charts = {CusumOptions{0.5, 4}, CusumOptions{1, 2.5},
                                               EwmaOptions{0.1, 2.4}, EwmaOptions{0.4, 2.8}};
  const auto got = simulated_run_lengths(charts, ValueSource{}, 2'000'000, 11);
  const double expected[] = {cusum_run_length(0.5, 4), cusum_run_length(1, 2.5), ewma_run_length(0.1, 2.4),
                             ewma_run_length(0.4, 2.8)};
  for (std::size_t i = 0; i < 4; ++i) {
    const double error = 4 / std::sqrt(static_cast<double>(got[i].alarms));
    EXPECT_NEAR(got[i].mean / expected[i], 1, error) << i;
  }
}

TEST(RunLength, LimitsAndRunLengthsAreEachOthersInverse) {
  for (const double target : {2.0, 50.0, 1e4, 1e7, 1e11}) {
    EXPECT_NEAR(cusum_run_length(0.5, cusum_limit(target, 0.5)) / target, 1, 1e-4) << target;
    EXPECT_NEAR(ewma_run_length(0.2, ewma_limit(target, 0.2)) / target, 1, 1e-4) << target;
  }
}

TEST(RunLengthCurve, LiesOnTheEquation) {
  const RunLengthCurve cusum = RunLengthCurve::cusum(0.5), ewma = RunLengthCurve::ewma(0.1);
  for (const double limit : {0.3, 1.7, 4.05, 5.0, 9.99})
    EXPECT_NEAR(cusum.run_length(limit) / cusum_run_length(0.5, limit), 1, 0.01) << limit;
  for (const double limit : {0.5, 1.7, 2.814, 4.05, 5.3})
    EXPECT_NEAR(ewma.run_length(limit) / ewma_run_length(0.1, limit), 1, 0.02) << limit;
}

// Share of p-values at or below a level, over windows of a long run in control that never alarms: at most the
// level, within what 20 000 windows can tell, for windows of one row too.
TEST(RunLengthCurve, PValuesOfPeaksAreNotTooSmall) {
  Rng rng(31);
  for (const Index rows : {1, 50, 288}) {
    DriftBank bank(CusumOptions{0.5, 1e9}, {"x"}, true);
    const RunLengthCurve curve = RunLengthCurve::cusum(0.5);
    const int windows = 20'000;
    int below[2] = {0, 0};
    std::vector<double> x(static_cast<std::size_t>(rows));
    for (int w = 0; w < windows; ++w) {
      for (double& v : x) v = rng.normal();
      bank.push({x.data(), rows, 1, 1, 1});
      const double p = curve.p_value(bank.take_peaks()[0].alarm.statistic, rows);
      below[0] += p <= 0.05;
      below[1] += p <= 0.01;
    }
    EXPECT_LT(below[0], 1.25 * 0.05 * windows) << rows;
    EXPECT_LT(below[1], 1.35 * 0.01 * windows) << rows;
    EXPECT_GT(below[0], 0.1 * 0.05 * windows) << rows;  // and not useless
  }
}

TEST(RunLength, RefusesEachWrongArgument) {
  EXPECT_THROW(cusum_run_length(-1, 5), InputError);
  EXPECT_THROW(cusum_run_length(0.5, 0), InputError);
  EXPECT_THROW(cusum_run_length(0.5, 51), InputError);
  EXPECT_THROW(cusum_run_length(0.5, 5, kMissing), InputError);
  EXPECT_THROW(ewma_run_length(0.009, 3), InputError);
  EXPECT_THROW(ewma_run_length(0.1, 21), InputError);
  EXPECT_THROW(ewma_run_length(0.1, 3, INFINITY), InputError);
  EXPECT_THROW(cusum_limit(1, 0.5), InputError);
  EXPECT_THROW(cusum_limit(1e5, 0), InputError);  // no limit up to 50 gives it
  EXPECT_THROW(cusum_limit(10, 2), InputError);   // a Shewhart chart at 2: 22 at least
  EXPECT_THROW(cusum_limit(1e13, 0.5), InputError);
  EXPECT_THROW(ewma_limit(kMissing, 0.5), InputError);
}

}  // namespace
}  // namespace emisopt
