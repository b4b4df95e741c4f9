#include "emisopt/permit/coming_rows.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "permit/evaluation_cases.hpp"

namespace emisopt::test {
namespace {

const ForecastNames kNames{{"nox"}, {}, {}};

Evaluator stream(const Permit& permit, const Series& series, const Zone& zone = {},
                 EvaluationOptions options = {.period_s = 60}) {
  Evaluator evaluator(permit, {}, {"nox"}, zone, options);
  evaluator.push(series.view());
  return evaluator;
}

Series random_past(Rng& rng, Second begin, int rows) {
  Series series;
  Second t = begin;
  int plant = 1, status = 0;
  for (int i = 0; i < rows; ++i) {
    t += 60 * (rng.uniform() < 0.003 ? 1 + static_cast<Second>(rng.below(400)) : 1);
    if (rng.uniform() < 0.004) plant = rng.uniform() < 0.5 ? 1 : static_cast<int>(rng.below(5));
    if (rng.uniform() < 0.01) status = static_cast<int>(rng.below(4));
    if (rng.uniform() < 0.2) status = 0;
    series.time.push_back(static_cast<double>(t));
    series.value.push_back(rng.uniform() < 0.05 ? kMissing : std::abs(200 + 60 * rng.normal()));
    series.plant.push_back(static_cast<std::uint8_t>(plant));
    series.status.push_back(static_cast<std::uint8_t>(status));
  }
  return series;
}

std::vector<Rule> every_kind() {
  Rule day = averaged(Over::day, 0, 0.6);
  day.exclude.startup = true;
  day.confidence_percent = 20;
  day.confidence_of = 150;
  Rule half = averaged(Over::block, 3 * 3600, 0.5);
  half.base.length_s = 1800;
  half.base.validity = {Need::share, 0, 2.0 / 3, true};
  Rule points = hourly(210);
  points.name = "points";
  points.base.length_s = 600;
  points.base.validity = {Need::points, 3, 0, false};
  Rule bears = averaged(Over::rolling, 6 * 3600, -1);
  bears.name = "bears two";
  bears.average.max_invalid = 2;
  Rule yesterday = averaged(Over::operating_days, 1, 0.3);
  yesterday.name = "one day";
  return {hourly(),
          averaged(Over::rolling, 3 * 3600, 0.6),
          day,
          half,
          points,
          bears,
          averaged(Over::month, 0, 0.01),
          averaged(Over::operating_days, 2, 0.3),
          averaged(Over::operating_periods, 5, 0.5),
          yesterday};
}

// What the rows say of a random future is what the evaluator says once the future has come.
TEST(ComingRows, AreWhatTheVerdictWillCount) {
  Rng rng(21);
  Index compared = 0, to_date = 0;
  std::map<std::string, Index> by_rule;
  const std::vector<Rule> rules = every_kind();
  for (int round = 0; round < 120; ++round) {
    const Rule& rule = rules[static_cast<std::size_t>(round) % rules.size()];
    const bool month = rule.average.over == Over::month;
    const Zone zone = berlin();
    const Second begin = month ? at("2024-10-30", 3) : at("2024-10-25", 3) + 60 * rng.below(2000);
    Series series = random_past(rng, begin, 200 + static_cast<int>(rng.below(3000)));
    Evaluator evaluator = stream(permit_of({rule}), series, zone);

    Ahead ahead;
    const Second last = static_cast<Second>(series.time.back());
    ahead.from = last + 60 * (1 + (rng.uniform() < 0.3 ? rng.below(90) : 0));
    ahead.step_s = 60 * static_cast<int>(1 + rng.below(75));  // also steps that cut base periods
    ahead.steps = 1 + static_cast<int>(rng.below(60));
    if (month) ahead.step_s = 4 * 3600;
    const PermitRows rows = evaluator.coming(ahead, kNames);
    const Second end = ahead.from + Second{ahead.step_s} * ahead.steps;

    std::vector<double> y;
    Series other = series;
    for (int k = 0; k < ahead.steps; ++k) {
      const Second a = ahead.from + Second{k} * ahead.step_s;
      y.push_back(std::abs(200 + 60 * rng.normal()));
      series.add(a, a + ahead.step_s, y.back());
      other.add(a, a + ahead.step_s, y.back() + 50);
    }
    for (Series* one : {&series, &other}) {
      one->status.resize(one->time.size(), 0);
      one->plant.resize(one->time.size(), 1);
    }
    const RuleResult truth = only(rule, series, zone), higher = only(rule, other, zone);

    std::map<Second, std::size_t> row_of;
    for (std::size_t i = 0; i < rows.rows.size(); ++i) {
      ASSERT_EQ(rows.about[i].rule, 0u);
      if (rows.about[i].closes)
        row_of[rows.about[i].window.end] = i;
      else
        ++to_date;
    }
    const Averages& averages = *truth.averages;
    std::size_t met = 0;
    for (std::size_t i = 0; i < averages.size(); ++i) {
      const Span window = averages.window(i);
      if (window.end <= ahead.from || window.end > end || averages.reason[i] != Reason::valid) continue;
      const auto found = row_of.find(window.end);
      if (found == row_of.end()) {
        // An average of the horizon without a row: the steps do not touch it.
        EXPECT_EQ(averages.value[i], higher.averages->value[i])
            << rule.name << " round " << round << ": no row for the average that ends "
            << window.end - ahead.from << " s after the first step";
        continue;
      }
      ++met;
      const LimitRow& row = rows.rows[found->second];
      EXPECT_EQ(rows.about[found->second].window.begin, window.begin) << rule.name;
      double sum = 0;
      for (std::size_t k = 0; k < row.coefficient.size(); ++k)
        sum += row.coefficient[k] * y[static_cast<std::size_t>(row.first_step) + k];
      EXPECT_NEAR(row.rhs - sum, rule.limit - averages.value[i], 1e-9)
          << rule.name << " round " << round << ", ends " << window.end - ahead.from;
      EXPECT_NEAR(rows.limits[0].limit - row.rhs + sum -
                      (averages.value[i] + rule.confidence_percent / 100 *
                                               (rule.confidence_percent > 0 ? rule.confidence_of : 0)),
                  0, 1e-9);
      ++compared;
      ++by_rule[rule.name];
    }
    EXPECT_EQ(met, row_of.size()) << rule.name << " round " << round;
  }
  for (const Rule& rule : rules) EXPECT_GT(by_rule[rule.name], 0) << rule.name;
  EXPECT_GT(compared, 1500);
  EXPECT_GT(to_date, 50);
}

TEST(ComingRows, APeakInTheWindowLeavesLessRoomAndRollsOff) {
  Series series;
  series.add(at("2024-05-05", 0), at("2024-05-05", 1), 350);
  series.add(at("2024-05-05", 1), at("2024-05-05", 6), 100);
  const Rule rule = averaged(Over::rolling, 6 * 3600, 1.0);
  const Evaluator evaluator = stream(permit_of({rule}), series);
  const PermitRows rows = evaluator.coming({at("2024-05-05", 6), 3600, 2}, kNames);
  ASSERT_EQ(rows.rows.size(), 2u);
  // Hours 1 to 6: the peak of hour 0 is gone. (5 * 100 + y0) / 6 <= 200.
  EXPECT_EQ(rows.rows[0].coefficient, (std::vector<double>{1.0 / 6}));
  EXPECT_DOUBLE_EQ(rows.rows[0].rhs, 200 - 500.0 / 6);
  EXPECT_EQ(rows.rows[1].coefficient, (std::vector<double>{1.0 / 6, 1.0 / 6}));
  EXPECT_DOUBLE_EQ(rows.rows[1].rhs, 200 - 400.0 / 6);

  const Evaluator sooner = stream(permit_of({rule}), [&] {
    Series until;
    until.add(at("2024-05-05", 0), at("2024-05-05", 1), 350);
    until.add(at("2024-05-05", 1), at("2024-05-05", 5), 100);
    return until;
  }());
  EXPECT_DOUBLE_EQ(sooner.coming({at("2024-05-05", 5), 3600, 1}, kNames).rows[0].rhs, 200 - 750.0 / 6);
}

TEST(ComingRows, StepsInsideTheOpenHourShareItWithWhatIsKnown) {
  Series series;
  series.add(at("2024-05-05", 0), at("2024-05-05", 0, 20), 90);
  const Evaluator evaluator = stream(permit_of({hourly(100)}), series);
  ComingOptions options;
  options.to_date = false;
  const PermitRows rows = evaluator.coming({at("2024-05-05", 0, 20), 600, 5}, kNames, options);
  ASSERT_EQ(rows.rows.size(), 1u);  // the second hour does not close in it
  EXPECT_EQ(rows.rows[0].first_step, 0);
  EXPECT_EQ(rows.rows[0].end_step, 3);
  for (const double c : rows.rows[0].coefficient) EXPECT_DOUBLE_EQ(c, 10.0 / 60);
  EXPECT_DOUBLE_EQ(rows.rows[0].rhs, 100 - 90 * 20.0 / 60);
  EXPECT_EQ(rows.limits[0].name, "NOx 1 h");

  const PermitRows both = evaluator.coming({at("2024-05-05", 0, 20), 600, 5}, kNames);
  ASSERT_EQ(both.rows.size(), 2u);
  EXPECT_FALSE(both.about[1].closes);
  EXPECT_EQ(both.rows[1].coefficient, std::vector<double>{1});
}

TEST(ComingRows, AnHourThatHasLostAQuarterAsksNothing) {
  Series series;
  series.add(at("2024-05-05", 0), at("2024-05-05", 0, 10), 90);
  series.add(at("2024-05-05", 0, 31), at("2024-05-05", 0, 40), 90);  // nothing from 15 to 30
  const Evaluator evaluator = stream(permit_of({hourly(100)}), series);
  ComingOptions options;
  options.to_date = false;
  EXPECT_TRUE(evaluator.coming({at("2024-05-05", 0, 40), 600, 2}, kNames, options).rows.empty());
  EXPECT_EQ(evaluator.coming({at("2024-05-05", 0, 40), 600, 8}, kNames, options).rows.size(), 1u);
}

TEST(ComingRows, AMonthIsHeldToDateWhileItsEndIsFar) {
  Series series;
  series.add(at("2024-05-01"), at("2024-05-11"), 180);
  const Evaluator evaluator = stream(permit_of({averaged(Over::month, 0, 0.5)}), series);
  const PermitRows rows = evaluator.coming({at("2024-05-11"), 3600, 24}, kNames);
  ASSERT_EQ(rows.rows.size(), 1u);
  EXPECT_FALSE(rows.about[0].closes);
  EXPECT_EQ(rows.about[0].window.end, at("2024-06-01"));
  for (const double c : rows.rows[0].coefficient) EXPECT_DOUBLE_EQ(c, 1.0 / (11 * 24));
  EXPECT_NEAR(rows.rows[0].rhs, 200 - 180.0 * 10 / 11, 1e-12);
}

TEST(ComingRows, AnAllowanceBindsOnceItIsUsedUp) {
  Rule rule = hourly(200);
  rule.allow = {1, 2, Per::day};  // two hours of a day may be above
  const auto rows_after = [&](int hours_above) {
    Series series;
    series.add(at("2024-05-05", 0), at("2024-05-05", hours_above), 300);
    series.add(at("2024-05-05", hours_above), at("2024-05-05", 6), 100);
    return stream(permit_of({rule}), series).coming({at("2024-05-05", 6), 3600, 4}, kNames);
  };
  for (const auto& [above, spare] : std::map<int, int>{{0, 2}, {1, 1}, {2, 0}, {3, 0}}) {
    const PermitRows rows = rows_after(above);
    ASSERT_EQ(rows.rows.size(), 4u);
    ASSERT_EQ(rows.limits.size(), 2u);
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(rows.about[i].spare, spare) << above;
      EXPECT_EQ(rows.limits[static_cast<std::size_t>(rows.rows[i].limit)].rank, spare > 0 ? 3 : 1);
    }
  }
  // The next day has its own allowance.
  Series series;
  series.add(at("2024-05-05", 0), at("2024-05-05", 22), 300);
  const PermitRows rows = stream(permit_of({rule}), series).coming({at("2024-05-05", 22), 3600, 4}, kNames);
  EXPECT_EQ(rows.about[1].spare, 0);
  EXPECT_EQ(rows.about[2].spare, 2);
}

TEST(ComingRows, AShareIsOfWhatThePeriodWillHave) {
  Rule rule = hourly(200);
  rule.allow = {0.9, 0, Per::day};
  Series series;
  series.add(at("2024-05-05", 0), at("2024-05-05", 15), 100);
  series.value[0] = 1e5;  // the first hour is above
  const Evaluator evaluator = stream(permit_of({rule}), series);
  EXPECT_EQ(evaluator.coming({at("2024-05-05", 15), 3600, 4}, kNames).about[0].spare, 0);  // 19 hours bear 1
  EXPECT_EQ(evaluator.coming({at("2024-05-05", 15), 3600, 5}, kNames).about[0].spare, 1);  // 20 bear 2
}

TEST(ComingRows, RanksNamesAndConfidenceAreThePermits) {
  Permit permit = permit_of({hourly(200), averaged(Over::day, 0, 0.5)});
  permit.signals = {signal("a"), signal("b")};
  permit.rules[1].confidence_percent = 20;
  permit.rules[1].confidence_of = 200;
  Series series;
  series.add(at("2024-05-05", 0), at("2024-05-05", 6), 100);
  Evaluator evaluator(permit, {}, {"a", "b"}, {}, {.period_s = 60});
  Samples view = series.view();
  view.columns.push_back(series.value.data());
  evaluator.push(view);
  ComingOptions options;
  options.rank = {{"NOx day", 2}};
  const PermitRows rows =
      evaluator.coming({at("2024-05-05", 6), 3600, 20}, {{"b", "x", "a"}, {}, {}}, options);
  ASSERT_EQ(rows.limits.size(), 4u);
  EXPECT_EQ(rows.limits[0].name, "NOx 1 h (a)");
  EXPECT_EQ(rows.limits[0].output, 2);
  EXPECT_EQ(rows.limits[1].output, 0);
  EXPECT_EQ(rows.limits[0].rank, 1);
  EXPECT_EQ(rows.limits[3].rank, 2);
  EXPECT_EQ(rows.limits[3].limit, 240);  // the mean less 40 may be 200
}

TEST(ComingRows, ALimitThatNobodyReadSaysSo) {
  Series series;
  series.add(at("2024-05-05", 0), at("2024-05-05", 1), 100);
  Rule rule = hourly(200);
  rule.verified = false;
  const Evaluator evaluator =
      stream(permit_of({rule}), series, {}, {.allow_unverified = true, .period_s = 60});
  EXPECT_EQ(evaluator.coming({at("2024-05-05", 1), 3600, 1}, kNames).limits[0].name, "NOx 1 h UNVERIFIED");
}

// ---- basis ----------------------------------------------------------------------------------------------

Permit at_six_percent(double signal_reference, const std::string& oxygen_tag) {
  Rule rule = hourly(200);
  rule.basis.oxygen = 6;
  rule.basis.constant = 21;
  Permit permit = permit_of({rule});
  permit.signals[0].oxygen = signal_reference;
  permit.signals[0].oxygen_tag = oxygen_tag;
  return permit;
}

TEST(ComingRows, AFixedReferenceGoesIntoTheCoefficients) {
  Series series;
  series.add(at("2024-05-05", 0), at("2024-05-05", 0, 30), 100);
  const Evaluator evaluator = stream(at_six_percent(11, ""), series);  // factor 15 / 10
  const PermitRows rows = evaluator.coming({at("2024-05-05", 0, 30), 1800, 1}, kNames);
  ASSERT_EQ(rows.rows.size(), 1u);
  EXPECT_DOUBLE_EQ(rows.rows[0].coefficient[0], 0.5 * 1.5);
  EXPECT_DOUBLE_EQ(rows.rows[0].rhs, 200 - 0.5 * 150);
}

TEST(ComingRows, AMeasuredOxygenIsLeftToTheMap) {
  Series series;
  series.add(at("2024-05-05", 0), at("2024-05-05", 0, 30), 100);
  std::vector<double> oxygen(series.value.size(), 11);
  Evaluator evaluator(at_six_percent(kMissing, "o2"), {}, {"nox", "o2"}, {}, {.period_s = 60});
  Samples view = series.view();
  view.columns.push_back(oxygen.data());
  evaluator.push(view);
  const ForecastNames names{{"co", "nox"}, {"o2"}, {}};
  const PermitRows rows = evaluator.coming({at("2024-05-05", 0, 30), 1800, 1}, names);
  const auto map = evaluator.basis_map(names);
  ASSERT_EQ(map->names().size(), 3u);
  EXPECT_EQ(map->names()[2], "nox [mg/Nm3, 6 % O2 of 21]");
  EXPECT_EQ(rows.limits[0].output, 2);
  EXPECT_DOUBLE_EQ(rows.rows[0].coefficient[0], 0.5);

  const double y[] = {7, 100}, u[] = {11};
  double q[3];
  map->value(q, y, u, nullptr);
  EXPECT_EQ(q[0], 7);
  EXPECT_DOUBLE_EQ(q[2], 150);
  // Gradients against central differences.
  const double seed[] = {0.3, 0.7, 2.0};
  double dy[2] = {0, 0}, du[1] = {0};
  map->vjp(dy, du, seed, y, u, nullptr);
  const auto total = [&](double dn, double doxygen) {
    const double yy[] = {7, 100 + dn}, uu[] = {11 + doxygen};
    double out[3];
    map->value(out, yy, uu, nullptr);
    return seed[0] * out[0] + seed[1] * out[1] + seed[2] * out[2];
  };
  const double e = 1e-5;
  EXPECT_NEAR(dy[1], (total(e, 0) - total(-e, 0)) / (2 * e), 1e-7);
  EXPECT_NEAR(du[0], (total(0, e) - total(0, -e)) / (2 * e), 1e-6);
  const double air[] = {21};
  map->value(q, y, air, nullptr);
  EXPECT_TRUE(std::isnan(q[2]));
  EXPECT_EQ(q[1], 100);

  try {
    evaluator.coming({at("2024-05-05", 0, 30), 1800, 1}, {{"nox"}, {"oxygen"}, {}});
    ADD_FAILURE();
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("its oxygen 'o2' is no output, setpoint or disturbance"),
              std::string::npos);
  }
}

