#include "emisopt/monitor/false_discovery.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "emisopt/base/distribution.hpp"
#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

// Benjamini and Hochberg (1995), section 3.1's fifteen p-values: four rejected at 0.05 (recalled, and by the
// rule's arithmetic: 0.0095 <= 4 / 15 * 0.05 = 0.0133, while 0.0201 > 0.0167 and so on).
TEST(BenjaminiHochberg, RejectsFourOfTheFifteenOfItsPaper) {
  const std::vector<double> p = {0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
                                 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000};
  const auto rejected = benjamini_hochberg(p, 0.05);
  EXPECT_EQ(std::accumulate(rejected.begin(), rejected.end(), 0), 4);
  EXPECT_TRUE(std::is_sorted(rejected.rbegin(), rejected.rend()));
}

TEST(BenjaminiHochberg, IsTheDefinitionInAnyOrderAndPassesOverMissing) {
  Rng rng(1);
  for (int round = 0; round < 300; ++round) {
    std::vector<double> p(20);
    for (double& v : p) v = rng.uniform() < 0.2 ? kMissing : std::pow(rng.uniform(), 3);
    const auto rejected = benjamini_hochberg(p, 0.2);
    // the largest i such that the i-th smallest is at most i q / n
    std::vector<double> sorted;
    for (const double v : p)
      if (!std::isnan(v)) sorted.push_back(v);
    std::sort(sorted.begin(), sorted.end());
    double threshold = -1;
    for (std::size_t i = 0; i < sorted.size(); ++i)
      if (sorted[i] <= 0.2 * static_cast<double>(i + 1) / static_cast<double>(sorted.size()))
        threshold = sorted[i];
    for (std::size_t i = 0; i < p.size(); ++i) EXPECT_EQ(rejected[i] != 0, p[i] <= threshold);
  }
}

// Tests of n(0, 1) against n(3, 1), a fifth shifted: mean share of false ones among the rejected.
template <class Reject>
double measured_fdr(const Reject& reject) {
  Rng rng(77);
  double sum = 0;
  constexpr int kRounds = 400, kTests = 200;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<double> z(kTests);
    for (int i = 0; i < kTests; ++i) z[static_cast<std::size_t>(i)] = rng.normal() + (i % 5 == 0 ? 3 : 0);
    const std::vector<char> rejected = reject(z);
    int all = 0, wrong = 0;
    for (int i = 0; i < kTests; ++i) {
      all += rejected[static_cast<std::size_t>(i)];
      wrong += rejected[static_cast<std::size_t>(i)] && i % 5 != 0;
    }
    sum += all ? static_cast<double>(wrong) / all : 0;
  }
  return sum / kRounds;
}

TEST(FalseDiscovery, MeasuredRatesStayBelowTheLevel) {
  const auto p_of = [](const std::vector<double>& z) {
    std::vector<double> p;
    for (const double v : z) p.push_back(1 - normal_cdf(v));
    return p;
  };
  const double bh = measured_fdr([&](const auto& z) { return benjamini_hochberg(p_of(z), 0.1); });
  EXPECT_LT(bh, 0.1 + 0.01);
  EXPECT_GT(bh, 0.05);  // its theory says 0.08: a fifth of the tests is shifted
  const double e = measured_fdr([&](const auto& z) {
    std::vector<double> values;
    for (const double v : z) values.push_back(std::exp(3 * v - 4.5));  // likelihood ratio: expectation 1
    return e_benjamini_hochberg(values, 0.1);
  });
  EXPECT_LT(e, 0.1);
  const double lord = measured_fdr([&](const auto& z) {
    LordPlusPlus rule(0.1);
    std::vector<char> found;
    for (const double p : p_of(z)) found.push_back(rule.test(p));
    return found;
  });
  EXPECT_LT(lord, 0.1);
  EXPECT_GT(lord, 0.0);
}

TEST(LordPlusPlus, WeightsFallAndSumToAtMostOne) {
  double sum = 0, before = 1;
  for (Index j = 1; j <= 2'000'000; ++j) {
    const double w = lord_weight(j);
    ASSERT_LE(w, before);
    before = w;
    sum += w;
  }
  // beyond n: the integral of log x / (x exp(sqrt(log x))), 2 (u^3 + 3 u^2 + 6 u + 6) exp(-u), u = sqrt(log
  // n)
  const double u = std::sqrt(std::log(2e6));
  const double rest = lord_weight(1) / std::log(2.0) * 2 * (u * u * u + 3 * u * u + 6 * u + 6) * std::exp(-u);
  EXPECT_LE(sum + rest, 1);
  EXPECT_GT(sum + rest, 0.999);
  EXPECT_EQ(lord_weight(0), 0);
}

// By its formula: w0 g(1) first; after a discovery at test 1: w0 g(2) + (a - w0) g(1).
TEST(LordPlusPlus, LevelsFollowTheFormula) {
  LordPlusPlus rule(0.05, 0.4);
  EXPECT_DOUBLE_EQ(rule.next_level(), 0.02 * lord_weight(1));
  EXPECT_TRUE(rule.test(0));
  EXPECT_DOUBLE_EQ(rule.next_level(), 0.02 * lord_weight(2) + 0.03 * lord_weight(1));
  EXPECT_TRUE(rule.test(0));
  EXPECT_DOUBLE_EQ(rule.next_level(), 0.02 * lord_weight(3) + 0.03 * lord_weight(2) + 0.05 * lord_weight(1));
  EXPECT_FALSE(rule.test(1));
  EXPECT_FALSE(rule.test(kMissing));
  EXPECT_EQ(rule.tests(), 3);
  EXPECT_EQ(rule.discoveries(), 2);
}

TEST(FalseDiscovery, RefusesEachWrongArgumentAndStaysAsItWas) {
  EXPECT_THROW(benjamini_hochberg({0.1}, 0), InputError);
  EXPECT_THROW(benjamini_hochberg({0.1, -0.1}, 0.05), InputError);
  EXPECT_THROW(benjamini_hochberg({1.1}, 0.05), InputError);
  EXPECT_THROW(e_benjamini_hochberg({-1}, 0.05), InputError);
  EXPECT_THROW(e_benjamini_hochberg({1}, 1), InputError);
  EXPECT_THROW(LordPlusPlus(0), InputError);
  EXPECT_THROW(LordPlusPlus(0.05, 1), InputError);
  LordPlusPlus rule(0.05);
  EXPECT_THROW(rule.test(2), InputError);
  EXPECT_EQ(rule.tests(), 0);
  EXPECT_TRUE(benjamini_hochberg({}, 0.05).empty());
}

}  // namespace
}  // namespace emisopt
