#include "emisopt/permit/limit_row.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

// The definition, spelled out: mean of the finite values among the `window` rows that end at `end`.
double mean_by_definition(const std::vector<double>& y, Index end, int window, double min_valid) {
  long double sum = 0;
  int valid = 0;
  for (Index i = std::max<Index>(0, end - window + 1); i <= end; ++i) {
    if (!std::isfinite(y[static_cast<std::size_t>(i)])) continue;
    sum += y[static_cast<std::size_t>(i)];
    ++valid;
  }
  if (valid == 0 || valid < min_valid * window - 1e-9 * window) return kMissing;
  return static_cast<double>(sum / valid);
}

TEST(RollingMean, EqualsTheDefinitionForEveryWindowAndGapPattern) {
  Rng rng(1);
  for (int round = 0; round < 300; ++round) {
    const int n = static_cast<int>(rng.below(60));
    const int window = 1 + static_cast<int>(rng.below(15));
    const double min_valid = rng.uniform();
    std::vector<double> y(static_cast<std::size_t>(n));
    for (double& v : y) v = rng.uniform() < 0.3 ? kMissing : rng.normal() * 50;
    const auto mean = rolling_mean(y.data(), n, window, min_valid);
    ASSERT_EQ(mean.size(), y.size());
    for (Index i = 0; i < n; ++i) {
      const double expected = mean_by_definition(y, i, window, min_valid);
      const double got = mean[static_cast<std::size_t>(i)];
      if (std::isnan(expected))
        EXPECT_TRUE(std::isnan(got)) << "row " << i;
      else
        EXPECT_NEAR(got, expected, 1e-12 * (1 + std::abs(expected))) << "row " << i;
    }
  }
}

TEST(RollingMean, DoesNotDriftNorRememberASpike) {
  std::vector<double> y(200000, 0.1);
  y[500] = 1e18;  // a running sum with subtraction would carry its rounding (about 100) for ever
  const auto mean = rolling_mean(y.data(), static_cast<Index>(y.size()), 12, 0.5);
  for (std::size_t i = 512; i < y.size(); ++i) ASSERT_NEAR(mean[i], 0.1, 1e-16) << "row " << i;
}

TEST(RollingMean, InfinityIsInvalidAndWrongWindowIsRefused) {
  const std::vector<double> y = {1, INFINITY, 3};
  const auto mean = rolling_mean(y.data(), 3, 3, 0.5);
  EXPECT_TRUE(std::isnan(mean[0]));
  EXPECT_DOUBLE_EQ(mean[2], 2);
  EXPECT_THROW(rolling_mean(y.data(), 3, 0, 0.5), InputError);
}

TEST(RequiredValid, RoundsUpButNotByBinaryFractions) {
  EXPECT_EQ(required_valid(12, 0.5), 6);
  EXPECT_EQ(required_valid(10, 0.3), 3);
  EXPECT_EQ(required_valid(7, 0.5), 4);
  EXPECT_EQ(required_valid(5, 0), 1);
  EXPECT_EQ(required_valid(5, 1), 5);
}

