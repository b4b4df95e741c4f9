#include "emisopt/permit/substitution.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <numeric>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

using Method = SubstitutionMethod;

SubstitutionRule so2() {
  SubstitutionRule rule;
  rule.max_potential = 2500;
  return rule;
}

// ---- one tier: the reference's fixture, lookback 1..720, hour before 100, hour after 140 ------------------

SubstitutedHour tier(double availability, Index gap_hours, const SubstitutionRule& rule = so2()) {
  std::vector<double> lookback(720);
  std::iota(lookback.begin(), lookback.end(), 1);
  SubstitutedHour hour;
  hour.availability = availability;
  hour.gap_hours = gap_hours;
  hour.before = 100;
  hour.after = 140;
  apply_tier(hour, lookback, rule);
  return hour;
}

TEST(Substitution, TiersOfTheReference) {
  EXPECT_EQ(tier(96, 10).value, 120);
  EXPECT_EQ(tier(96, 10).method, Method::before_after);
  EXPECT_EQ(tier(96, 24).value, 120);
  EXPECT_EQ(tier(96, 25).value, 648);
  EXPECT_EQ(tier(96, 30).value, 648);
  EXPECT_EQ(tier(96, 30).method, Method::percentile_90);
  EXPECT_EQ(tier(92, 8).value, 120);
  EXPECT_EQ(tier(92, 9).value, 684);
  EXPECT_EQ(tier(92, 9).method, Method::percentile_95);
  EXPECT_EQ(tier(85, 1).value, 720);
  EXPECT_EQ(tier(85, 1).method, Method::maximum);
  EXPECT_EQ(tier(79, 1).value, 2500);
  EXPECT_EQ(tier(79, 1).method, Method::max_potential);
}

TEST(Substitution, TheLinearConventionIsThatOfSpreadsheets) {
  SubstitutionRule linear = so2();
  linear.convention = PercentileConvention::linear;
  EXPECT_NEAR(tier(96, 30, linear).value, 648.1, 1e-9);
  EXPECT_NEAR(tier(92, 9, linear).value, 684.05, 1e-9);
}

TEST(Substitution, TierBoundariesBelongToTheBetterTier) {
  EXPECT_EQ(tier(95, 10).method, Method::before_after);
  EXPECT_EQ(tier(95, 24).value, 120);
  EXPECT_EQ(tier(std::nextafter(95, 0), 24).value, 684);
  EXPECT_EQ(tier(90, 9).method, Method::percentile_95);
  EXPECT_EQ(tier(std::nextafter(90, 0), 1).method, Method::maximum);
  EXPECT_EQ(tier(80, 1).method, Method::maximum);
  EXPECT_EQ(tier(std::nextafter(80, 0), 1).method, Method::max_potential);
}

TEST(Substitution, TheGreaterOfPercentileAndNeighboursIsTaken) {
  std::vector<double> lookback(720, 50);
  SubstitutedHour hour;
  hour.availability = 97;
  hour.gap_hours = 48;
  hour.before = 100, hour.after = 140;
  apply_tier(hour, lookback, so2());
  EXPECT_EQ(hour.value, 120);
  EXPECT_EQ(hour.method, Method::before_after);
  EXPECT_EQ(hour.lookback_value, 50);  // the record shows what it was compared with
}

TEST(Percentile, NearestRankTakesAValueAndNeverInterpolates) {
  std::vector<double> v = {5, 1, 4, 2, 3};
  const auto nearest = [&](int p) { return percentile(v, p, PercentileConvention::nearest_rank); };
  EXPECT_EQ(nearest(1), 1);
  EXPECT_EQ(nearest(20), 1);
  EXPECT_EQ(nearest(21), 2);
  EXPECT_EQ(nearest(90), 5);
  EXPECT_EQ(nearest(100), 5);
  EXPECT_EQ(percentile(v, 50, PercentileConvention::linear), 3);
  EXPECT_NEAR(percentile(v, 90, PercentileConvention::linear), 4.6, 1e-12);
  std::vector<double> none;
  EXPECT_THROW(percentile(none, 90, PercentileConvention::linear), InputError);
  EXPECT_THROW(percentile(v, 0, PercentileConvention::linear), InputError);
}

// ---- series -----------------------------------------------------------------------------------------------

std::vector<char> all(std::size_t n) { return std::vector<char>(n, 1); }

Substitution run(const std::vector<double>& values, const SubstitutionRule& rule = so2()) {
  return substitute_missing(values, all(values.size()), {}, {}, rule, {});
}

