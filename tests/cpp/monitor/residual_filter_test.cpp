#include "emisopt/monitor/residual_filter.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "monitor/watched_plant.hpp"

namespace emisopt {
namespace {

constexpr Index kTags = 8;

Matrix normalised(Index n, std::uint64_t seed) {
  const Matrix x = watched::rows(n, seed);
  Matrix z(n, kTags);
  for (Index r = 0; r < n; ++r)
    for (Index t = 0; t < kTags; ++t) z(r, t) = (x(r, t) - 100) / 8;
  return z;
}

struct Case {
  FactorModel model = FactorModel::fit(normalised(4000, 1), 2);
  std::vector<double> memory = {9.0};
  ResidualFilter filter{model, memory, 100};
  std::vector<char> all = std::vector<char>(kTags, 1);

  void run(const Matrix& z) {
    for (Index r = 0; r < z.rows; ++r) {
      filter.take(z.row(r));
      filter.look(all.data());
      filter.keep(all.data(), all.data());
    }
  }
};

// The reconstruction is linear, so the residual of the mean row is the mean of the rows' residuals.
TEST(ResidualFilter, AMeanRowsResidualIsTheMeanResidual) {
  Case c;
  const Matrix z = normalised(200, 2);
  std::vector<double> sum(kTags, 0), now;
  for (Index r = 0; r < z.rows; ++r) {
    c.filter.take(z.row(r));
    c.filter.look(c.all.data());
    for (Index t = 0; t < kTags; ++t) {
      double& s = sum[static_cast<std::size_t>(t)];
      s += 0.2 * (c.filter.residual(t) - s);
    }
    c.filter.keep(c.all.data(), c.all.data());
  }
  c.filter.mean_residual(0, c.all.data(), now);
  for (std::size_t t = 0; t < kTags; ++t) EXPECT_NEAR(now[t], sum[t], 1e-9);
}

TEST(ResidualFilter, AJumpIsNewAgainstTheTagsUsualResidual) {
  Case c;
  Matrix z = normalised(100, 3);
  for (Index r = 0; r < 100; ++r) z(r, 2) += 5;  // an old offset
  c.run(z);
  Matrix next = normalised(1, 4);
  next(0, 2) += 5;
  c.filter.take(next.row(0));
  c.filter.look(c.all.data());
  EXPECT_GT(std::abs(c.filter.residual(2)), 5);
  EXPECT_LT(std::abs(c.filter.jump(2)), 0.5 * std::abs(c.filter.residual(2)));
}

// The plant has wandered: every tag is off by a constant. The change against the baseline does not see that,
// but a tag that moves now, and it goes on seeing it while the tag is not trusted.
TEST(ResidualFilter, AChangeIsSeenAgainstTheBaselineNotAgainstTheReference) {
  Case c;
  const auto run = [&](Index n, std::uint64_t seed, double offset, const char* trust) {
    const Matrix z = normalised(n, seed);
    for (Index r = 0; r < n; ++r) {
      std::vector<double> row(z.row(r), z.row(r) + kTags);
      row[2] += offset;
      c.filter.take(row.data());
      c.filter.look(c.all.data());
      c.filter.keep(c.all.data(), trust);
    }
  };
  std::vector<double> level, change;
  run(20, 7, 3, c.all.data());
  c.filter.mean_residual(1, c.all.data(), change);
  EXPECT_TRUE(std::isnan(change[2]));  // too young
  run(280, 6, 3, c.all.data());
  c.filter.mean_residual(0, c.all.data(), level);
  c.filter.mean_residual(1, c.all.data(), change);
  EXPECT_GT(std::abs(level[2]), 3);
  EXPECT_LT(std::abs(change[2]), 1);
  std::vector<char> trust = c.all;
  trust[2] = 0;
  for (int i = 0; i < 4; ++i) {
    run(300, static_cast<std::uint64_t>(8 + i), 6, trust.data());
    c.filter.mean_residual(1, c.all.data(), change);
    EXPECT_GT(std::abs(change[2]), 3) << i;
  }
}

TEST(ResidualFilter, WithoutAPastNothingIsAJump) {
  Case c;
  const Matrix z = normalised(1, 3);
  c.filter.take(z.row(0));
  c.filter.look(c.all.data());
  EXPECT_TRUE(std::isnan(c.filter.jump(0)));
  c.filter.keep(c.all.data(), c.all.data());
  EXPECT_FALSE(std::isnan(c.filter.jump(0)));
  c.filter.forget_levels();
  EXPECT_TRUE(std::isnan(c.filter.jump(0)));
}

TEST(ResidualFilter, WhatIsNotBelievedLeavesTheMeanAlone) {
  Case c;
  c.run(normalised(100, 3));
  std::vector<double> before, after;
  c.filter.mean_residual(0, c.all.data(), before);
  Matrix row = normalised(1, 4);
  row(0, 5) += 1e6;
  std::vector<char> use = c.all;
  use[5] = 0;
  c.filter.take(row.row(0));
  c.filter.look(use.data());
  c.filter.keep(use.data(), c.all.data());
  c.filter.mean_residual(0, c.all.data(), after);
  EXPECT_LT(std::abs(after[5] - before[5]), 1);
}

TEST(ResidualFilter, ARestartedTagAgreesAndOneThatWasLongAwayInformsNobody) {
  Case c;
  Matrix z = normalised(100, 3);
  for (Index r = 0; r < 100; ++r) z(r, 2) += 5;
  c.run(z);
  std::vector<double> residual;
  c.filter.mean_residual(0, c.all.data(), residual);
  EXPECT_GT(residual[2], 4);
  c.filter.restart(2);
  c.filter.mean_residual(0, c.all.data(), residual);
  EXPECT_NEAR(residual[2], 0, 1e-9);

  Matrix away = normalised(50, 5);
  for (Index r = 0; r < 50; ++r) away(r, 4) = kMissing;
  c.run(away);
  std::vector<double> with, without;
  std::vector<char> others = c.all;
  others[4] = 0;
  c.filter.mean_residual(0, c.all.data(), with);
  c.filter.mean_residual(0, others.data(), without);
  EXPECT_EQ(with, without);
}

}  // namespace
}  // namespace emisopt