// ---- refusals -------------------------------------------------------------------------------------------

TEST(ComingRows, RulesThatAreNoRowsAreRefusedOrNamed) {
  Rule either = hourly(200), open = hourly(kMissing), means = hourly(200), plain = hourly(100);
  either.name = "either";
  either.either = "CO";
  open.name = "open";
  open.exclude.startup = true;
  means.name = "means";
  means.basis = {"", 6, 21, true};
  means.exclude.shutdown = true;
  plain.name = "plain";
  plain.exclude.malfunction = true;
  Permit permit = permit_of({either, open, means, plain});
  permit.signals = {signal("nox")};
  permit.signals[0].oxygen_tag = "o2";
  Series series;
  series.add(at("2024-05-05", 0), at("2024-05-05", 1), 100);
  const auto told = [&](Rule rule) -> std::string {
    Permit one = permit;
    one.rules = {rule};
    if (std::isnan(rule.basis.oxygen)) one.signals[0].oxygen_tag = "";
    Evaluator evaluator(one, {}, {"nox", "o2"}, {}, {.period_s = 60});
    std::vector<double> oxygen(series.value.size(), 5);
    Samples view = series.view();
    view.columns.push_back(oxygen.data());
    evaluator.push(view);
    ComingOptions skip;
    skip.skip = true;
    const PermitRows rows = evaluator.coming({at("2024-05-05", 1), 3600, 1}, {{"nox", "o2"}, {}, {}}, skip);
    EXPECT_EQ(rows.left_out.empty(), !rows.rows.empty());
    try {
      evaluator.coming({at("2024-05-05", 1), 3600, 1}, {{"nox", "o2"}, {}, {}});
    } catch (const InputError& error) {
      EXPECT_EQ(rows.left_out.at(0).first, rule.name);
      return error.what();
    }
    return "none";
  };
  EXPECT_NE(told(either).find("permit rule 'either': one of the rules with either: 'CO'"), std::string::npos);
  EXPECT_NE(told(open).find("permit rule 'open': it has no limit"), std::string::npos);
  EXPECT_NE(told(means).find("mean oxygen (of_means), which is not linear"), std::string::npos);
  EXPECT_EQ(told(plain), "none");
}

