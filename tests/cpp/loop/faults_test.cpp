// The failure contract in closed loop: whatever fails, each tick returns a legal move with the right status.
#include "emisopt/loop/faults.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "control/log_plant.hpp"
#include "emisopt/base/error.hpp"
#include "emisopt/control/moves.hpp"

namespace emisopt {
namespace {

struct Outcome {
  int ticks = 0, illegal = 0, ok = 0, held = 0, shifted = 0, ramped = 0, slacked = 0, wrong = 0;
  double worst_late = 0;  // seconds beyond deadline and longest tile
  double last_nox = 0, last_co = 0;
};

struct FaultyLoop {
  Faults faults;
  int ticks = 300;
  double deadline_s = 10;
  double nox_gap = 0;  // share of measurements that are NaN
  bool frozen = false;
  std::vector<double> start = {3, 0.5};
  ControllerConfig::Bias bias = ControllerConfig::Bias::multiplicative;

  Outcome go(std::uint64_t seed) {
    LogPlant truth, model;
    truth.k = model.k = 0.5;
    model.backward = true;
    truth.v = start;
    model.spread = 1.03;
    FaultyPredictor faulty(model, faults);
    auto setpoints = log_setpoints();
    ControllerConfig config;
    config.deadline_s = deadline_s;
    config.bias = bias;
    config.max_hold = 6;
    auto limits = log_limits();
    limits[0].window = 3;
    Controller controller(setpoints, limits, {nullptr, {0, 0}}, model.h, 2, config);
    const Moves rules(setpoints, model.h, 1);
    Outcome out;
    Rng rng(seed);
    std::vector<double> applied = start;
    Matrix past(6, 2, kMissing);
    for (int t = 0; t < ticks; ++t, ++out.ticks) {
      model.v = truth.v;
      faulty.set_held(applied);
      Decision d;
      EXPECT_NO_THROW(d = controller.step(faulty, applied, past));
      if (d.move.size() != 2) return out;
      out.illegal += !rules.legal(d.move.data(), applied.data());
      out.ok += is_ok(d.status);
      out.held += d.status == Status::hold;
      out.shifted += d.status == Status::previous_plan_shifted;
      out.ramped += d.status == Status::safe_ramp;
      out.slacked += d.status == Status::limit_slacked;
      // The right status: ok exactly when there is a finite forecast under the plan, slack exactly when it
      // says so.
      bool finite = std::isfinite(d.cost);
      for (double v : d.median.values) finite &= std::isfinite(v);
      out.wrong += finite != is_ok(d.status);
      out.wrong += !d.slacks.empty() != (d.status == Status::limit_slacked);
      out.wrong += d.reason.empty() != (d.status == Status::optimal);
      applied = d.move;
      std::vector<double> y = truth.advance(applied);
      for (double& v : y) v *= std::exp(0.01 * rng.normal());
      out.last_nox = y[0];
      out.last_co = y[1];
      if (rng.uniform() < nox_gap) y[0] = kMissing;
      if (frozen && t % 20 > 5) y[0] = past(5, 0);
      controller.observe(d.median.row(0), y.data());
      for (Index r = 0; r + 1 < past.rows; ++r) std::copy_n(past.row(r + 1), 2, past.row(r));
      std::copy(y.begin(), y.end(), past.row(past.rows - 1));
    }
    EXPECT_EQ(out.illegal, 0);
    EXPECT_EQ(out.wrong, 0);
    return out;
  }
};

TEST(Faults, NanForecastsHoldAndRecover) {
  FaultyLoop run{.faults = {.nan_forecast = 0.7, .seed = 1}};
  const Outcome o = run.go(1);
  EXPECT_GT(o.held, 50);
  EXPECT_GT(o.ok, 20);
}

TEST(Faults, NanSensitivitiesFollowThePreviousPlan) {
  FaultyLoop run{.faults = {.nan_sensitivity = 0.6, .seed = 2}};
  const Outcome o = run.go(2);
  EXPECT_GT(o.shifted, 20);
  EXPECT_GT(o.ok, 50);
}

TEST(Faults, AnInterruptedSolveKeepsTheBestSoFarOrHolds) {
  FaultyLoop run{.faults = {.interrupt = 0.3, .seed = 3}};
  const Outcome o = run.go(3);
  EXPECT_GT(o.held, 20);
  EXPECT_GT(o.ok, 50);
}

TEST(Faults, EverythingAtOnceEndsInSafety) {
  FaultyLoop run{
      .faults = {.gain = 1.3, .nan_forecast = 0.95, .nan_sensitivity = 0.9, .interrupt = 0.5, .seed = 4},
      .nox_gap = 0.5,
      .frozen = true};
  const Outcome o = run.go(4);
  EXPECT_GT(o.ramped, 100);
}

TEST(Faults, AWrongGainStillKeepsTheLimitsOnceTheBiasHasLearnt) {
  for (const double gain : {0.7, 1.3}) {
    FaultyLoop run{.faults = {.gain = gain, .seed = 5}};
    const Outcome o = run.go(5);
    EXPECT_EQ(o.ok, o.ticks);
    EXPECT_LE(o.last_nox, 105) << gain;
    EXPECT_LE(o.last_co, 131) << gain;
  }
}

TEST(Faults, AlreadyPastTheLimitComesBackAsFastAsItCan) {
  FaultyLoop run{.start = {6, 0}};  // NOx near 300
  run.ticks = 40;
  const Outcome o = run.go(6);
  EXPECT_EQ(o.ok, o.ticks);
  EXPECT_GT(o.slacked, 0);
  EXPECT_LT(o.slacked, 15);
  EXPECT_LE(o.last_nox, 105);
}

TEST(Faults, FrozenAndMissingAnalysersAreNoTrouble) {
  FaultyLoop run{.nox_gap = 0.4, .frozen = true};
  const Outcome o = run.go(7);
  EXPECT_EQ(o.ok, o.ticks);
  EXPECT_LE(o.last_nox, 110);
}

TEST(Faults, ADeadlineOfAFifthOfAMillisecondStillAnswers) {
  FaultyLoop run{.deadline_s = 2e-4};
  const Outcome o = run.go(8);
  EXPECT_EQ(o.ok, o.ticks);
}

TEST(Faults, BadOnesAreRefused) {
  LogPlant plant;
  EXPECT_THROW(FaultyPredictor(plant, {.nan_forecast = 2}), InputError);
  EXPECT_THROW(FaultyPredictor(plant, {.gain = kMissing}), InputError);
}

TEST(Faults, WithoutFaultsNothingChangesAndTilesAreTimed) {
  LogPlant plant;
  FaultyPredictor faulty(plant, {});
  faulty.set_held({3, 0.5});
  EXPECT_EQ(faulty.longest(), 0);
  Matrix plan(plant.h, 2, 0.7), a(plant.h, 2), b = a, c = a, d = a;
  plant.predict(a, b, plan);
  faulty.predict(c, d, plan);
  EXPECT_EQ(a.values, c.values);
  EXPECT_EQ(b.values, d.values);
  EXPECT_GT(faulty.longest(), 0);
}

}  // namespace
}  // namespace emisopt
