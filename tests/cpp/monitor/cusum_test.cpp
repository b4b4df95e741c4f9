#include "emisopt/monitor/cusum.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "monitor/drift_cases.hpp"

namespace emisopt {
namespace {

TEST(Cusum, FollowsItsRecursion) {
  const CusumOptions options{0.5, 4};
  Cusum cusum(options);
  Rng rng(8);
  double up = 0, down = 0;
  bool before = false;
  for (int i = 0; i < 20000; ++i) {
    const double x = rng.normal();
    if (before) up = down = 0;
    up = std::max(0.0, up + (x - options.slack));
    down = std::max(0.0, down - (x + options.slack));
    before = up > options.limit || down > options.limit;
    ASSERT_EQ(cusum.update(options, x), before) << i;
    ASSERT_EQ(cusum.statistic(), std::max(up, down)) << i;
  }
}

// 0.6 a row above the slack exceeds 5 with the ninth; the estimate of the shift is exact for a constant one.
TEST(Cusum, TellsSizeAndDelayOfAStep) {
  for (const double sign : {1.0, -1.0}) {
    std::vector<double> values(30, 0.0);
    for (std::size_t i = 10; i < 30; ++i) values[i] = sign * 1.1;
    DriftBank bank(CusumOptions{0.5, 5}, {"x"});
    const auto alarms = bank.push({values.data(), 30, 1, 1, 1});
    ASSERT_EQ(alarms.size(), 2u);
    EXPECT_EQ(alarms[0].row, 18);
    EXPECT_EQ(alarms[0].alarm.direction, sign);
    EXPECT_NEAR(alarms[0].alarm.size, sign * 1.1, 1e-12);
    EXPECT_EQ(alarms[0].alarm.delay, 9);
    EXPECT_EQ(alarms[1].row, 27);  // it began anew
  }
}

TEST(Cusum, HugeValuesAlarmAndLeaveNothingBehind) {
  const CusumOptions options;
  Cusum cusum(options);
  EXPECT_TRUE(cusum.update(options, 1.7e308));
  EXPECT_FALSE(cusum.update(options, 0));
  EXPECT_EQ(cusum.statistic(), 0);
}

TEST(Cusum, RefusesEachWrongOption) {
  EXPECT_THROW((CusumOptions{-0.1, 5}.validate()), InputError);
  EXPECT_THROW((CusumOptions{INFINITY, 5}.validate()), InputError);
  EXPECT_THROW((CusumOptions{0.5, 0}.validate()), InputError);
  EXPECT_THROW((CusumOptions{0.5, kMissing}.validate()), InputError);
}

}  // namespace
}  // namespace emisopt