TEST(Substitution, InTheInitialPeriodTheNeighboursDecide) {
  const auto s = run({kMissing, 100, kMissing, kMissing, 140, kMissing});
  EXPECT_EQ(s.values[0], 2500);  // nothing came before: 75.31(b)(2)
  EXPECT_EQ(s.hours[0].method, Method::max_potential);
  EXPECT_EQ(s.values[2], 120);  // an availability of 33 % does not matter yet
  EXPECT_EQ(s.values[3], 120);
  EXPECT_EQ(s.hours[1].before_row, 1);
  EXPECT_EQ(s.hours[1].after_row, 4);
  EXPECT_TRUE(std::isnan(s.values[5]));  // the hour after is still to come
  EXPECT_EQ(s.hours[3].method, Method::pending);
  EXPECT_EQ(s.hours.size(), 4u);
}

// 720 hours 1..720, then gaps: the record must show availability, length, lookback and percentile.
std::vector<double> counted(std::size_t gap, double after) {
  std::vector<double> v(720);
  std::iota(v.begin(), v.end(), 1);
  v.insert(v.end(), gap, kMissing);
  v.push_back(after);
  return v;
}

TEST(Substitution, AfterTheInitialPeriodTheAvailabilityOfEachHourDecides) {
  // Gap of 60 h after 720: the availability falls from 99.9 through 95 (at the 37.9th hour) to 92.3 %.
  const auto s = run(counted(60, 100));
  ASSERT_EQ(s.hours.size(), 60u);
  EXPECT_DOUBLE_EQ(s.hours[0].availability, 100.0 * 720 / 721);
  EXPECT_EQ(s.hours[0].method, Method::percentile_90);
  EXPECT_EQ(s.hours[0].value, 648);
  EXPECT_EQ(s.hours[36].value, 648);  // 720/757 = 95.1 %
  EXPECT_EQ(s.hours[37].value, 684);  // 720/758 = 94.99 %
  EXPECT_EQ(s.hours[59].method, Method::percentile_95);
  EXPECT_EQ(s.hours[59].gap_first, 720);
  EXPECT_EQ(s.hours[59].gap_hours, 60);
  EXPECT_EQ(s.hours[59].lookback_first, 0);
  EXPECT_EQ(s.hours[59].lookback_last, 719);
  EXPECT_EQ(s.hours[59].lookback_count, 720);
  EXPECT_EQ(s.hours[59].before, 720);
  EXPECT_EQ(s.hours[59].after, 100);
}

TEST(Substitution, LongGapsFallToTheMaximumAndThePotential) {
  const auto s = run(counted(300, 100));
  EXPECT_EQ(s.hours[80].method, Method::maximum);  // 720/801 = 89.9 %
  EXPECT_EQ(s.hours[80].value, 720);
  EXPECT_EQ(s.hours[180].method, Method::max_potential);  // 720/901 = 79.9 %
  EXPECT_EQ(s.hours[180].value, 2500);
}

TEST(Substitution, AnOpenGapIsPendingWhereTheHourAfterDecidesAndFilledWhereItDoesNot) {
  auto values = counted(300, 100);
  values.pop_back();
  const auto s = run(values);
  EXPECT_EQ(s.hours[0].method, Method::pending);
  EXPECT_TRUE(std::isnan(s.values[720]));
  EXPECT_EQ(s.hours[80].value, 720);
  EXPECT_EQ(s.hours[180].value, 2500);
}

TEST(Substitution, TheLookbackHoldsTheLast720AssuredHoursAndNoSubstitutes) {
  // 1000 hours of 500 and 10 missing, then 715 of 1..715, a gap of one hour, its neighbour, and a long gap.
  std::vector<double> values(1000, 500);
  values.insert(values.end(), 10, kMissing);
  for (int i = 1; i <= 715; ++i) values.push_back(i);
  values.push_back(kMissing);
  values.push_back(600);
  values.insert(values.end(), 30, kMissing);
  values.push_back(1);
  const auto s = run(values);
  const SubstitutedHour& last = s.hours.back();
  EXPECT_EQ(last.lookback_count, 720);
  EXPECT_EQ(last.lookback_last, 1726);
  EXPECT_EQ(last.lookback_first, 996);  // 716 young hours and four before the gap of ten
  EXPECT_GE(last.availability, 95);
  // Values: 1..715, 600 once more, four times 500; the 648th of 720 sorted.
  std::vector<double> expected(values.begin() + 1010, values.begin() + 1725);
  expected.insert(expected.end(), {600, 500, 500, 500, 500});
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(last.value, expected[647]);
}

