#include "emisopt/permit/base_mean.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "permit/evaluation_cases.hpp"

namespace emisopt::test {
namespace {

const Second kNoon = at("2024-05-05", 12);

Reason reason_of(const Rule& rule, const Series& series, EvaluationOptions options = {.period_s = 60}) {
  return only(rule, series, {}, options).base->reason.at(0);
}

Rule with(Need need, int points = 0, double share = 0, bool of_operation = false) {
  Rule rule = hourly();
  rule.base.validity = {need, points, share, of_operation};
  return rule;
}

// ---- 40 CFR 60.13(h)(2): a share of minutes is not the rule ----------------------------------------------

TEST(Quadrants, Minutes0To44ArePresentAndTheHourIsInvalid) {
  Series series;
  series.add(kNoon, kNoon + 45 * 60, 100);
  series.add(kNoon + kHour, kNoon + kHour + 60, 100);
  EXPECT_EQ(reason_of(hourly(), series), Reason::quadrants);
}

TEST(Quadrants, FourSamplesOneInEachQuarterMakeAValidHour) {
  Series series;
  for (const int minute : {14, 15, 44, 59})
    series.add(kNoon + minute * 60, kNoon + minute * 60 + 60, 10.0 * minute);
  const RuleResult result = only(hourly(), series);
  EXPECT_EQ(result.base->reason.at(0), Reason::valid);
  EXPECT_DOUBLE_EQ(result.base->value.at(0), (140 + 150 + 440 + 590) / 4.0);
}

TEST(Quadrants, EachMissingQuarterInvalidates) {
  for (int gone = 0; gone < 4; ++gone) {
    Series series;
    series.add(kNoon, kNoon + kHour, 100);
    for (int minute = 15 * gone; minute < 15 * gone + 15; ++minute)
      series.value[static_cast<std::size_t>(minute)] = kMissing;
    EXPECT_EQ(reason_of(hourly(), series), Reason::quadrants) << gone;
    series.value[static_cast<std::size_t>(15 * gone + 7)] = 100;
    EXPECT_EQ(reason_of(hourly(), series), Reason::valid) << gone;
  }
}

Series calibrated(int first_valid, int second_valid, SampleStatus flag) {
  Series series;
  series.add(kNoon, kNoon + kHour, 100);
  series.status.assign(60, static_cast<std::uint8_t>(flag));
  series.status[static_cast<std::size_t>(first_valid)] = 0;
  series.status[static_cast<std::size_t>(second_valid)] = 0;
  return series;
}

TEST(Quadrants, AnHourOfCalibrationNeedsTwoSamples15MinutesApart) {
  for (const SampleStatus flag : {SampleStatus::calibration, SampleStatus::maintenance}) {
    EXPECT_EQ(reason_of(hourly(), calibrated(3, 18, flag)), Reason::valid);
    EXPECT_EQ(reason_of(hourly(), calibrated(3, 17, flag)), Reason::calibration);
  }
  EXPECT_EQ(reason_of(hourly(), calibrated(3, 18, SampleStatus::invalid)), Reason::quadrants);
}

TEST(Quadrants, CalibrationWhileTheUnitRanInOneQuarterNeedsOneSample) {
  Series series = calibrated(3, 4, SampleStatus::calibration);
  series.plant.assign(60, static_cast<std::uint8_t>(PlantState::off));
  std::fill_n(series.plant.begin(), 15, static_cast<std::uint8_t>(PlantState::on));
  EXPECT_EQ(reason_of(hourly(), series), Reason::valid);
  series.plant[20] = static_cast<std::uint8_t>(PlantState::on);
  EXPECT_EQ(reason_of(hourly(), series), Reason::calibration);
}

TEST(Quadrants, APartialHourNeedsASampleInEachQuarterOfOperation) {
  Series series;
  series.add(kNoon, kNoon + kHour, 100);
  series.plant.assign(60, static_cast<std::uint8_t>(PlantState::off));
  std::fill_n(series.plant.begin() + 25, 10, static_cast<std::uint8_t>(PlantState::on));  // quarters 2 and 3
  EXPECT_EQ(reason_of(hourly(), series), Reason::valid);
  std::fill_n(series.value.begin() + 25, 5, kMissing);  // all of quarter 2's operation
  EXPECT_EQ(reason_of(hourly(), series), Reason::quadrants);
}

TEST(Quadrants, AnHourWithoutOperationIsNoHour) {
  Series series;
  series.add(kNoon, kNoon + kHour, 100);
  series.plant.assign(60, static_cast<std::uint8_t>(PlantState::off));
  EXPECT_EQ(reason_of(hourly(), series), Reason::not_operating);
  EXPECT_EQ(only(hourly(), series).total, 0);
}

TEST(Quadrants, StatesThatTheRuleLeavesOutAreNotOperation) {
  Series series;
  series.add(kNoon, kNoon + kHour, 100);
  std::fill_n(series.value.begin(), 20, 900.0);
  series.plant.assign(60, static_cast<std::uint8_t>(PlantState::on));
  std::fill_n(series.plant.begin(), 20, static_cast<std::uint8_t>(PlantState::startup));
  EXPECT_DOUBLE_EQ(only(hourly(), series).base->value.at(0), (20 * 900 + 40 * 100) / 60.0);
  Rule rule = hourly();
  rule.exclude.startup = true;
  EXPECT_DOUBLE_EQ(only(rule, series).base->value.at(0), 100);
}

// ---- other validity rules --------------------------------------------------------------------------------

TEST(Validity, MunicipalWasteCombustorsNeedTwoPointsAnHour) {
  Series series;
  series.add(kNoon, kNoon + 60, 100);
  EXPECT_EQ(reason_of(with(Need::points, 2), series), Reason::points);
  series.add(kNoon + 60, kNoon + 120, 100);
  EXPECT_EQ(reason_of(with(Need::points, 2), series), Reason::valid);
}

TEST(Validity, AShareIsOfThePeriodOrOfItsOperation) {
  Series series;
  series.add(kNoon, kNoon + kHour, 100);
  series.plant.assign(60, static_cast<std::uint8_t>(PlantState::on));
  std::fill_n(series.plant.begin(), 20,
              static_cast<std::uint8_t>(PlantState::off));  // 40 minutes of operation
  std::fill_n(series.value.begin() + 20, 10, kMissing);     // 30 valid
  EXPECT_EQ(reason_of(with(Need::share, 0, 0.75), series), Reason::share);
  EXPECT_EQ(reason_of(with(Need::share, 0, 0.5), series), Reason::valid);
  EXPECT_EQ(reason_of(with(Need::share, 0, 0.75, true), series), Reason::valid);
  EXPECT_EQ(reason_of(with(Need::share, 0, 0.76, true), series), Reason::share);
}

TEST(Validity, AShareNeedsTheSamplePeriod) {
  Series series;
  series.add(kNoon, kNoon + kHour, 100);
  EXPECT_THROW(only(with(Need::share, 0, 0.5), series, {}, {}), InputError);
}

TEST(Validity, HoursWithoutRowsAreHoursWithoutData) {
  Series series;
  series.add(kNoon, kNoon + kHour, 100);
  series.add(kNoon + 3 * kHour, kNoon + 4 * kHour, 100);
  const RuleResult result = only(hourly(), series);
  ASSERT_EQ(result.base->size(), 4u);
  EXPECT_EQ(result.base->reason[1], Reason::no_data);
  EXPECT_TRUE(std::isnan(result.base->value[1]));  // missing, never 0
  EXPECT_EQ(result.base->reason[3], Reason::valid);
  EXPECT_EQ(result.base->windows->begin[2], kNoon + 2 * kHour);
}

TEST(BaseMean, AStampMayBeTheEndOfItsSample) {
  Series series;  // stamped 12:01 to 13:00: the minutes of the hour from 12:00
  series.add(kNoon + 60, kNoon + kHour + 60, 100);
  const RuleResult ends = only(hourly(), series, {}, {.period_s = 60, .stamp = Stamp::end});
  ASSERT_EQ(ends.base->size(), 1u);
  EXPECT_EQ(ends.base->windows->begin[0], kNoon);
  EXPECT_EQ(only(hourly(), series).base->size(), 2u);
}

TEST(BaseMean, EachSampleCanBeItsOwn) {
  Rule rule = hourly();
  rule.base = {};
  rule.base.length_s = 0;
  Series series;
  series.add(kNoon, kNoon + 300, 100);
  series.value[3] = 250;
  const RuleResult result = only(rule, series);
  EXPECT_EQ(result.total, 5);
  EXPECT_EQ(result.above, 1);
  EXPECT_DOUBLE_EQ(result.hours_above, 1 / 60.0);
  EXPECT_THROW(only(rule, series, {}, {.period_s = 7}), InputError);
}

// ---- oxygen ----------------------------------------------------------------------------------------------

Evaluation corrected(const Rule& rule, const std::vector<double>& value, const std::vector<double>& oxygen) {
  Permit permit = permit_of({rule});
  permit.signals[0].oxygen_tag = "o2";
  std::vector<double> time;
  for (std::size_t i = 0; i < value.size(); ++i)
    time.push_back(static_cast<double>(kNoon) + 900.0 * static_cast<double>(i));
  Samples s;
  s.rows = static_cast<Index>(time.size());
  s.time = time.data();
  s.columns = {value.data(), oxygen.data()};
  return evaluate(permit, {}, {"nox", "o2"}, {}, {.period_s = 900}, s);
}

Rule at_oxygen(double reference, double constant, bool of_means = false) {
  Rule rule = hourly();
  rule.basis = {.oxygen = reference, .constant = constant, .of_means = of_means};
  return rule;
}

TEST(Oxygen, TheConstantIsThePermits) {
  // 100 mg at 8 % oxygen are 115.3846 (21) or 115.5039 (20.9) at 6 %: own arithmetic, shared/reference A3.
  const std::vector<double> value(4, 100), oxygen(4, 8);
  EXPECT_NEAR(corrected(at_oxygen(6, 21), value, oxygen).results[0].base->value[0], 115.3846, 5e-5);
  EXPECT_NEAR(corrected(at_oxygen(6, 20.9), value, oxygen).results[0].base->value[0], 115.5039, 5e-5);
}

TEST(Oxygen, SamplesOrMeansAreCorrectedAsTheRuleSays) {
  const std::vector<double> value = {80, 80, 120, 120}, oxygen = {4, 4, 10, 10};
  const double of_samples = (80 * 15.0 / 17 + 120 * 15.0 / 11) / 2, of_means = 100 * 15.0 / 14;
  EXPECT_DOUBLE_EQ(corrected(at_oxygen(6, 21), value, oxygen).results[0].base->value[0], of_samples);
  EXPECT_DOUBLE_EQ(corrected(at_oxygen(6, 21, true), value, oxygen).results[0].base->value[0], of_means);
}

TEST(Oxygen, MissingOxygenIsAMissingValue) {
  const std::vector<double> value(4, 100), oxygen = {8, kMissing, 8, 8}, none(4, kMissing);
  EXPECT_EQ(corrected(at_oxygen(6, 21), value, oxygen).results[0].base->reason[0], Reason::quadrants);
  EXPECT_EQ(corrected(at_oxygen(6, 21, true), value, oxygen).results[0].base->reason[0], Reason::valid);
  EXPECT_EQ(corrected(at_oxygen(6, 21, true), value, none).results[0].base->reason[0], Reason::oxygen);
}

TEST(Oxygen, AtOrAboveTheConstantIsRefusedByName) {
  const std::vector<double> value(4, 100), oxygen = {8, 8, 20.9, 8};
  try {
    corrected(at_oxygen(6, 20.9), value, oxygen);
    FAIL();
  } catch (const InputError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("rule 'NOx 1 h', tag 'o2', row 2 (2024-05-05 12:30:00 UTC)"), std::string::npos)
        << text;
    EXPECT_NE(text.find("20.9"), std::string::npos) << text;
  }
  EXPECT_NO_THROW(corrected(at_oxygen(6, 21), value, oxygen));
}

// ---- refusals --------------------------------------------------------------------------------------------

TEST(BaseMean, RefusesANegativeConcentrationByName) {
  Series series;
  series.add(kNoon, kNoon + kHour, 100);
  series.value[17] = -0.25;
  try {
    only(hourly(), series);
    FAIL();
  } catch (const InputError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("rule 'NOx 1 h', tag 'nox', row 17 (2024-05-05 12:17:00 UTC)"), std::string::npos)
        << text;
    EXPECT_NE(text.find("-0.25"), std::string::npos) << text;
  }
  const RuleResult result = only(hourly(), series, {}, {.period_s = 60, .negative_is_missing = true});
  EXPECT_EQ(result.negatives, 1);
  EXPECT_DOUBLE_EQ(result.base->value[0], 100);  // left out, not clipped to 0
}

TEST(BaseMean, RefusesInfinityAndAStampYearsAway) {
  Series series;
  series.add(kNoon, kNoon + kHour, 100);
  series.value[3] = INFINITY;
  EXPECT_THROW(only(hourly(), series), InputError);
  series.value[3] = 100;
  series.time.push_back(4e12);
  series.value.push_back(1);
  EXPECT_THROW(only(hourly(), series), InputError);
}

}  // namespace
}  // namespace emisopt::test