TEST(ComingRows, RefusesStepsThatDoNotFitAndStreamsThatAreNotRunning) {
  Series series;
  series.add(at("2024-05-05", 0), at("2024-05-05", 1), 100);
  const Permit permit = permit_of({hourly(200)});
  Evaluator evaluator = stream(permit, series);
  const Second now = at("2024-05-05", 1);
  EXPECT_THROW(evaluator.coming({now - 60, 60, 5}, kNames), InputError);  // the last sample's own minute
  EXPECT_THROW(evaluator.coming({now, 0, 5}, kNames), InputError);
  EXPECT_THROW(evaluator.coming({now, 60, 0}, kNames), InputError);
  EXPECT_THROW(evaluator.coming({now, 60, 5}, {{"co"}, {}, {}}), InputError);
  EXPECT_EQ(evaluator.coming({now, 3600, 1}, kNames).rows.size(), 1u);
  Evaluator unknown = stream(permit, series, {}, {});
  EXPECT_THROW(unknown.coming({now, 3600, 1}, kNames), InputError);  // how many samples make an hour?
  EXPECT_EQ(unknown.coming({now, 3600, 1, 60}, kNames).rows.size(), 1u);
  Evaluator empty(permit, {}, {"nox"}, {}, {.period_s = 60});
  EXPECT_THROW(empty.coming({now, 60, 5}, kNames), StateError);
  evaluator.finish();
  EXPECT_THROW(evaluator.coming({now, 60, 5}, kNames), StateError);
}

TEST(ComingRows, LookingAheadChangesNothing) {
  Rng rng(31);
  Series series = random_past(rng, at("2024-10-25", 3), 2000);
  const Permit permit = permit_of(every_kind());
  Evaluator looking(permit, {}, {"nox"}, berlin(), {.period_s = 60, .lateness_s = 600});
  for (Index first = 0; first < 2000; first += 100) {
    looking.push(series.view(first, 100));
    const Second from = static_cast<Second>(series.time[static_cast<std::size_t>(first + 99)]) + 60;
    (void)looking.coming({from, 300, 24}, kNames);
  }
  looking.finish();
  Evaluator plain(permit, {}, {"nox"}, berlin(), {.period_s = 60, .lateness_s = 600});
  plain.push(series.view());
  plain.finish();
  EXPECT_EQ(looking.result().to_json(), plain.result().to_json());
}

}  // namespace
}  // namespace emisopt::test
