#include "emisopt/control/time_budget.hpp"

#include <gtest/gtest.h>

#include "control/log_plant.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

TEST(TimeBudget, OnceLateAlwaysLate) {
  double now = 0;
  const std::function<double()> clock = [&] { return now; };
  TimeBudget time(clock, 1);
  EXPECT_FALSE(time.late());
  EXPECT_TRUE(time.fits(0.9));
  EXPECT_FALSE(time.fits(1.5));
  EXPECT_TRUE(time.late());  // a tile that did not fit was the end
  EXPECT_EQ(time.work(), (Work{2, true}));
}

TEST(TimeBudget, ReplayAsksNoClock) {
  int asked = 0;
  const std::function<double()> clock = [&] { return 1e9 * ++asked; };
  const Work work{3, true};
  TimeBudget time(clock, 1, &work);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(time.late());
  EXPECT_TRUE(time.late());
  EXPECT_EQ(time.work(), work);
  EXPECT_EQ(asked, 0);
  const Work free{1000, false};
  TimeBudget endless(clock, 1, &free);
  for (int i = 0; i < 2000; ++i) EXPECT_FALSE(endless.late());
}

// A loop whose deadline strikes anywhere, among NaN, exceptions and broken measurements; then the same inputs
// with the logged work and no clock: every bit of every decision is the same.
TEST(TimeBudget, LoopsReplayBitByBitFromTheWorkDone) {
  struct Tick {
    std::vector<double> applied, measured;
    bool nan, throws;
    Decision d;
  };
  Rng rng(3);
  int stopped = 0, failed = 0;
  for (int loop = 0; loop < 8; ++loop) {
    LogPlant plant;
    plant.k = 0.4;
    plant.backward = loop % 2 == 0;
    auto limits = log_limits();
    limits[0].window = 4;
    ControllerConfig config;
    config.deadline_s = 0.02;
    config.bias = ControllerConfig::Bias::multiplicative;
    config.ranks = loop % 3 == 0 ? ControllerConfig::Ranks::lexicographic : ControllerConfig::Ranks::penalty;
    limits[1].rank = 2;
    limits[0].limit = 70;
    limits[1].limit = 60;
    double now = 0;
    config.clock = [&] { return now += 1e-5; };
    plant.on_call = [&] { now += rng.uniform() < 0.1 ? 0.02 : 0.0005; };
    Controller first(log_setpoints(), limits, {nullptr, {0.1, 0.1}}, plant.h, 2, config);
    std::vector<Tick> log;
    std::vector<double> applied = {rng.uniform(1, 6), rng.uniform(0, 1.2)};
    Matrix past(6, 2, kMissing);
    const auto push = [&](const std::vector<double>& y) {
      for (Index r = 0; r + 1 < past.rows; ++r) std::copy_n(past.row(r + 1), 2, past.row(r));
      std::copy(y.begin(), y.end(), past.row(past.rows - 1));
    };
    for (int t = 0; t < 15; ++t) {
      Tick tick;
      tick.applied = applied;
      tick.nan = plant.nan_forecast = rng.uniform() < 0.1;
      tick.throws = plant.throws = rng.uniform() < 0.05;
      tick.d = first.step(plant, applied, past);
      stopped += tick.d.work.stopped;
      failed += !is_ok(tick.d.status);
      applied = tick.d.move;
      plant.v = {3, 0.5};
      tick.measured = plant.advance(applied);
      for (double& y : tick.measured) y *= std::exp(0.1 * rng.normal());
      if (rng.uniform() < 0.2) tick.measured[0] = kMissing;
      plant.v = {3, 0.5};
      first.observe(tick.d.median.row(0), tick.measured.data());
      push(tick.measured);
      log.push_back(std::move(tick));
    }

    plant.on_call = nullptr;
    config.clock = [] { return 1e6; };  // says nothing
    Controller second(log_setpoints(), limits, {nullptr, {0.1, 0.1}}, plant.h, 2, config);
    past = Matrix(6, 2, kMissing);
    for (const Tick& tick : log) {
      plant.nan_forecast = tick.nan;
      plant.throws = tick.throws;
      TickInput input;
      input.replay = &tick.d.work;
      const Decision d = second.step(plant, tick.applied, past, limit_rows(limits, past, plant.h), input);
      ASSERT_EQ(d.move, tick.d.move);
      ASSERT_EQ(d.plan.values, tick.d.plan.values);
      ASSERT_EQ(d.status, tick.d.status);
      ASSERT_EQ(d.reason, tick.d.reason);
      ASSERT_EQ(d.iterations, tick.d.iterations);
      ASSERT_EQ(d.work, tick.d.work);
      second.observe(tick.d.median.row(0), tick.measured.data());
      push(tick.measured);
    }
  }
  EXPECT_GT(stopped, 20);
  EXPECT_GT(failed, 5);
}

}  // namespace
}  // namespace emisopt
