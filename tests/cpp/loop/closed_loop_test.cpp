#include "emisopt/loop/closed_loop.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/loop/operator_policy.hpp"
#include "emisopt/loop/scenario.hpp"

namespace emisopt {
namespace {
using namespace boiler;

class Fixed final : public Policy {
 public:
  explicit Fixed(std::vector<double> u) : u_(std::move(u)) {}
  std::string name() const override { return "fixed"; }
  Action decide(const Observation&) override {
    Action a;
    a.setpoints = u_;
    a.seconds = 0.25;
    return a;
  }

 private:
  std::vector<double> u_;
};

const LoopStart& start() {
  static const LoopStart kStart = start_scenario(boiler_48h(3));
  return kStart;
}

LoopOptions rows(Index n) {
  LoopOptions o;
  o.rows = n;
  return o;
}

TEST(Scenario, WarmUpServesAForecasterAndNamesItsTrouble) {
  const Scenario s = boiler_48h(3);
  EXPECT_GE(s.warm_rows, 96);
  EXPECT_EQ(start().history.rows(), s.warm_rows);
  EXPECT_EQ(start().truth.rows, s.warm_rows);
  EXPECT_NE(s.name.find("NOx 75"), std::string::npos);
  EXPECT_EQ(start().history.values(s.warm_rows - 1, column(kGrade)), 0);
  EXPECT_NE(boiler_48h(4).boiler.start_s, s.boiler.start_s);
}

TEST(ClosedLoop, StartServesTwiceWithTheSameBits) {
  OperatorPolicy a({}), b({});
  const LoopLog x = run_closed_loop(start(), a, rows(60)), y = run_closed_loop(start(), b, rows(60));
  EXPECT_EQ(x.truth.values, y.truth.values);
  EXPECT_EQ(x.setpoints.values, y.setpoints.values);
}

TEST(ClosedLoop, EveryPolicyMeetsTheSameDisturbances) {
  OperatorPolicy a({});
  Fixed b({4.5, 10, 0.9, 5});
  const LoopLog x = run_closed_loop(start(), a, rows(100)), y = run_closed_loop(start(), b, rows(100));
  for (Index r = 0; r < 100; ++r) {
    EXPECT_EQ(x.disturbances(r, kLoad), y.disturbances(r, kLoad));
    for (Index c = 0; c < kColumns; ++c)
      EXPECT_EQ(std::isnan(x.measured(r, c)), std::isnan(y.measured(r, c))) << r << " " << c;
  }
}

TEST(ClosedLoop, IllegalMovesAreClippedAndCounted) {
  const std::vector<double> u = start().applied;
  Fixed wild({kMissing, 1e9, -5, u[3]});
  const LoopLog log = run_closed_loop(start(), wild, rows(20));
  const LoopSummary s = summarise(log, boiler_48h(3).limits);
  EXPECT_EQ(s.illegal_moves, 20);
  const TagMap& tags = log.tags;
  std::vector<double> from = u;
  for (Index r = 0; r < log.rows(); ++r)
    for (Index k = 0; k < kSetpoints; ++k) {
      const Tag& t = tags.tags[static_cast<std::size_t>(k)];
      const double now = log.setpoints(r, k);
      EXPECT_TRUE(now >= t.low && now <= t.high &&
                  std::abs(now - from[static_cast<std::size_t>(k)]) <= t.rate + 1e-9);
      from[static_cast<std::size_t>(k)] = now;
    }
  EXPECT_EQ(log.setpoints(19, kO2Sp), u[kO2Sp]);  // NaN: the setpoint in force stays
}

TEST(ClosedLoop, LegalMovesAreNotCounted) {
  OperatorPolicy people({});
  EXPECT_EQ(summarise(run_closed_loop(start(), people, rows(200)), boiler_48h(3).limits).illegal_moves, 0);
}

TEST(ClosedLoop, MoneyAndHoursAreThoseOfTheTruth) {
  Fixed policy(start().applied);
  const LoopLog log = run_closed_loop(start(), policy, rows(50));
  const std::vector<Limit> limits = {{"NOx 1 h", kNox, 60, 12, 1, .95, .5},
                                     {"CO spot", kCo, 50, 1, 2, .95, .5}};
  const LoopSummary s = summarise(log, limits, {3, 0.5});
  double fuel = 0, nh3 = 0;
  int nox_rows = 0, co_rows = 0;
  const Index warm = log.before.rows;
  for (Index r = 0; r < 50; ++r) {
    fuel += 3 * 3.6 * log.disturbances(r, kLoad) / (0.01 * log.truth(r, kEfficiency)) / 12;
    nh3 += 0.5 * log.truth(r, kNh3Flow) / 12;
    double mean = 0;
    for (Index k = r - 11; k <= r; ++k)
      mean += (k < 0 ? log.before(warm + k, kNox) : log.truth(k, kNox)) / 12;
    nox_rows += mean > 60;
    co_rows += log.truth(r, kCo) > 50;
  }
  EXPECT_NEAR(s.fuel_eur, fuel, 1e-6 * fuel);
  EXPECT_NEAR(s.nh3_eur, nh3, 1e-6 * nh3);
  EXPECT_NEAR(s.limits[0].hours_above, nox_rows / 12.0, 1e-9);
  EXPECT_NEAR(s.limits[1].hours_above, co_rows / 12.0, 1e-9);
  EXPECT_EQ(s.hours_above_permit, s.limits[0].hours_above);  // rank 2 is no permit
  EXPECT_EQ(s.p50_s, 0.25);
  EXPECT_EQ(s.max_s, 0.25);
  EXPECT_EQ(s.status_count[0], 50);
}

TEST(ClosedLoop, TamperedRowsReachThePolicyOnly) {
  OperatorPolicy a({}), b({});
  LoopOptions broken = rows(30);
  broken.tamper = [](Index, double* row) { row[column(kNox)] = kMissing; };
  const LoopLog x = run_closed_loop(start(), a, broken);
  for (Index r = 0; r < 30; ++r) {
    EXPECT_TRUE(std::isnan(x.measured(r, column(kNox))));
    EXPECT_TRUE(std::isfinite(x.truth(r, kNox)));
  }
}

TEST(ClosedLoop, ProgressMayStopTheRun) {
  OperatorPolicy a({});
  LoopOptions o = rows(50);
  o.progress = [](Index done, Index) { return done < 7; };
  const LoopLog log = run_closed_loop(start(), a, o);
  EXPECT_EQ(log.rows(), 7);
  EXPECT_EQ(log.truth.rows, 7);
}

TEST(ClosedLoop, SummariseNamesAMissingTag) {
  LoopLog log;
  log.tags = boiler_tags();
  log.tags.tags[static_cast<std::size_t>(column(kEfficiency))].name = "eta";
  EXPECT_THROW(summarise(log, {}), InputError);
}

}  // namespace
}  // namespace emisopt