TEST(Substitution, NothingOlderThanThreeYearsIsLookedAt) {
  SubstitutionRule rule = so2();
  rule.lookback_hours = 6;
  rule.availability.oldest_hours = 10;
  // High values, a long stop, few young ones, a gap in the tier of the maximum.
  std::vector<double> values = {900, 900, 900, 900, 900, 900};
  std::vector<char> operating(6, 1);
  values.insert(values.end(), 12, kMissing);
  operating.insert(operating.end(), 12, 0);
  for (const double v : {10.0, 11.0, 12.0, 13.0, 14.0, 15.0, kMissing, 16.0})
    values.push_back(v), operating.push_back(1);
  const auto s = substitute_missing(values, operating, {}, {}, rule, {});
  ASSERT_EQ(s.hours.size(), 1u);
  EXPECT_DOUBLE_EQ(s.hours[0].availability, 100.0 * 6 / 7);  // the last three "years" only
  EXPECT_EQ(s.hours[0].value, 15);
  EXPECT_EQ(s.hours[0].lookback_first, 18);
}

TEST(Substitution, HoursWithoutOperationNeitherCountNorEndAGap) {
  std::vector<double> values = counted(30, 100);
  std::vector<char> operating = all(values.size());
  for (std::size_t i = 722; i < 740; ++i) operating[i] = 0;  // 12 of the 30 missing hours ran
  auto s = substitute_missing(values, operating, {}, {}, so2(), {});
  EXPECT_EQ(s.hours.size(), 12u);
  EXPECT_EQ(s.hours[0].gap_hours, 12);
  EXPECT_EQ(s.hours[0].value, (720 + 100) / 2.0);
  EXPECT_TRUE(std::isnan(s.values[730]));
  SubstitutionRule clock = so2();
  clock.count_operating_hours = false;
  s = substitute_missing(values, operating, {}, {}, clock, {});
  EXPECT_EQ(s.hours[0].gap_hours, 30);
  EXPECT_EQ(s.hours[0].value, 648);
}

TEST(Substitution, AValueThatIsNotAssuredIsReplacedAndKeptInTheRecord) {
  std::vector<double> values = {100, 999, 140};
  const auto s = substitute_missing(values, all(3), {1, 0, 1}, {}, so2(), {});
  EXPECT_EQ(s.values[1], 120);
  EXPECT_EQ(s.hours[0].original, 999);
  EXPECT_EQ(remove_substitution(s.values, s.hours, {}), values);
}

// What is not counted is not judged: a zero drift while the unit stands still, a reading put aside.
TEST(Substitution, OnlyCountedValuesAreChecked) {
  const std::vector<double> values = {100, -0.5, -3, 140};
  const auto s = substitute_missing(values, {1, 0, 1, 1}, {1, 1, 0, 1}, {}, so2(), {});
  EXPECT_EQ(s.values[1], -0.5);
  EXPECT_EQ(s.values[2], 120);
  EXPECT_EQ(remove_substitution(s.values, s.hours, {}), values);
}

// ---- removing ---------------------------------------------------------------------------------------------

TEST(Substitution, SubstitutingThenRemovingIsTheIdentity) {
  Rng rng(7);
  for (int round = 0; round < 400; ++round) {
    SubstitutionRule rule = so2();
    rule.lookback_hours = static_cast<int>(1 + rng.below(30));
    rule.availability.operating_hours = 1 + rng.below(40);
    rule.availability.oldest_hours = 1 + rng.below(120);
    rule.load_ranges = round % 3 == 0;
    rule.allow_unverified = true;
    const auto n = static_cast<std::size_t>(rng.below(200));
    const double missing = rng.uniform() * 0.6;
    std::vector<double> values(n);
    std::vector<char> operating(n), assured(n);
    std::vector<int> range(n);
    for (std::size_t i = 0; i < n; ++i) {
      values[i] = rng.uniform() < missing ? kMissing : std::floor(rng.uniform(0, 300));
      operating[i] = rng.uniform() < 0.9;
      assured[i] = rng.uniform() < 0.9;
      range[i] = static_cast<int>(rng.below(4));
    }
    const auto s = substitute_missing(values, operating, assured, range, rule, {});
    for (std::size_t i = 0; i < n; ++i) {
      const bool good = operating[i] && assured[i] && !std::isnan(values[i]);
      if (good) {
        EXPECT_EQ(s.values[i], values[i]);
      }
      if (!operating[i]) {
        EXPECT_EQ(std::isnan(s.values[i]), std::isnan(values[i]));
      }
    }
    for (const SubstitutedHour& hour : s.hours) {
      EXPECT_EQ(std::isnan(hour.value), hour.method == Method::pending);
      EXPECT_EQ(hour.verified, !rule.load_ranges);
      EXPECT_FALSE(hour.value > rule.max_potential);
    }
    const auto back = remove_substitution(s.values, s.hours, {});
    ASSERT_EQ(back.size(), n);
    for (std::size_t i = 0; i < n; ++i)
      EXPECT_EQ(std::bit_cast<std::uint64_t>(back[i]), std::bit_cast<std::uint64_t>(values[i]));
  }
}

