#include "emisopt/permit/evaluation.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "permit/evaluation_cases.hpp"

namespace emisopt::test {
namespace {

Permit many() {
  Rule day = averaged(Over::day, 0, 0.6);
  day.exclude.startup = true;
  Rule half = averaged(Over::block, 3 * 3600, 0.5);
  half.base.length_s = 1800;
  half.base.validity = {Need::share, 0, 2.0 / 3, true};
  return permit_of({hourly(), averaged(Over::rolling, 3 * 3600, 0.6), day, half,
                    averaged(Over::month, 0, 0.5), averaged(Over::operating_days, 4, 0.5),
                    averaged(Over::operating_periods, 5, 0.5)});
}

Series random_series(Rng& rng, int rows) {
  Series series;
  Second t = at("2024-10-24", 3, 20);
  int plant = 1, status = 0;
  for (int i = 0; i < rows; ++i) {
    t += 60 * (rng.uniform() < 0.002 ? 1 + static_cast<Second>(rng.below(600)) : 1);
    if (rng.uniform() < 0.003) plant = static_cast<int>(rng.below(5));
    if (rng.uniform() < 0.01) status = static_cast<int>(rng.below(4));
    if (rng.uniform() < 0.1) status = 0;
    series.time.push_back(static_cast<double>(t));
    series.value.push_back(rng.uniform() < 0.05 ? kMissing : std::abs(200 + 60 * rng.normal()));
    series.plant.push_back(static_cast<std::uint8_t>(plant));
    series.status.push_back(static_cast<std::uint8_t>(status));
  }
  return series;
}

bool same_bits(const RawVector<double>& a, const RawVector<double>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}

void expect_same(const Evaluation& a, const Evaluation& b) {
  ASSERT_EQ(a.results.size(), b.results.size());
  for (std::size_t i = 0; i < a.results.size(); ++i) {
    const RuleResult &x = a.results[i], &y = b.results[i];
    EXPECT_TRUE(same_bits(x.averages->value, y.averages->value)) << x.rule->name;
    EXPECT_TRUE(same_bits(x.base->value, y.base->value)) << x.rule->name;
    EXPECT_EQ(x.averages->windows->end, y.averages->windows->end);
    EXPECT_EQ(x.averages->reason, y.averages->reason);
    EXPECT_EQ(x.averages->used, y.averages->used);
    EXPECT_EQ(x.above, y.above);
    EXPECT_EQ(x.worst, y.worst);
  }
}

TEST(Evaluation, AnySplitAndAnyOrderWithinTheLatenessGiveTheSameBits) {
  Rng rng(11);
  for (int round = 0; round < 12; ++round) {
    const Series series = random_series(rng, 6000);
    const Evaluation whole = judge_series(many(), series, berlin());
    EXPECT_GT(whole.results[0].total, 50);

    Evaluator stream(many(), {}, {"nox"}, berlin(), {.period_s = 60});
    for (Index first = 0; first < 6000;) {
      const Index count =
          std::min<Index>(6000 - first, 1 + static_cast<Index>(rng.below(round % 2 ? 9 : 900)));
      stream.push(series.view(first, count));
      first += count;
      if (rng.uniform() < 0.01) stream.result();  // looking does not disturb
    }
    stream.finish();
    expect_same(whole, stream.result());

    std::vector<std::size_t> order(6000);
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (std::size_t i = 0; i + 20 < order.size(); i += 20)
      for (std::size_t k = 19; k > 0; --k) std::swap(order[i + k], order[i + rng.below(k + 1)]);
    Series mixed;
    double latest = 0, late = 0;
    for (const std::size_t i : order) {
      mixed.time.push_back(series.time[i]);
      mixed.value.push_back(series.value[i]);
      mixed.plant.push_back(series.plant[i]);
      mixed.status.push_back(series.status[i]);
      latest = std::max(latest, series.time[i]);
      late = std::max(late, latest - series.time[i]);
    }
    const Evaluation again = judge_series(many(), mixed, berlin(), {.period_s = 60, .lateness_s = late});
    expect_same(whole, again);
    EXPECT_EQ(whole.to_json(), again.to_json());
    EXPECT_GT(again.steps_back, 0);
    EXPECT_FALSE(again.first_steps_back.empty());
  }
}

TEST(Evaluation, WhatIsClosedIsKnownBeforeTheEnd) {
  Series series;
  series.add(at("2024-05-05"), at("2024-05-05", 3, 1), 100);
  Evaluator stream(permit_of({hourly()}), {}, {"nox"}, {}, {.period_s = 60});
  stream.push(series.view());
  // The newest row still waits for others of its stamp, so the hour before it is not closed yet.
  EXPECT_EQ(stream.result().results[0].averages->size(), 2u);
  stream.finish();
  EXPECT_EQ(stream.result().results[0].averages->size(), 4u);
}

TEST(Evaluation, RulesCountOneAverageOnce) {
  Series series;
  series.add(at("2024-05-05"), at("2024-05-06"), 100);
  for (int m = 0; m < 60; ++m) series.value[static_cast<std::size_t>(120 + m)] = 250;  // 02:00 to 03:00
  const RuleResult hour = only(hourly(), series);
  EXPECT_EQ(hour.verdict, Verdict::broken);
  EXPECT_EQ(hour.total, 24);
  EXPECT_EQ(hour.valid, 24);
  EXPECT_EQ(hour.above, 1);
  EXPECT_EQ(hour.hours_above, 1);
  EXPECT_EQ(hour.worst, 2);
  EXPECT_EQ(hour.worst_value(), 250);
  EXPECT_TRUE(hour.is_above(2));
  const RuleResult day = only(averaged(Over::day, 0, 0.5, 106), series);
  EXPECT_EQ(day.worst_value(), 106.25);
  EXPECT_EQ(day.hours_above, 24);
}

TEST(Evaluation, AtTheLimitIsNotAboveIt) {
  Series series;
  series.add(at("2024-05-05"), at("2024-05-06"), 200);
  EXPECT_EQ(only(hourly(200), series).verdict, Verdict::holds);
  EXPECT_EQ(only(hourly(std::nextafter(200, 0)), series).verdict, Verdict::broken);
}

TEST(Allowances, CountByCivilPeriod) {
  Series series;
  series.add(at("2023-12-31"), at("2024-01-02"), 100, 900);
  const auto exceed = [&](int hour) { std::fill_n(series.value.begin() + 4 * hour, 4, 300.0); };
  for (const int hour : {3, 30, 40}) exceed(hour);  // one in 2023, two in 2024
  Rule rule = hourly();
  rule.allow = {.count = 1, .per = Per::year};
  RuleResult result = only(rule, series);
  ASSERT_EQ(result.periods.size(), 2u);
  EXPECT_EQ(result.periods[0].label, "2023");
  EXPECT_TRUE(result.periods[0].holds);
  EXPECT_EQ(result.periods[1].bad, 2);
  EXPECT_EQ(result.verdict, Verdict::broken);
  rule.allow = {.count = 2, .per = Per::quarter};
  result = only(rule, series);
  EXPECT_EQ(result.periods[1].label, "2024 Q1");
  EXPECT_EQ(result.verdict, Verdict::holds);
  rule.allow = {.share = 0.95, .per = Per::whole};  // 3 of 48 are 6.25 %
  EXPECT_EQ(only(rule, series).verdict, Verdict::broken);
  rule.allow.share = 0.93;
  EXPECT_EQ(only(rule, series).verdict, Verdict::holds);
}

TEST(Allowances, AShareIsMetExactlyAtItsCount) {
  EXPECT_TRUE((Allowance{.share = 0.97}.holds(97, 3)));
  EXPECT_FALSE((Allowance{.share = 0.97}.holds(96, 4)));
  EXPECT_TRUE((Allowance{.share = 0.95}.holds(19, 1)));
  EXPECT_TRUE((Allowance{.share = 0.97}.holds(16992, 525)));  // 17517 half-hours: 3 % are 525.51
  EXPECT_FALSE((Allowance{.share = 0.97}.holds(16991, 526)));
  EXPECT_TRUE(Allowance{}.holds(5, 0));
  EXPECT_FALSE(Allowance{}.holds(1000000, 1));
}

TEST(Allowances, TooManyInvalidDaysBreakARule) {
  Series series;
  for (int d = 0; d < 12; ++d) {
    const Second begin = at("2024-05-01") + d * kDay;
    series.add(begin, begin + kDay, d < 3 ? kMissing : 100.0, 900);
  }
  Rule rule = averaged(Over::day, 0, 0.9);
  rule.availability = Allowance{.count = 3, .per = Per::year};
  EXPECT_EQ(only(rule, series).verdict, Verdict::holds);
  rule.availability->count = 2;
  const RuleResult result = only(rule, series);
  EXPECT_EQ(result.verdict, Verdict::broken);
  EXPECT_EQ(result.availability.at(0).bad, 3);
  EXPECT_EQ(result.reasons.at(0), std::make_pair(Reason::no_data, Index{3}));
}

// 40 CFR 60.1260 (read): two points make an hour of a municipal waste combustor, and monitors must run for 75
// % of the hours that the unit operates a day, on 90 % of its days a calendar quarter.
TEST(Allowances, WasteCombustorsMonitorThreeQuartersOfTheHoursOnNineTenthsOfTheDays) {
  Rule rule = averaged(Over::day, 0, 0.75, kMissing);
  rule.base.validity = {Need::points, 2, 0, false};
  rule.average.of_operation = true;
  rule.availability = Allowance{0.9, 0, Per::quarter};
  const auto verdict = [&](int days_lost) {
    Series series;
    for (int day = 0; day < 20; ++day) {
      const Second begin = at("2024-05-01") + day * kDay;
      // A row a quarter says that the unit runs, 16 h a day; every other one has a value, on days that are
      // lost only one an hour in 5 of them.
      for (int quarter = 0; quarter < 96; ++quarter) {
        const bool lost = day < days_lost && quarter < 20;
        const bool value = quarter % (lost ? 4 : 2) == 0;
        series.add(begin + quarter * 900, begin + quarter * 900 + 1, value ? 100 : kMissing);
        series.plant.push_back(quarter < 64 ? 1 : 0);
      }
    }
    return only(rule, series);
  };
  const RuleResult two = verdict(2), three = verdict(3);
  ASSERT_EQ(two.availability.size(), 1u);
  EXPECT_EQ(two.availability[0].label, "2024 Q2");
  EXPECT_EQ(two.availability[0].bad, 2);  // 11 of 16 hours: 69 %
  EXPECT_NE(two.verdict, Verdict::broken);
  EXPECT_EQ(three.availability[0].bad, 3);
  EXPECT_EQ(three.verdict, Verdict::broken);
}

TEST(Alternatives, OneOfThemIsEnough) {
  Series series;
  series.add(at("2024-05-05"), at("2024-05-09"), 100, 900);
  std::fill_n(series.value.begin(), 4, 300.0);  // one hour of 96
  Rule all = hourly(200), most = hourly(150);
  most.name = "97 %";
  most.allow = {.share = 0.97, .per = Per::year};
  all.either = most.either = "half-hourly";
  const Evaluation judged = judge_series(permit_of({all, most}), series);
  EXPECT_EQ(judged.results[0].verdict, Verdict::broken);
  EXPECT_EQ(judged.results[0].held_by, "97 %");
  EXPECT_EQ(judged.verdict(), Verdict::holds);
  std::fill_n(series.value.begin(), 16, 300.0);
  EXPECT_EQ(judge_series(permit_of({all, most}), series).verdict(), Verdict::broken);
}

TEST(Evaluation, ARuleIsInForceBetweenItsDates) {
  Series series;
  series.add(at("2024-05-05"), at("2024-05-08"), 100, 900);
  Rule old = hourly(50), present = hourly(150);
  old.until_day = date_from_text("2024-05-05", "");
  present.from_day = date_from_text("2024-05-06", "");
  present.name = "present";
  const Evaluation judged = judge_series(permit_of({old, present}), series);
  EXPECT_EQ(judged.results[0].total, 24);
  EXPECT_EQ(judged.results[0].above, 24);
  EXPECT_EQ(judged.results[1].total, 48);
  EXPECT_EQ(judged.results[1].above, 0);
}

TEST(Evaluation, NothingToJudgeIsNotCompliance) {
  Series series;
  series.add(at("2024-05-05"), at("2024-05-06"), kMissing, 900);
  const Evaluation judged = judge_series(permit_of({hourly()}), series);
  EXPECT_EQ(judged.results[0].verdict, Verdict::not_judged);
  EXPECT_EQ(judged.verdict(), Verdict::not_judged);
  EXPECT_THROW(judge_series(permit_of({hourly()}), Series{}), InputError);
}

std::string refusal(const Permit& permit, std::vector<Signal> signals,
                    EvaluationOptions options = {.period_s = 60}) {
  try {
    Evaluator(permit, std::move(signals), {"nox", "o2"}, {}, options);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(Evaluation, AnUnverifiedLimitRaisesUnlessItIsAllowed) {
  Rule rule = hourly();
  rule.verified = false;
  EXPECT_NE(refusal(permit_of({rule}), {}).find("nobody has read the limit of rule 'NOx 1 h'"),
            std::string::npos);
  EXPECT_EQ(refusal(permit_of({rule}), {}, {.allow_unverified = true}), "");
}

TEST(Evaluation, RefusesSignalsThatARuleCannotJudge) {
  Permit permit = permit_of({hourly()});
  Signal other = signal();
  other.unit = "ppm";
  EXPECT_NE(refusal(permit, {other}).find("expected mg/Nm3, but tag 'nox' is in ppm; units are not mixed"),
            std::string::npos);
  other = signal();
  other.pollutant = "CO";
  EXPECT_NE(refusal(permit, {other}).find("no signal measures NOx"), std::string::npos);
  EXPECT_NE(refusal(permit, {signal("nix")}).find("no column 'nix'; did you mean 'nox'"), std::string::npos);
  other = signal();
  other.oxygen = 3;
  EXPECT_NE(refusal(permit, {other}).find("is at 3 % oxygen"), std::string::npos);

  permit.rules[0].basis = {.moisture = "dry", .oxygen = 6, .constant = 20.9};
  EXPECT_NE(refusal(permit, {signal()}).find("does not say; give its moisture"), std::string::npos);
  other = signal();
  other.moisture = "wet";
  EXPECT_NE(refusal(permit, {other}).find("is wet; convert"), std::string::npos);
  other.moisture = "dry";
  EXPECT_NE(refusal(permit, {other}).find("give its oxygen"), std::string::npos);
  other.oxygen = 20.95;
  EXPECT_NE(refusal(permit, {other}).find("expected below the constant 20.9"), std::string::npos);
  other.oxygen = 3;
  EXPECT_EQ(refusal(permit, {other}), "");
  other.oxygen = kMissing;
  other.oxygen_tag = "o3";
  EXPECT_NE(refusal(permit, {other}).find("no column 'o3'"), std::string::npos);
  other.oxygen_tag = "o2";
  EXPECT_EQ(refusal(permit, {other}), "");
}

TEST(Evaluation, RefusesAColumnInAnotherUnitBesideOneThatFits) {
  Permit permit = permit_of({hourly()});
  Signal other = signal("o2");
  other.unit = "ppm";
  EXPECT_NE(refusal(permit, {signal(), other}).find("expected mg/Nm3, but tag 'o2' is in ppm, and no rule"),
            std::string::npos);
  permit.signals.push_back(other);  // also where the permit itself names it
  EXPECT_NE(refusal(permit, {}).find("'o2' is in ppm"), std::string::npos);

  Rule in_ppm = hourly();
  in_ppm.name = "NOx 1 h, ppm";
  in_ppm.unit = "ppm";
  permit.rules.push_back(in_ppm);
  EXPECT_EQ(refusal(permit, {signal(), other}), "") << "each has its rule";
  const Permit part = permit.with_rules({permit.rules[0].name});
  ASSERT_EQ(part.signals.size(), 1u) << "the other rule's column goes with it";
  EXPECT_EQ(refusal(part, {}), "");

  permit = permit_of({hourly()});
  permit.rules[0].tag = "nox";  // nothing is asked of other columns, in any unit
  EXPECT_EQ(refusal(permit, {signal(), other}), "");
}

TEST(Evaluation, ASignalAtAnotherReferenceIsBroughtToTheRules) {
  Permit permit = permit_of({hourly()});
  permit.rules[0].basis = {.oxygen = 3, .constant = 21};
  permit.signals[0].oxygen = 15;
  Series series;
  series.add(at("2024-05-05"), at("2024-05-05", 1), 10);
  EXPECT_DOUBLE_EQ(judge_series(permit, series).results[0].base->value[0], 30);
}

TEST(Evaluation, OneRuleJudgesEveryTagOfItsPollutant) {
  Permit permit = permit_of({hourly(150)});
  permit.signals.push_back(signal("nox 2"));
  Series a, b;
  a.add(at("2024-05-05"), at("2024-05-06"), 100);
  b.add(at("2024-05-05"), at("2024-05-06"), 200);
  Samples rows = a.view();
  rows.columns = {b.value.data(), a.value.data()};
  const Evaluation judged = evaluate(permit, {}, {"nox 2", "nox"}, {}, {.period_s = 60}, rows);
  ASSERT_EQ(judged.results.size(), 2u);
  EXPECT_EQ(judged.results[0].tag, "nox");
  EXPECT_EQ(judged.results[0].verdict, Verdict::holds);
  EXPECT_EQ(judged.results[1].verdict, Verdict::broken);
}

TEST(Evaluation, AStreamThatBrokeSaysSo) {
  Series series;
  series.add(at("2024-05-05"), at("2024-05-06"), 100);
  Evaluator stream(permit_of({hourly()}), {}, {"nox"}, {}, {.period_s = 60});
  stream.push(series.view(100, 50));
  EXPECT_THROW(stream.push(series.view(0, 50)), InputError);  // late: refused, the stream goes on
  EXPECT_NO_THROW(stream.push(series.view(150, 50)));
  series.value[230] = -1;
  EXPECT_THROW(stream.push(series.view(200, 100)), InputError);
  EXPECT_THROW(stream.push(series.view(300, 1)), StateError);
  EXPECT_THROW(stream.result(), StateError);
  Samples narrow = series.view();
  narrow.columns.clear();
  Evaluator other(permit_of({hourly()}), {}, {"nox"}, {}, {.period_s = 60});
  EXPECT_THROW(other.push(narrow), ShapeError);
  other.push(series.view(0, 10));
  other.finish();
  EXPECT_THROW(other.push(series.view(10, 10)), StateError);
}

// Of run(), or of push() and finish(), what they say or how they refuse.
std::string told(const std::vector<std::string>& columns, const Samples& rows, int threads, bool at_once) {
  Permit permit = many();
  for (std::size_t c = 1; c < columns.size(); ++c) permit.signals.push_back(signal(columns[c]));
  Evaluator stream(permit, {}, columns, berlin(), {.period_s = 60, .threads = threads});
  try {
    if (at_once) return stream.run(rows).to_json();
    stream.push(rows);
    stream.finish();
    return stream.result().to_json();
  } catch (const InputError& error) {
    return error.what();
  }
}

TEST(Evaluation, AtOnceIsAsByPushesInItsErrorsToo) {
  Rng rng(5);
  constexpr Index kRows = 60'000;  // enough for threads
  std::vector<Series> columns;
  for (int c = 0; c < 4; ++c) columns.push_back(random_series(rng, kRows));
  const std::vector<std::string> names = {"nox", "nox 2", "nox 3", "nox 4"};
  const auto view = [&] {
    Samples rows = columns[0].view();
    rows.columns.clear();
    rows.status.clear();
    for (const Series& series : columns) {
      rows.columns.push_back(series.value.data());
      rows.status.push_back(series.status.data());
    }
    return rows;
  };
  const auto expect_as_by_pushes = [&](const std::string& part) {
    const std::string pushed = told(names, view(), 1, false);
    EXPECT_NE(pushed.find(part), std::string::npos) << pushed;
    for (const int threads : {1, 2, 5}) EXPECT_EQ(told(names, view(), threads, true), pushed) << threads;
  };
  expect_as_by_pushes("permit_hash");
  columns[1].value[20'000] = -3;  // of several the first column's is told
  columns[1].plant[20'000] = columns[0].plant[20'000] = 1;
  columns[2].value[10'000] = -4;
  columns[1].status[20'000] = columns[2].status[10'000] = 0;
  columns[0].plant[10'000] = 1;
  expect_as_by_pushes("got -3");
  columns[3].status[50'000] = 9;  // a status that is none before any value
  expect_as_by_pushes("sample status, 0 to 3, got 9");
  columns[2].status[59'000] = 8;
  expect_as_by_pushes("sample status, 0 to 3, got 8");
  const double kept = columns[0].time[kRows - 1];
  columns[0].time[kRows - 2] += 1e11;  // a year mistyped, after the statuses
  columns[0].time[kRows - 1] += 1e11;
  expect_as_by_pushes("got 8");
  columns[2].status[59'000] = columns[3].status[50'000] = 0;
  expect_as_by_pushes("years after");
  columns[0].time[kRows - 1] = columns[0].time[0];  // out of order
  expect_as_by_pushes("comes ");
  columns[0].time[kRows - 1] = kept;
  columns[0].plant[7] = 5;
  expect_as_by_pushes("plant state, 0 to 4, got 5");
}

TEST(Evaluation, AtOnceIsOnce) {
  Series series;
  series.add(at("2024-05-05"), at("2024-05-06"), 100);
  Evaluator stream(permit_of({hourly()}), {}, {"nox"}, {}, {.period_s = 60});
  const Evaluation judged = stream.run(series.view());
  expect_same(judged, stream.result());
  EXPECT_THROW(stream.run(series.view()), StateError);
  EXPECT_THROW(stream.push(series.view()), StateError);
  Evaluator later(permit_of({hourly()}), {}, {"nox"}, {}, {.period_s = 60});
  later.push(series.view(0, 600));  // after other rows it is what push() and finish() are
  expect_same(later.run(series.view(600, 840)), judged);
  Evaluator empty(permit_of({hourly()}), {}, {"nox"}, {}, {.period_s = 60});
  EXPECT_THROW(empty.run(series.view(0, 0)), InputError);
}

TEST(Evaluation, ResultsGoIntoJson) {
  Series series;
  series.add(at("2024-05-05"), at("2024-05-06"), 250, 900);
  Rule rule = hourly();
  rule.allow = {.share = 0.97, .per = Per::year};
  const Evaluation judged = judge_series(permit_of({rule}), series);
  const Json json = Json::parse(judged.to_json());
  EXPECT_EQ(json.at("permit_hash", "").as_string(""), permit_of({rule}).hash());
  EXPECT_EQ(json.at("verdict", "").as_string(""), "broken");
  const Json& one = json.at("results", "").as_array("").at(0);
  EXPECT_EQ(one.at("above", "").as_integer(""), 24);
  EXPECT_EQ(one.at("worst", "").at("value", "").as_number(""), 250);
  EXPECT_EQ(one.at("periods", "").as_array("").at(0).at("period", "").as_string(""), "2024");
}

}  // namespace
}  // namespace emisopt::test
