// The whole chain on a tiny forecaster: legal moves whatever the sensors say, and the right word for it.
// How good the moves are is measured by the benchmark suite `loop`, with a forecaster of full size.
#include "emisopt/loop/mpc_policy.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/loop/scenario.hpp"
#include "emisopt/train/trainer.hpp"

namespace emisopt {
namespace {
using namespace boiler;

const Forecaster& tiny() {
  static const Forecaster kForecaster = [] {
    HistoryConfig c;
    c.days = 20;
    c.boiler.seed = 800;
    const History h = simulate_history(c).history;
    ForecasterConfig f;
    f.context = 24;
    f.horizon = 12;
    f.patch = 4;
    f.width = 16;
    f.heads = 2;
    f.layers = 1;
    Forecaster model = Forecaster::make(h, f, h.rows());
    TrainConfig t;
    t.steps = 150;
    t.batch = 32;
    t.warmup = 20;
    t.threads = 1;
    train(model, h, t);
    return model;
  }();
  return kForecaster;
}

MpcConfig config() {
  MpcConfig c;
  c.threads = 1;
  c.controller.deadline_s = 10;  // what is decided must not depend on how busy this machine is
  c.controller.bias = ControllerConfig::Bias::multiplicative;
  return c;
}

const LoopStart& start() {
  static const LoopStart kStart = start_scenario(boiler_48h(801));
  return kStart;
}

LoopOptions rows(Index n) {
  LoopOptions o;
  o.rows = n;
  return o;
}

TEST(MpcPolicy, DecidesLegallyAndRepeatably) {
  const Scenario s = boiler_48h(801);
  MpcPolicy a(tiny(), s.limits, s.prices, config()), b(tiny(), s.limits, s.prices, config());
  const LoopLog x = run_closed_loop(start(), a, rows(40)), y = run_closed_loop(start(), b, rows(40));
  EXPECT_EQ(x.setpoints.values, y.setpoints.values);
  const LoopSummary sum = summarise(x, s.limits, s.prices);
  EXPECT_EQ(sum.illegal_moves, 0);
  EXPECT_GE(sum.status_count[0] + sum.status_count[1] + sum.status_count[2], 38);
  EXPECT_EQ(x.actions[5].median.rows, 12);
}

TEST(MpcPolicy, StaysLegalWithMissingFrozenAndWildSensors) {
  const Scenario s = boiler_48h(801);
  for (int kind = 0; kind < 4; ++kind) {
    MpcPolicy policy(tiny(), s.limits, s.prices, config());
    LoopOptions options = rows(40);
    std::vector<double> held;
    options.tamper = [&](Index r, double* row) {
      if (r < 10 || r > 30) return;
      if (held.empty()) held.assign(row, row + kColumns);
      for (int c = column(kNoxIn); c < kColumns; ++c) {
        if (kind == 0) row[c] = kMissing;
        if (kind == 1) row[c] = held[static_cast<std::size_t>(c)];
        if (kind == 2) row[c] = 1e12;
        if (kind == 3) row[c] = r % 2 ? 1e-9 : HUGE_VAL;
      }
    };
    const LoopSummary sum = summarise(run_closed_loop(start(), policy, options), s.limits, s.prices);
    EXPECT_EQ(sum.illegal_moves, 0) << kind;
  }
}

TEST(MpcPolicy, ABrokenForecasterHoldsThenRampsToSafety) {
  const Scenario s = boiler_48h(801);
  Forecaster broken = tiny();
  for (float& w : broken.theta) w = std::nanf("");
  MpcConfig c = config();
  c.controller.max_hold = 5;
  c.safe = {4.0, 15, 0.75, 0};
  MpcPolicy policy(broken, s.limits, s.prices, c);
  const LoopLog log = run_closed_loop(start(), policy, rows(24));
  for (Index r = 0; r < 5; ++r) {
    EXPECT_EQ(log.actions[static_cast<std::size_t>(r)].status, Status::hold);
    for (Index u = 0; u < kSetpoints; ++u)
      EXPECT_EQ(log.setpoints(r, u), start().applied[static_cast<std::size_t>(u)]);
  }
  EXPECT_FALSE(log.actions[0].reason.empty());
  EXPECT_EQ(log.actions[23].status, Status::safe_ramp);
  EXPECT_NEAR(log.setpoints(23, kO2Sp), 4.0, 1e-9);
  EXPECT_EQ(summarise(log, s.limits, s.prices).illegal_moves, 0);
}

TEST(MpcPolicy, AHistoryTooShortIsAHoldWithAReason) {
  const Scenario s = boiler_48h(801);
  MpcPolicy policy(tiny(), s.limits, s.prices, config());
  const History few = start().history.slice(0, 10);
  Matrix known(24, kDisturbances, kMissing);
  const Action a = policy.decide({few, known, start().applied});
  EXPECT_EQ(a.status, Status::hold);
  EXPECT_NE(a.reason.find("no forecast"), std::string::npos);
  EXPECT_EQ(a.setpoints, start().applied);
  Matrix brief(3, kDisturbances, kMissing);
  EXPECT_NE(policy.decide({start().history, brief, start().applied}).reason.find("schedule"),
            std::string::npos);
}

// Replaces all that is measured from row `cut` on by noise.
std::function<void(Index, double*)> noise_from(Index cut, std::uint64_t seed) {
  return [cut, seed](Index r, double* row) {
    if (r < cut) return;
    Rng rng(seed, static_cast<std::uint64_t>(r));
    for (int c = 0; c < kColumns; ++c)
      if (c != column(kGrade)) row[c] = rng.uniform() < 0.1 ? kMissing : row[c] * rng.uniform(0.2, 3);
  };
}

TEST(MpcPolicy, SeesNothingOfTheFuture) {
  // Rows from a cut on become noise: every decision that is made before the first of them has come is the
  // same bit for bit. The decision for row k is made when rows up to k - 1 are known.
  const Scenario s = boiler_48h(801);
  constexpr Index kRows = 30;
  MpcPolicy clean(tiny(), s.limits, s.prices, config());
  const LoopLog x = run_closed_loop(start(), clean, rows(kRows));
  Rng rng(17);
  for (int trial = 0; trial < 10; ++trial) {
    const auto cut = static_cast<Index>(1 + rng.below(kRows - 2));
    MpcPolicy policy(tiny(), s.limits, s.prices, config());
    LoopOptions noisy = rows(kRows);
    noisy.tamper = noise_from(cut, static_cast<std::uint64_t>(trial));
    const LoopLog y = run_closed_loop(start(), policy, noisy);
    for (Index r = 0; r <= cut; ++r)
      for (Index u = 0; u < kSetpoints; ++u)
        ASSERT_EQ(x.setpoints(r, u), y.setpoints(r, u)) << "cut " << cut << ", row " << r;
    EXPECT_NE(x.setpoints.values, y.setpoints.values) << "cut " << cut;  // noise does reach the policy
  }
}

TEST(MpcPolicy, ABackoffThatLearnsChangesWhatIsKeptFree) {
  const Scenario s = boiler_48h(801);
  MpcConfig plain = config(), learning = config();
  const std::vector<double> held = backoff_quantiles(s.limits, kOutputs);
  learning.conformal.emplace(held, 12);
  const auto run = [&](const MpcConfig& c) {
    MpcPolicy policy(tiny(), s.limits, s.prices, c);
    return run_closed_loop(start(), policy, rows(30));
  };
  const LoopLog a = run(plain), b = run(learning), c = run(learning);
  EXPECT_EQ(summarise(b, s.limits, s.prices).illegal_moves, 0);
  const auto width = [](const LoopLog& log, Index r) {
    const Action& action = log.actions[static_cast<std::size_t>(r)];
    return action.high(0, kNox) - action.median(0, kNox);
  };
  EXPECT_NEAR(width(a, 0), width(b, 0), 1e-9);  // nothing learnt yet
  EXPECT_NE(width(a, 29), width(b, 29));
  for (Index r = 0; r < 30; ++r)
    for (int u = 0; u < kSetpoints; ++u) EXPECT_EQ(b.setpoints(r, u), c.setpoints(r, u));
  learning.conformal.emplace(std::vector<double>(kOutputs, 0.9), 12);
  EXPECT_THROW(MpcPolicy(tiny(), s.limits, s.prices, learning), InputError);
}

TEST(MpcPolicy, APermitIsHeldBesideTheLimits) {
  Scenario s = boiler_60d(805);
  MpcConfig c = config();
  c.permit = s.permit;
  MpcPolicy policy(tiny(), s.limits, s.prices, c);
  const LoopLog log = run_closed_loop(start_scenario(s), policy, rows(12));
  const LoopSummary sum = summarise(log, s.limits, s.prices);
  EXPECT_EQ(sum.illegal_moves, 0);
  for (const Action& a : log.actions) EXPECT_TRUE(is_ok(a.status)) << a.reason;
  // A rule that nothing can keep is named.
  for (Rule& r : s.permit->rules)
    if (r.name == "NOx 24 h") r.limit = 1;
  c.permit = s.permit;
  MpcPolicy strict(tiny(), s.limits, s.prices, c);
  const LoopLog broken = run_closed_loop(start_scenario(s), strict, rows(3));
  EXPECT_EQ(broken.actions[2].status, Status::limit_slacked);
  EXPECT_NE(broken.actions[2].reason.find("NOx 24 h"), std::string::npos) << broken.actions[2].reason;
}

TEST(MpcPolicy, APermitsMarginIsTakenOffItsRowsAlone) {
  Scenario s = boiler_60d(805);
  const auto first_rows = [&](double margin) {
    MpcConfig c = config();
    c.controller.bias = ControllerConfig::Bias::none;
    c.permit = s.permit;
    c.permit_margin = margin;
    std::vector<LimitRow> seen;
    c.solver = [&](Predictor& predictor, const std::vector<double>& applied,
                   const std::vector<LimitRow>& rows, const std::vector<double>&) {
      seen = rows;
      Matrix plan(predictor.horizon(), predictor.setpoints());
      for (Index t = 0; t < plan.rows; ++t) std::copy(applied.begin(), applied.end(), plan.row(t));
      return plan;
    };
    MpcPolicy policy(tiny(), s.limits, s.prices, c);
    run_closed_loop(start_scenario(s), policy, rows(1));
    return seen;
  };
  const std::vector<LimitRow> without = first_rows(0), with = first_rows(0.1);
  const PermitWatch watch(*s.permit, boiler_tags());
  ASSERT_EQ(without.size(), with.size());
  ASSERT_GT(without.size(), 12u);  // slip, a row a step, and more
  for (std::size_t i = 0; i < with.size(); ++i) {
    const auto limit = static_cast<std::size_t>(with[i].limit);
    const double taken = limit == 0 ? 0 : 0.1 * watch.limits()[limit - 1].limit;  // 0: slip, not the permit's
    EXPECT_NEAR(without[i].rhs - with[i].rhs, taken, 1e-9) << i;
  }
  MpcConfig c = config();
  c.permit_margin = -0.1;
  EXPECT_THROW(MpcPolicy(tiny(), s.limits, s.prices, c), InputError);
}

TEST(MpcPolicy, AnotherSolverStandsInTheControllersPlace) {
  const Scenario s = boiler_48h(801);
  MpcConfig c = config();
  c.controller.bias = ControllerConfig::Bias::additive;
  int calls = 0;
  c.solver = [&](Predictor& predictor, const std::vector<double>& applied, const std::vector<LimitRow>& rows,
                 const std::vector<double>& bias) {
    ++calls;
    EXPECT_FALSE(rows.empty());
    EXPECT_EQ(bias.size(), static_cast<std::size_t>(kOutputs));
    Matrix plan(predictor.horizon(), predictor.setpoints());
    for (Index t = 0; t < plan.rows; ++t) std::copy(applied.begin(), applied.end(), plan.row(t));
    return plan;
  };
  MpcPolicy policy(tiny(), s.limits, s.prices, c);
  const LoopLog log = run_closed_loop(start(), policy, rows(4));
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(log.setpoints(3, 0), log.applied_first[0]);
  EXPECT_EQ(log.actions[3].median.rows, 12);
  c.controller.bias = ControllerConfig::Bias::multiplicative;
  EXPECT_THROW(MpcPolicy(tiny(), s.limits, s.prices, c), InputError);
}

}  // namespace
}  // namespace emisopt