TEST(Substitution, RemovingNoticesAChangedValue) {
  auto s = run({100, kMissing, 140});
  s.values[1] = 121;
  EXPECT_THROW(remove_substitution(s.values, s.hours, {}), InputError);
  s.hours[0].row = 3;
  EXPECT_THROW(remove_substitution(s.values, s.hours, {}), InputError);
}

// A later look at more data must not change what was substituted, once its gap is closed.
TEST(Substitution, ClosedGapsKeepTheirValuesWhenMoreHoursCome) {
  Rng rng(8);
  std::vector<double> values(1200);
  for (double& v : values) v = rng.uniform() < 0.04 ? kMissing : rng.uniform(50, 150);
  values[999] = 100;  // closes whatever gap there is
  const auto full = run(values);
  const auto part = run({values.begin(), values.begin() + 1000});
  for (std::size_t i = 0; i < 1000; ++i) EXPECT_EQ(part.values[i], full.values[i]);
}

// ---- refusals ---------------------------------------------------------------------------------------------

TEST(Substitution, LoadRangesAreRefusedUnlessTheUserAccepts) {
  SubstitutionRule rule = so2();
  rule.load_ranges = true;
  const std::vector<double> values = {1, kMissing, 3};
  try {
    substitute_missing(values, all(3), {}, {0, 0, 0}, rule, {});
    FAIL();
  } catch (const InputError& e) {
    EXPECT_NE(std::string(e.what()).find("only recalled"), std::string::npos);
  }
  rule.allow_unverified = true;
  const auto s = substitute_missing(values, all(3), {}, {0, 0, 0}, rule, {});
  EXPECT_EQ(s.values[1], 1);  // the mean of the load range so far
  EXPECT_EQ(s.hours[0].method, Method::range_average);
  EXPECT_FALSE(s.hours[0].verified);
}

TEST(Substitution, LoadRangeWithoutDataTakesTheNextHigherOne) {
  SubstitutionRule rule = so2();
  rule.load_ranges = rule.allow_unverified = true;
  const std::vector<double> values = {10, 20, 30, kMissing, kMissing, kMissing, 5};
  const auto s = substitute_missing(values, all(7), {}, {1, 3, 3, 1, 2, 4, 1}, rule, {});
  EXPECT_EQ(s.values[3], 10);
  EXPECT_EQ(s.values[4], 25);
  EXPECT_EQ(s.values[5], 2500);
}

TEST(Substitution, RefusesBadRowsAndRules) {
  const auto text = [](std::vector<double> values, SubstitutionRule rule, std::vector<char> operating,
                       std::vector<int> range, std::vector<double> time) -> std::string {
    try {
      substitute_missing(values, operating, {}, range, rule, {"so2", time.empty() ? nullptr : time.data()});
    } catch (const InputError& e) {
      return e.what();
    }
    return "nothing was refused";
  };
  const std::vector<double> good = {1, 2, 3};
  EXPECT_EQ(text({1, -2, 3}, so2(), all(3), {}, {}),
            "substitution: tag 'so2', row 1: expected a finite value >= 0, got -2");
  EXPECT_EQ(text({1, INFINITY, 3}, so2(), all(3), {}, {}),
            "substitution: tag 'so2', row 1: expected a finite value >= 0, got inf");
  EXPECT_EQ(
      text(good, so2(), all(3), {}, {0, 3600, 10800}),
      "substitution: tag 'so2', row 2 (1970-01-01 03:00:00 UTC): expected one hour after the row before "
      "(put missing hours in as NaN), got 7200");
  EXPECT_NE(text(good, so2(), all(2), {}, {}).find("substitution(operating)"), std::string::npos);
  EXPECT_NE(text(good, so2(), all(3), {1}, {}).find("substitution(load_range)"), std::string::npos);
  EXPECT_NE(text(good, {}, all(3), {}, {}).find("expected a finite max_potential > 0"), std::string::npos);
  SubstitutionRule rule = so2();
  rule.lookback_hours = 0;
  EXPECT_NE(text(good, rule, all(3), {}, {}).find("lookback_hours"), std::string::npos);
  rule = so2();
  rule.load_ranges = rule.allow_unverified = true;
  EXPECT_NE(text(good, rule, all(3), {}, {}).find("expected the load range"), std::string::npos);
  EXPECT_NE(text(good, rule, all(3), {0, -1, 0}, {}).find("row 1: expected a load range >= 0"),
            std::string::npos);
}

}  // namespace
}  // namespace emisopt