TEST(LimitRows, HoldExactlyWhenTheRollingMeanHolds) {
  Rng rng(2);
  int judged = 0, above = 0;
  for (int round = 0; round < 2000; ++round) {
    const int n = static_cast<int>(rng.below(20)), horizon = 1 + static_cast<int>(rng.below(12));
    Limit limit;
    limit.output = static_cast<int>(rng.below(2));
    limit.window = 1 + static_cast<int>(rng.below(15));
    limit.limit = 100;
    limit.min_valid = rng.uniform();
    Matrix past(n, 2);
    for (double& v : past.values) v = rng.uniform() < 0.25 ? kMissing : 100 + 20 * rng.normal();
    std::vector<double> series;
    for (Index i = 0; i < n; ++i) series.push_back(past(i, limit.output));
    for (int t = 0; t < horizon; ++t) series.push_back(100 + 20 * rng.normal());

    const auto mean =
        rolling_mean(series.data(), static_cast<Index>(series.size()), limit.window, limit.min_valid);
    const auto rows = limit_rows({limit}, past, horizon);
    std::vector<bool> has_row(static_cast<std::size_t>(horizon), false);
    for (const LimitRow& row : rows) {
      has_row[static_cast<std::size_t>(row.end_step)] = true;
      ASSERT_EQ(static_cast<int>(row.coefficient.size()), row.end_step - row.first_step + 1);
      double lhs = 0;
      for (int t = row.first_step; t <= row.end_step; ++t)
        lhs += row.coefficient[static_cast<std::size_t>(t - row.first_step)] *
               series[static_cast<std::size_t>(n + t)];
      const double at_row = mean[static_cast<std::size_t>(n + row.end_step)];
      // Not only the sign: the row's distance to its bound is the mean's distance to the limit.
      EXPECT_NEAR(row.rhs - lhs, limit.limit - at_row, 1e-10);
      if (std::abs(at_row - limit.limit) > 1e-9) {
        EXPECT_EQ(lhs <= row.rhs, at_row <= limit.limit);
      }
      ++judged;
      above += at_row > limit.limit;
    }
    for (int t = 0; t < horizon; ++t)
      EXPECT_EQ(has_row[static_cast<std::size_t>(t)], !std::isnan(mean[static_cast<std::size_t>(n + t)]));
  }
  EXPECT_GT(judged, 5000);  // both outcomes were really met
  EXPECT_GT(above, 1000);
  EXPECT_LT(above, judged - 1000);
}

TEST(LimitRows, SpotLimitIgnoresThePast) {
  Limit limit;
  limit.limit = 50;
  Matrix past(4, 1, 1e6);
  const auto rows = limit_rows({limit}, past, 3);
  ASSERT_EQ(rows.size(), 3u);
  for (int t = 0; t < 3; ++t) {
    EXPECT_EQ(rows[static_cast<std::size_t>(t)].end_step, t);
    EXPECT_EQ(rows[static_cast<std::size_t>(t)].first_step, t);
    EXPECT_EQ(rows[static_cast<std::size_t>(t)].coefficient, std::vector<double>{1});
    EXPECT_EQ(rows[static_cast<std::size_t>(t)].rhs, 50);
  }
}

TEST(LimitRows, ExcursionInThePastLeavesLessRoom) {
  Limit limit;
  limit.limit = 100;
  limit.window = 4;
  Matrix calm(3, 1, 90.0), excursion(3, 1, 90.0);
  excursion(2, 0) = 130;
  // Window of 4 closing at step 0: 3 past rows, one future: y0/4 <= 100 - past/4.
  EXPECT_DOUBLE_EQ(limit_rows({limit}, calm, 1)[0].rhs, 100 - 270.0 / 4);
  EXPECT_DOUBLE_EQ(limit_rows({limit}, excursion, 1)[0].rhs, 100 - 310.0 / 4);
}

TEST(LimitRows, RefusesBadLimits) {
  const Matrix past(2, 2, 1.0);
  const auto refused = [&](auto change) {
    Limit limit;
    limit.name = "x";
    limit.limit = 1;
    change(limit);
    EXPECT_THROW(limit_rows({limit}, past, 4), InputError);
  };
  refused([](Limit& l) { l.output = 2; });
  refused([](Limit& l) { l.output = -1; });
  refused([](Limit& l) { l.limit = kMissing; });
  refused([](Limit& l) { l.window = 0; });
  refused([](Limit& l) { l.rank = 0; });
  refused([](Limit& l) { l.quantile = 1; });
  refused([](Limit& l) { l.min_valid = 1.5; });
  EXPECT_THROW(limit_rows({}, past, 0), InputError);
}

}  // namespace
}  // namespace emisopt
