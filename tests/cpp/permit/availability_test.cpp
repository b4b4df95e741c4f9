#include "emisopt/permit/availability.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

TEST(Availability, CountsSinceCertificationAtFirst) {
  const auto percent = monitor_availability({0, 1, 1, 0, 1, 1}, {0, 1, 0, 1, 1, 1});
  EXPECT_TRUE(std::isnan(percent[0]));
  EXPECT_EQ(percent[1], 100);
  EXPECT_EQ(percent[2], 50);
  EXPECT_EQ(percent[3], 50);  // not running: data then counts for nothing
  EXPECT_DOUBLE_EQ(percent[4], 200.0 / 3);
  EXPECT_EQ(percent[5], 75);
}

// 438 of 8,760 hours missing is 95.0 % exactly, and the tier of 95 % holds.
TEST(Availability, TheBoundaryOfATierIsExact) {
  std::vector<char> operating(8760, 1), assured(8760, 1);
  std::fill_n(assured.begin(), 438, 0);
  EXPECT_EQ(monitor_availability(operating, assured).back(), 95.0);
  assured[500] = 0;
  EXPECT_LT(monitor_availability(operating, assured).back(), 95.0);
}

TEST(Availability, AfterAYearTheLast8760OperatingHoursCount) {
  // 100 bad hours, then good ones: at 8,760 operating hours they still count, one hour later one less does.
  std::vector<char> operating(9000, 1), assured(9000, 1);
  std::fill_n(assured.begin(), 100, 0);
  const auto percent = monitor_availability(operating, assured);
  EXPECT_DOUBLE_EQ(percent[8758], 100.0 * 8659 / 8759);
  EXPECT_DOUBLE_EQ(percent[8759], 100.0 * 8660 / 8760);
  EXPECT_DOUBLE_EQ(percent[8760], 100.0 * 8661 / 8760);
  EXPECT_EQ(percent[8860], 100);
}

TEST(Availability, AfterThreeYearsOfLittleOperationTheseThreeYearsCount) {
  AvailabilityRule rule;
  rule.operating_hours = 10;
  rule.oldest_hours = 6;
  //                               0  1  2  3  4  5  6  7
  const std::vector<char> operating = {1, 1, 0, 1, 0, 1, 0, 1};
  const std::vector<char> assured = {0, 1, 0, 1, 0, 1, 0, 0};
  const auto percent = monitor_availability(operating, assured, rule);
  EXPECT_DOUBLE_EQ(percent[3], 100.0 * 2 / 3);
  EXPECT_DOUBLE_EQ(percent[5], 100.0 * 3 / 4);  // rows 0..5
  EXPECT_DOUBLE_EQ(percent[7], 100.0 * 2 / 3);  // rows 2..7: three ran, two had data
}

// The definition, counted anew for every hour.
TEST(Availability, EqualsTheDefinitionForAnyHistory) {
  Rng rng(1);
  for (int round = 0; round < 300; ++round) {
    AvailabilityRule rule;
    rule.operating_hours = 1 + rng.below(12);
    rule.oldest_hours = 1 + rng.below(30);
    const auto n = static_cast<std::size_t>(rng.below(60));
    const double runs = rng.uniform();
    std::vector<char> operating(n), assured(n);
    for (std::size_t i = 0; i < n; ++i) operating[i] = rng.uniform() < runs, assured[i] = rng.uniform() < 0.8;
    const auto percent = monitor_availability(operating, assured, rule);
    double before = kMissing;
    for (Index now = 0; now < static_cast<Index>(n); ++now) {
      Index lately = 0, all = 0, had = 0, window = 0, window_had = 0;
      for (Index i = now; i >= 0; --i) {
        const auto row = static_cast<std::size_t>(i);
        if (!operating[row]) continue;
        ++all;
        had += assured[row];
        if (window < rule.operating_hours) ++window, window_had += assured[row];
        if (i > now - rule.oldest_hours) ++lately;
      }
      double expected = before;
      if (operating[static_cast<std::size_t>(now)]) {
        if (lately >= rule.operating_hours) {
          expected = 100.0 * static_cast<double>(window_had) / static_cast<double>(rule.operating_hours);
        } else if (now + 1 >= rule.oldest_hours) {
          Index young_had = 0;
          for (Index i = now; i > now - rule.oldest_hours && i >= 0; --i)
            young_had += operating[static_cast<std::size_t>(i)] && assured[static_cast<std::size_t>(i)];
          expected = 100.0 * static_cast<double>(young_had) / static_cast<double>(lately);
        } else {
          expected = 100.0 * static_cast<double>(had) / static_cast<double>(all);
        }
      }
      if (std::isnan(expected))
        EXPECT_TRUE(std::isnan(percent[static_cast<std::size_t>(now)]));
      else
        EXPECT_NEAR(percent[static_cast<std::size_t>(now)], expected, 1e-12);
      before = expected;
    }
  }
}

TEST(Availability, RefusesBadArguments) {
  EXPECT_THROW(monitor_availability({1, 1}, {1}), ShapeError);
  AvailabilityRule rule;
  rule.operating_hours = 0;
  EXPECT_THROW(monitor_availability({1}, {1}, rule), InputError);
}

}  // namespace
}  // namespace emisopt
