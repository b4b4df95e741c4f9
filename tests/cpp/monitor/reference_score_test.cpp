#include "emisopt/monitor/reference_score.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

std::vector<double> ar1(double phi, Index n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<double> x(static_cast<std::size_t>(n));
  double last = 0;
  for (double& v : x) {
    last = phi * last + rng.normal();
    v = 50 + 3 * last;
  }
  return x;
}

std::vector<double> scores_of(const ReferenceScore& reference, const std::vector<double>& x,
                              const char* gap = nullptr) {
  std::vector<double> out(x.size());
  ScoreStream().run(reference, x.data(), static_cast<Index>(x.size()), 1, gap, out.data(), 1);
  return out;
}

TEST(ReferenceScore, FindsAnAutoregression) {
  const auto x = ar1(0.8, 20000, 1);
  const auto got = ReferenceScore::fit(x.data(), 20000, 1, nullptr, {});
  ASSERT_EQ(got.state, ReferenceScore::State::judged);
  ASSERT_FALSE(got.phi.empty());
  EXPECT_NEAR(got.phi[0], 0.8, 0.02);
  EXPECT_LE(got.phi.size(), 3u);
  EXPECT_NEAR(got.gain(), 0.2, 0.02);
  EXPECT_NEAR(got.spread, 3, 0.05);
  EXPECT_NEAR(got.mean, 50, 0.5);
}

// An AR(2) with phi = (1.2, -0.5): the order too.
TEST(ReferenceScore, FindsTheOrder) {
  Rng rng(5);
  std::vector<double> x(20000, 0.0);
  for (std::size_t i = 2; i < x.size(); ++i) x[i] = 1.2 * x[i - 1] - 0.5 * x[i - 2] + rng.normal();
  const auto got = ReferenceScore::fit(x.data(), 20000, 1, nullptr, {});
  ASSERT_EQ(got.phi.size(), 2u);
  EXPECT_NEAR(got.phi[0], 1.2, 0.02);
  EXPECT_NEAR(got.phi[1], -0.5, 0.02);
}

TEST(ReferenceScore, ScoresAreNormalAndWithoutMemoryWhateverTheDistribution) {
  Rng rng(9);
  std::vector<double> x(30000);
  double last = 0;
  for (double& v : x) v = last = 0.7 * last - std::log(1 - rng.uniform());  // skewed
  const std::vector<double> first(x.begin(), x.begin() + 15000), rest(x.begin() + 15000, x.end());
  const auto reference = ReferenceScore::fit(first.data(), 15000, 1, nullptr, {});
  const auto z = scores_of(reference, rest);
  double sum = 0, square = 0, product = 0, n = 0, above_2 = 0;
  for (std::size_t i = 20; i < z.size(); ++i) {
    sum += z[i], square += z[i] * z[i], product += z[i] * z[i - 1], above_2 += z[i] > 2, ++n;
  }
  EXPECT_NEAR(sum / n, 0, 0.04);
  EXPECT_NEAR(square / n, 1, 0.04);
  EXPECT_NEAR(product / n, 0, 0.04);
  EXPECT_NEAR(above_2 / n, 0.0228, 0.005);
}

TEST(ReferenceScore, IsMonotoneAndSaturatesAtTheReferencesExtremes) {
  const auto x = ar1(0, 3000, 2);
  const auto got = ReferenceScore::fit(x.data(), 3000, 1, nullptr, {});
  double before = -1e9;
  for (double e = -30; e <= 30; e += 0.05) {
    const double s = got.score_of(e);
    EXPECT_GE(s, before);
    before = s;
  }
  EXPECT_NEAR(got.score_of(1e300), 3.588, 0.01);  // the normal quantile of 1 - 1 / 6000
  EXPECT_NEAR(got.score_of(-1e300), -3.588, 0.01);
}

TEST(ReferenceScore, TiesShareTheirMiddleScore) {
  std::vector<double> x(400);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(i % 2);  // alternates
  ReferenceOptions no_memory;
  no_memory.max_order = 0;
  const auto got = ReferenceScore::fit(x.data(), 400, 1, nullptr, no_memory);
  EXPECT_EQ(got.knot.size(), 2u);
  EXPECT_NEAR(got.score_of(-0.5), -0.6745, 1e-3);  // a quarter
  EXPECT_NEAR(got.score_of(0.5), 0.6745, 1e-3);
}

TEST(ReferenceScore, SaysWhyATagIsNotJudged) {
  const std::vector<double> constant(500, 2.5), few(99, 1.0), none(500, kMissing);
  EXPECT_EQ(ReferenceScore::fit(constant.data(), 500, 1, nullptr, {}).state, ReferenceScore::State::constant);
  EXPECT_EQ(ReferenceScore::fit(few.data(), 99, 1, nullptr, {}).state, ReferenceScore::State::too_few);
  EXPECT_EQ(ReferenceScore::fit(none.data(), 500, 1, nullptr, {}).state, ReferenceScore::State::too_few);
  EXPECT_EQ(ReferenceScore::fit(nullptr, 0, 1, nullptr, {}).state, ReferenceScore::State::too_few);
  const auto z = scores_of(ReferenceScore{}, {1, 2, 3});
  for (const double s : z) EXPECT_TRUE(std::isnan(s));
}

TEST(ReferenceScore, ARampAndAWanderingLevelAreStillStable) {
  std::vector<double> ramp(2000), walk(2000);
  Rng rng(3);
  double last = 0;
  for (std::size_t i = 0; i < ramp.size(); ++i) {
    ramp[i] = static_cast<double>(i);
    walk[i] = last += rng.normal();
  }
  for (const auto& x : {ramp, walk}) {
    const auto got = ReferenceScore::fit(x.data(), 2000, 1, nullptr, {});
    EXPECT_EQ(got.state, ReferenceScore::State::judged);
    for (const double s : scores_of(got, x)) EXPECT_FALSE(std::isinf(s));
    EXPECT_GT(got.gain(), 0);
  }
}

TEST(ScoreStream, NeedsAFullMemoryAfterMissingValuesAndGaps) {
  auto x = ar1(0.8, 3000, 4);
  const auto reference = ReferenceScore::fit(x.data(), 3000, 1, nullptr, {});
  const std::size_t order = reference.phi.size();
  ASSERT_GE(order, 1u);
  std::vector<char> gap(x.size(), 0);
  x[100] = kMissing;
  gap[200] = 1;
  const auto z = scores_of(reference, x, gap.data());
  for (std::size_t i = 0; i < 300; ++i) {
    const bool lacks = i < order || (i >= 100 && i < 101 + order) || (i >= 200 && i < 200 + order);
    EXPECT_EQ(std::isnan(z[i]), lacks) << i;
  }
}

TEST(ReferenceScore, GapsKeepStrangersApart) {
  // Two levels that alternate in blocks of 5 rows, a gap between blocks: no memory across the gaps is learnt.
  Rng rng(6);
  std::vector<double> x(5000);
  std::vector<char> gap(5000, 0);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = rng.normal();
    gap[i] = i % 5 == 0;
  }
  EXPECT_TRUE(ReferenceScore::fit(x.data(), 5000, 1, gap.data(), {}).phi.empty());
}

TEST(ReferenceOptions, RefusesEachWrongOption) {
  EXPECT_THROW((ReferenceOptions{-1, 100}.validate()), InputError);
  EXPECT_THROW((ReferenceOptions{65, 100}.validate()), InputError);
  EXPECT_THROW((ReferenceOptions{8, 5}.validate()), InputError);
}

}  // namespace
}  // namespace emisopt
