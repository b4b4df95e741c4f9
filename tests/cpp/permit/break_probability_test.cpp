#include "emisopt/permit/break_probability.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

const std::vector<double> kLevels = {0.05, 0.25, 0.5, 0.75, 0.95};
const std::vector<double> kScores = {-1.6448536269514722, -0.6744897501960817, 0, 0.6744897501960817,
                                     1.6448536269514722};

double upper_tail(double z) { return 0.5 * std::erfc(z / std::sqrt(2.0)); }

// Quantiles of N(mean, sd) at every step.
Matrix normal_quantiles(int horizon, double mean, double sd) {
  Matrix q(horizon, 5);
  for (Index h = 0; h < horizon; ++h)
    for (Index k = 0; k < 5; ++k) q(h, k) = mean + sd * kScores[static_cast<std::size_t>(k)];
  return q;
}

// The mean of the first n steps against `limit`.
LimitRow mean_row(int n, double limit) {
  LimitRow row;
  row.end_step = n - 1;
  row.coefficient.assign(static_cast<std::size_t>(n), 1.0 / n);
  row.rhs = limit;
  return row;
}

double probability(const BreakProbability& p, int n, double limit, const Matrix& q) {
  return p.assess({mean_row(n, limit)}, {{"x", 0, limit}}, {kLevels, q})[0].probability;
}

TEST(NormalScore, IsTheInverseOfTheQuantiles) {
  const Matrix q = normal_quantiles(1, 100, 10);
  for (const double z : {-3.0, -1.0, 0.0, 0.3, 2.5})
    EXPECT_NEAR(normal_score(kLevels, q.row(0), 100 + 10 * z), z, 1e-9);
  EXPECT_TRUE(std::isnan(normal_score(kLevels, q.row(0), kMissing)));
  const double flat[5] = {7, 7, 7, 7, 7};
  EXPECT_GT(normal_score(kLevels, flat, 8), 3);
  EXPECT_LT(normal_score(kLevels, flat, 6), -3);
}

TEST(BreakProbability, IndependentErrorsAverageOut) {
  const BreakProbability p(ErrorDependence::independent(12), 20000);
  const Matrix q = normal_quantiles(12, 100, 10);
  for (const int n : {1, 4, 12})
    for (const double limit : {98.0, 102.0, 106.0})
      EXPECT_NEAR(probability(p, n, limit, q), upper_tail((limit - 100) * std::sqrt(n) / 10), 0.012);
}

TEST(BreakProbability, ErrorsThatPersistDoNot) {
  // The variance of a mean of n steps with correlation rho^|i-j|.
  const double rho = std::exp(-1.0 / 6);
  const BreakProbability p(ErrorDependence::exponential(12, 6), 20000);
  const Matrix q = normal_quantiles(12, 100, 10);
  double variance = 0;
  for (int i = 0; i < 12; ++i)
    for (int j = 0; j < 12; ++j) variance += std::pow(rho, std::abs(i - j)) / 144;
  EXPECT_NEAR(probability(p, 12, 106, q), upper_tail(6 / (10 * std::sqrt(variance))), 0.012);
  EXPECT_GT(probability(p, 12, 106, q),
            5 * probability(BreakProbability(ErrorDependence::independent(12)), 12, 106, q));
}

TEST(BreakProbability, NeverRisesWithTheLimitAndIsBetweenZeroAndOne) {
  const BreakProbability p(ErrorDependence::exponential(6, 3));
  Rng rng(9);
  for (int trial = 0; trial < 20; ++trial) {
    Matrix q(6, 5);
    for (Index h = 0; h < 6; ++h) {
      double v = rng.uniform(0, 100);
      for (Index k = 0; k < 5; ++k) q(h, k) = v += rng.uniform(0, 20);
    }
    double before = 1;
    for (double limit = -50; limit < 300; limit += 5) {
      const double now = probability(p, 6, limit, q);
      EXPECT_LE(now, before);
      EXPECT_GE(now, 0);
      before = now;
    }
  }
}

TEST(BreakProbability, HeadroomIsWhatEveryComingRowMayStillRise) {
  const BreakProbability p(ErrorDependence::exponential(6, 3));
  const Matrix q = normal_quantiles(6, 60, 5);
  Matrix past(8, 1, 50);
  const std::vector<Limit> limits = {{"x", 0, 70, 12}};
  const std::vector<LimitRow> rows = limit_rows(limits, past, 6);
  const BreakRisk risk = p.assess(rows, limits, {kLevels, q}, 0.9)[3];
  EXPECT_GT(risk.headroom, 0);
  const Matrix raised = normal_quantiles(6, 60 + risk.headroom, 5);
  const BreakRisk then = p.assess(rows, limits, {kLevels, raised}, 0.9)[3];
  EXPECT_NEAR(then.probability, 0.1, 2e-3);
  EXPECT_NEAR(then.headroom, 0, 1e-9);
  EXPECT_NEAR(then.high, 70, 1e-9);
  EXPECT_NEAR(risk.median, (8 * 50 + 4 * 60) / 12.0, 0.3);  // 8 known rows and 4 coming ones
}

