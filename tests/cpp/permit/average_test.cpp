#include "emisopt/permit/average.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/rng.hpp"
#include "permit/evaluation_cases.hpp"

namespace emisopt::test {
namespace {

Rng& random() {
  static Rng rng(7);
  return rng;
}

// Hours of random levels, some without any sample.
Series hours(const char* first, int count, double gone = 0) {
  Series series;
  const Second begin = at(first);
  for (int h = 0; h < count; ++h) {
    const double level = random().uniform() < gone ? kMissing : 100 + 20 * random().normal();
    series.add(begin + h * kHour, begin + (h + 1) * kHour, level, 900);
  }
  return series;
}

std::shared_ptr<const Averages> averages(const Rule& rule, const Series& series, const Zone& zone = {}) {
  return only(rule, series, zone).averages;
}

TEST(Rolling, EqualsTheMeanOfTheValidHoursOfItsWindow) {
  const Series series = hours("2024-01-01", 500, 0.3);
  for (const int length : {2, 3, 24, 100}) {
    for (const double share : {0.25, 0.75, 1.0}) {
      const RuleResult result = only(averaged(Over::rolling, length * 3600, share), series);
      const Averages& base = *result.base;
      ASSERT_EQ(result.averages->size(), base.size());
      for (int i = 0; i < static_cast<int>(base.size()); ++i) {
        long double sum = 0;
        int valid = 0;
        for (int k = std::max(0, i - length + 1); k <= i; ++k)
          if (base.reason[static_cast<std::size_t>(k)] == Reason::valid) {
            sum += base.value[static_cast<std::size_t>(k)];
            ++valid;
          }
        const auto j = static_cast<std::size_t>(i);
        const bool counts = valid > 0 && valid >= share * length - 1e-9;
        EXPECT_EQ(result.averages->reason[j] == Reason::valid, counts) << i;
        EXPECT_EQ(result.averages->used[j], valid);
        if (counts)
          EXPECT_NEAR(result.averages->value[j], static_cast<double>(sum / valid), 1e-12);
        else
          EXPECT_TRUE(std::isnan(result.averages->value[j]));
      }
    }
  }
}

TEST(Rolling, EqualsTheBlockThatEndsWithIt) {
  const Series series = hours("2024-01-01", 24 * 20, 0.1);
  const auto rolling = averages(averaged(Over::rolling, 86400, 0.5), series);
  const auto blocks = averages(averaged(Over::block, 86400, 0.5), series);
  const auto days = averages(averaged(Over::day, 0, 0.5), series);
  ASSERT_EQ(blocks->size(), 20u);
  EXPECT_EQ(blocks->value, days->value);
  int met = 0;
  for (std::size_t i = 0; i < rolling->size(); ++i)
    for (std::size_t b = 0; b < blocks->size(); ++b)
      if (rolling->windows->end[i] == blocks->windows->end[b]) {
        EXPECT_EQ(rolling->value[i], blocks->value[b]);  // the same bits
        EXPECT_EQ(rolling->reason[i], blocks->reason[b]);
        ++met;
      }
  EXPECT_EQ(met, 20);
}

TEST(Rolling, AMonthsLastHourIsTheWholeMonth) {
  const Series series = hours("2024-02-01", 29 * 24, 0.05);
  const auto month = averages(averaged(Over::month, 0, 0.5), series);
  const auto rolling = averages(averaged(Over::rolling, 29 * 86400, 0.5), series);
  ASSERT_EQ(month->size(), 1u);
  EXPECT_EQ(month->value[0], rolling->value.back());
  EXPECT_EQ(month->windows->end[0] - month->windows->begin[0], 29 * kDay);
}

TEST(Day, Has23Or25HoursWhereTheClockChanges) {
  const auto day = [](const char* first, int count) {
    Series series;
    for (int h = 0; h < count; ++h)
      series.add(at(first, 23) + h * kHour, at(first, 23) + (h + 1) * kHour, h, 900);
    return averages(averaged(Over::day, 0, 1.0), series, berlin());
  };
  const auto spring = day("2024-03-30", 23);
  ASSERT_EQ(spring->size(), 1u);
  EXPECT_EQ(spring->used[0], 23);
  EXPECT_EQ(spring->reason[0], Reason::valid);
  EXPECT_DOUBLE_EQ(spring->value[0], 11);
  Series series;
  for (int h = 0; h < 25; ++h)
    series.add(at("2024-10-26", 22) + h * kHour, at("2024-10-26", 22) + (h + 1) * kHour, h, 900);
  const auto autumn = averages(averaged(Over::day, 0, 1.0), series, berlin());
  ASSERT_EQ(autumn->size(), 1u);
  EXPECT_EQ(autumn->used[0], 25);
  EXPECT_DOUBLE_EQ(autumn->value[0], 12);
}

TEST(Zone, ShiftingItChangesNothingForRulesThatDoNotDependOnIt) {
  const Series series = hours("2024-03-20", 24 * 30, 0.2);
  const Zone east{.name = "x", .offset_s = {9 * 3600}};
  for (const Rule& rule :
       {hourly(), averaged(Over::rolling, 3 * 3600, 0.6), averaged(Over::operating_periods, 4, 0.5)}) {
    const auto plain = averages(rule, series);
    for (const Zone& zone : {berlin(), east}) {
      const auto shifted = averages(rule, series, zone);
      EXPECT_EQ(plain->windows->end, shifted->windows->end);
      EXPECT_EQ(plain->reason, shifted->reason);
      for (std::size_t i = 0; i < plain->size(); ++i)
        EXPECT_TRUE(plain->value[i] == shifted->value[i] || std::isnan(plain->value[i]));
    }
  }
}

TEST(Day, IsInvalidWithMoreInvalidHoursThanItBears) {
  Rule rule = averaged(Over::day, 0, 0);
  rule.average.min_share = -1;
  rule.average.max_invalid = 3;
  for (const int gone : {0, 3, 4}) {
    Series series;
    for (int h = 0; h < 24; ++h)
      series.add(at("2024-05-05", h), at("2024-05-05", h) + kHour, h < gone ? kMissing : 100.0, 900);
    const auto day = averages(rule, series);
    EXPECT_EQ(day->reason[0], gone > 3 ? Reason::too_many_invalid : Reason::valid) << gone;
    EXPECT_EQ(std::isnan(day->value[0]), gone > 3);
  }
}

TEST(Day, HoursThatTheDataDoNotReachAreNotTakenAsValid) {
  Series series;  // begins at 06:00
  series.add(at("2024-05-05", 6), at("2024-05-07"), 100, 900);
  const auto days = averages(averaged(Over::day, 0, 0.9), series);
  ASSERT_EQ(days->size(), 2u);
  EXPECT_EQ(days->reason[0], Reason::too_few);
  EXPECT_EQ(days->windows->begin[0], at("2024-05-05"));
  EXPECT_EQ(days->reason[1], Reason::valid);
}

TEST(Day, AShareCanBeOfTheHoursOfOperation) {
  Series series;
  series.add(at("2024-05-05"), at("2024-05-06"), 100, 900);
  series.plant.assign(96, static_cast<std::uint8_t>(PlantState::off));
  std::fill_n(series.plant.begin(), 40, static_cast<std::uint8_t>(PlantState::on));  // 10 hours
  std::fill_n(series.value.begin(), 8, kMissing);                                    // 2 of them without data
  Rule rule = averaged(Over::day, 0, 0.75);
  EXPECT_EQ(averages(rule, series)->reason[0], Reason::too_few);
  rule.average.of_operation = true;
  EXPECT_EQ(averages(rule, series)->reason[0], Reason::valid);
  rule.average.min_share = 0.81;
  EXPECT_EQ(averages(rule, series)->reason[0], Reason::too_few);
}

// Days of which each runs so many hours, all at one level.
Series campaign(const std::vector<std::pair<int, double>>& days) {
  Series series;
  for (std::size_t d = 0; d < days.size(); ++d) {
    const Second begin = at("2024-05-01") + static_cast<Second>(d) * kDay;
    series.add(begin, begin + kDay, days[d].second, 900);
    for (int i = 0; i < 96; ++i)
      series.plant.push_back(
          static_cast<std::uint8_t>(i < 4 * days[d].first ? PlantState::on : PlantState::off));
  }
  return series;
}

TEST(OperatingDays, AverageAllHoursOfTheLastDaysOfOperation) {
  const Series series = campaign({{24, 100}, {0, 999}, {12, 200}, {0, 999}, {1, 300}, {24, 50}});
  const auto out = averages(averaged(Over::operating_days, 3, 0.5), series);
  ASSERT_EQ(out->size(), 4u);  // one for each day of operation
  EXPECT_EQ(out->reason[0], Reason::incomplete);
  EXPECT_EQ(out->reason[1], Reason::incomplete);
  EXPECT_DOUBLE_EQ(out->value[2], (24 * 100 + 12 * 200 + 300) / 37.0);
  EXPECT_DOUBLE_EQ(out->value[3], (12 * 200 + 300 + 24 * 50) / 37.0);
  EXPECT_EQ(out->windows->begin[3], at("2024-05-03"));
  EXPECT_EQ(out->windows->end[3], at("2024-05-07"));
}

TEST(OperatingPeriods, CountHoursOfOperationOnly) {
  const Series series = campaign({{2, 100}, {2, 400}});
  const auto out = averages(averaged(Over::operating_periods, 3, 1.0), series);
  ASSERT_EQ(out->size(), 4u);
  EXPECT_EQ(out->reason[1], Reason::incomplete);
  EXPECT_DOUBLE_EQ(out->value[2], 200);
  EXPECT_DOUBLE_EQ(out->value[3], 300);
  EXPECT_EQ(out->windows->begin[3], at("2024-05-01", 1));
}

TEST(Averages, AConfidenceIntervalIsSubtractedAndNothingIsClipped) {
  Rule rule = averaged(Over::day, 0, 0.5, 200);
  rule.confidence_percent = 20;
  rule.confidence_of = 200;
  Series series;
  series.add(at("2024-05-05"), at("2024-05-06"), 230, 900);
  series.add(at("2024-05-06"), at("2024-05-07"), 15, 900);
  const RuleResult result = only(rule, series);
  EXPECT_DOUBLE_EQ(result.averages->value[0], 190);
  EXPECT_DOUBLE_EQ(result.averages->value[1], -25);
  EXPECT_EQ(result.above, 0);
  EXPECT_DOUBLE_EQ(result.base->value[0], 230);  // as measured
}

}  // namespace
}  // namespace emisopt::test
