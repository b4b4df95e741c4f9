#include "emisopt/plant/surroundings.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace emisopt {
namespace {

TEST(ValueNoise, HasUnitVarianceAndForgetsNoOrder) {
  ValueNoise a(1, 2, 100), b(1, 2, 100);
  double sum = 0, squares = 0;
  const int n = 40000;
  for (int i = 0; i < n; ++i) {
    const double v = a.at(37.0 * i);
    sum += v;
    squares += v * v;
  }
  EXPECT_NEAR(sum / n, 0, 0.05);
  EXPECT_NEAR(squares / n, 1, 0.07);
  const double late = b.at(1e6), early = b.at(12.5);  // asked out of order, and before time 0
  ValueNoise c(1, 2, 100);
  EXPECT_EQ(c.at(12.5), early);
  EXPECT_EQ(c.at(1e6), late);
  EXPECT_TRUE(std::isfinite(c.at(-12345.0)));
}

TEST(Surroundings, LoadHasTwoPeaksAndALowerWeekend) {
  double night = 0, morning = 0, noon = 0, evening = 0, week = 0, weekend = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Surroundings s(seed);
    night += s.dispatch(3.0 * 3600) / 20;
    morning += s.dispatch(9.0 * 3600) / 20;
    noon += s.dispatch(14.0 * 3600) / 20;
    evening += s.dispatch(18.5 * 3600) / 20;
    for (int h = 0; h < 24; ++h) {
      week += s.dispatch((24 * 2 + h) * 3600.0);
      weekend += s.dispatch((24 * 6 + h) * 3600.0);
    }
  }
  EXPECT_LT(night, 0.62);
  EXPECT_GT(morning, noon + 0.05);
  EXPECT_GT(evening, noon + 0.05);
  EXPECT_LT(weekend, 0.95 * week);
}

TEST(Surroundings, AllGradesComeInMonthsAndCampaignsLast) {
  Surroundings s(11);
  std::set<int> seen;
  int changes = 0, before = s.grade(0);
  for (int r = 0; r < 90 * 288; ++r) {
    const int g = s.grade(300.0 * r);
    seen.insert(g);
    changes += g != before;
    before = g;
  }
  EXPECT_EQ(seen.size(), 3u);
  EXPECT_GT(changes, 25);
  EXPECT_LT(changes, 90);  // at most one delivery a day
}

TEST(Surroundings, AFuelPlanOverridesDeliveries) {
  Surroundings s(11, {{0, 1}, {1000, 2}});
  EXPECT_EQ(s.grade(-5), 1);
  EXPECT_EQ(s.grade(999), 1);
  EXPECT_EQ(s.grade(1000), 2);
}

}  // namespace
}  // namespace emisopt