TEST(BreakProbability, AnyIsAtLeastTheLargestAndAtMostTheSum) {
  const BreakProbability p(ErrorDependence::exponential(6, 3));
  const Matrix q = normal_quantiles(6, 60, 5);
  const std::vector<Limit> limits = {{"x", 0, 62, 3}};
  const std::vector<LimitRow> rows = limit_rows(limits, Matrix(4, 1, 60.0), 6);
  double largest = 0, sum = 0;
  for (const BreakRisk& r : p.assess(rows, limits, {kLevels, q})) {
    largest = std::max(largest, r.probability);
    sum += r.probability;
  }
  const double any = p.any(rows, {kLevels, q});
  EXPECT_GE(any, largest);
  EXPECT_LE(any, sum);
  EXPECT_LT(any, 1);
}

TEST(BreakProbability, WhatIsNotForecastIsNotJudged) {
  const BreakProbability p(ErrorDependence::independent(4));
  Matrix q = normal_quantiles(4, 60, 5);
  for (Index k = 0; k < 5; ++k) q(2, k) = kMissing;
  const std::vector<Limit> limits = {{"x", 0, 62}};
  const std::vector<LimitRow> rows = limit_rows(limits, {}, 4);
  const std::vector<BreakRisk> risk = p.assess(rows, limits, {kLevels, q});
  EXPECT_FALSE(std::isnan(risk[1].probability));
  EXPECT_TRUE(std::isnan(risk[2].probability));
  EXPECT_TRUE(std::isnan(p.any(rows, {kLevels, q})));
}

TEST(ErrorDependence, FitRecoversMeanSpreadAndCorrelation) {
  Rng rng(4);
  Matrix z(4000, 8);
  for (Index r = 0; r < z.rows; ++r) {
    double last = rng.normal();
    for (Index h = 0; h < 8; ++h) {
      last = 0.8 * last + 0.6 * rng.normal();
      z(r, h) = rng.uniform() < 0.1 ? kMissing : 0.3 + 1.2 * last;
    }
  }
  const ErrorDependence d = ErrorDependence::fit(z);
  for (Index i = 0; i < 8; ++i) {
    EXPECT_NEAR(d.mean[static_cast<std::size_t>(i)], 0.3, 0.07);
    EXPECT_NEAR(d.spread[static_cast<std::size_t>(i)], 1.2, 0.05);
    for (Index j = 0; j < 8; ++j) EXPECT_NEAR(d.correlation(i, j), std::pow(0.8, std::abs(i - j)), 0.05);
  }
}

TEST(ErrorDependence, FitStaysPositiveDefiniteWithFewRows) {
  Rng rng(4);
  Matrix z(20, 24);
  for (double& v : z.values) v = rng.normal();
  for (Index r = 0; r < 20; ++r) std::fill(z.row(r), z.row(r) + 24, z(r, 0));  // wholly dependent
  EXPECT_NO_THROW(BreakProbability{ErrorDependence::fit(z)});
}

TEST(BreakProbability, RefusesWhatDoesNotFit) {
  EXPECT_THROW(ErrorDependence::fit(Matrix(19, 2, 0.5)), InputError);
  EXPECT_THROW(ErrorDependence::exponential(3, 0), InputError);
  EXPECT_THROW(BreakProbability(ErrorDependence::independent(3), 3), InputError);
  ErrorDependence broken = ErrorDependence::independent(3);
  broken.correlation(0, 1) = broken.correlation(1, 0) = 2;
  EXPECT_THROW(BreakProbability{broken}, InputError);
  broken.spread.pop_back();
  EXPECT_THROW(BreakProbability{broken}, ShapeError);
  const BreakProbability p(ErrorDependence::independent(3));
  const std::vector<Limit> limits = {{"x", 0, 62}};
  const Matrix q = normal_quantiles(3, 60, 5), longer = normal_quantiles(4, 60, 5);
  EXPECT_THROW(p.assess({mean_row(4, 1)}, limits, {kLevels, q}), InputError);
  EXPECT_THROW(p.assess({mean_row(2, 1)}, limits, {kLevels, longer}), ShapeError);
  EXPECT_THROW(p.assess({mean_row(2, 1)}, limits, {{0.5}, q}), InputError);
  EXPECT_THROW(p.assess({mean_row(2, 1)}, limits, {{0.9, 0.5, 0.6, 0.7, 0.8}, q}), InputError);
  EXPECT_THROW(p.assess({mean_row(2, 1)}, {}, {kLevels, q}), InputError);
  EXPECT_THROW(p.assess({mean_row(2, 1)}, limits, {kLevels, q}, 1.0), InputError);
  Matrix crossing = q;
  crossing(1, 2) = 0;
  EXPECT_THROW(p.assess({mean_row(2, 1)}, limits, {kLevels, crossing}), InputError);
}

}  // namespace
}  // namespace emisopt
