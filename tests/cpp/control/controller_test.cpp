#include "emisopt/control/controller.hpp"

#include <gtest/gtest.h>

#include "control/log_plant.hpp"
#include "control/tanh_plant.hpp"
#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/control/moves.hpp"

namespace emisopt {
namespace {

ControllerConfig patient(int iterations = 20) {
  ControllerConfig c;
  c.max_iterations = iterations;
  c.deadline_s = 100;
  return c;
}
Controller standard(const LogPlant& plant, ControllerConfig config = patient()) {
  return Controller(log_setpoints(), log_limits(), {nullptr, {0, 0}}, plant.h, 2, std::move(config));
}
const std::vector<double> kApplied = {3, 0.5};

TEST(Controller, MovesAreLegalInTenThousandFaultyTicks) {
  Rng rng(42);
  int ok = 0, failed = 0, ticks = 0;
  for (int loop = 0; ticks < 10000; ++loop) {
    LogPlant plant;
    plant.h = 1 + static_cast<int>(rng.below(12));
    plant.k = rng.uniform(0.1, 1);
    plant.spread = rng.uniform(1, 1.5);
    auto setpoints = log_setpoints();
    for (Setpoint& s : setpoints) {
      s.rate = rng.uniform() < 0.2 ? kMissing : std::pow(10, rng.uniform(-3, 0));
      s.move_weight = rng.uniform() < 0.5 ? 0 : rng.uniform(0, 50);
      if (rng.uniform() < 0.3) s.safe = rng.uniform(s.low, s.high);
    }
    auto limits = log_limits();
    limits[0].window = 1 + static_cast<int>(rng.below(12));
    limits[0].limit = rng.uniform(20, 150);
    limits[1].rank = 1 + static_cast<int>(rng.below(2));
    ControllerConfig config = patient(1 + static_cast<int>(rng.below(3)));
    config.blocks = 1 + static_cast<int>(rng.below(6));
    config.max_hold = static_cast<int>(rng.below(4));
    config.bias = static_cast<ControllerConfig::Bias>(rng.below(3));
    double now = 0;
    config.deadline_s = 0.05;
    config.clock = [&] { return now; };
    plant.on_call = [&] { now += rng.uniform() < 0.1 ? 0.1 : 0.001; };
    const Moves moves(setpoints, plant.h, config.blocks);
    Controller controller(setpoints, limits, {nullptr, {0.1, 0.1}}, plant.h, 2, config);

    std::vector<double> applied = {rng.uniform(-2, 9), rng.uniform(-1, 2)}, command;
    Matrix past(20, 2, kMissing);
    for (int tick = 0; tick < 25; ++tick, ++ticks) {
      plant.nan_forecast = rng.uniform() < 0.1;
      plant.nan_jacobian = rng.uniform() < 0.1;
      plant.throws = rng.uniform() < 0.05;
      const double odd = rng.uniform();
      if (odd < 0.03)
        applied[0] = kMissing;
      else if (odd < 0.05)
        applied[1] = INFINITY;
      else if (odd < 0.07)
        applied[0] = rng.uniform(-1e6, 1e6);
      else if (odd < 0.08)
        applied[1] = -1e300;
      const Decision d = controller.step(plant, applied, past);
      ASSERT_EQ(d.move.size(), 2u);
      for (int u = 0; u < 2; ++u) {
        const auto at = static_cast<std::size_t>(u);
        ASSERT_TRUE(std::isfinite(d.move[at]));
        if (!std::isfinite(applied[at])) applied[at] = tick > 0 ? command[at] : d.move[at];
        const Setpoint& s = setpoints[at];
        const bool was_legal = applied[at] >= s.low && applied[at] <= s.high;
        if (was_legal) {
          ASSERT_GE(d.move[at], s.low);
          ASSERT_LE(d.move[at], s.high);
        }
        if (!std::isnan(s.rate)) {
          ASSERT_LE(std::abs(d.move[at] - applied[at]), s.rate);
        }
      }
      ASSERT_TRUE(moves.legal(d.move.data(), applied.data()));
      ASSERT_EQ(d.plan.rows, plant.h);
      for (int u = 0; u < 2; ++u) ASSERT_EQ(d.plan(0, u), d.move[static_cast<std::size_t>(u)]);
      for (int t = 1; t < plant.h; ++t) ASSERT_TRUE(moves.legal(d.plan.row(t), d.plan.row(t - 1)));
      ASSERT_EQ(d.reason.empty(), d.status == Status::optimal);
      is_ok(d.status) ? ++ok : ++failed;

      command = applied = d.move;
      plant.v = {std::clamp(plant.v[0], -5.0, 12.0), std::clamp(plant.v[1], -5.0, 5.0)};
      std::vector<double> y = plant.advance(applied);
      for (double& v : y) v *= std::exp(0.1 * rng.normal());
      if (rng.uniform() < 0.2) y[0] = kMissing;
      if (rng.uniform() < 0.2) y[1] = past(19, 1);  // frozen
      controller.observe(d.median.row(0), y.data(), rng.uniform() < 0.1);
      for (Index r = 0; r + 1 < 20; ++r) std::copy_n(past.row(r + 1), 2, past.row(r));
      std::copy(y.begin(), y.end(), past.row(19));
    }
  }
  EXPECT_GT(ok, 3000);
  EXPECT_GT(failed, 1000);
}

TEST(Controller, HealthyLoopsNeverFallBack) {
  Rng rng(43);
  int optimal = 0, slacked = 0, slacked_converged = 0, ticks = 0;
  for (int loop = 0; loop < 80; ++loop) {
    LogPlant plant;
    plant.k = rng.uniform(0.1, 1);
    plant.spread = rng.uniform(1, 1.5);
    auto setpoints = log_setpoints();
    for (Setpoint& s : setpoints) {
      s.rate = rng.uniform() < 0.2 ? kMissing : std::pow(10, rng.uniform(-2, 0));
      s.move_weight = rng.uniform() < 0.5 ? 0 : rng.uniform(0, 50);
    }
    auto limits = log_limits();
    limits[0].window = 1 + static_cast<int>(rng.below(12));
    limits[0].limit = rng.uniform(20, 150);  // often beyond reach
    limits[1].rank = 1 + static_cast<int>(rng.below(2));
    Controller controller(setpoints, limits, {nullptr, {rng.uniform(), rng.uniform()}}, plant.h, 2,
                          patient(3));
    std::vector<double> applied = {rng.uniform(1, 6), rng.uniform(0, 1.2)};
    plant.v = applied;
    Matrix past(20, 2, kMissing);
    for (int tick = 0; tick < 20; ++tick, ++ticks) {
      const Decision d = controller.step(plant, applied, past);
      ASSERT_TRUE(is_ok(d.status)) << "loop " << loop << " tick " << tick << ": " << d.reason;
      ASSERT_EQ(d.reason.find("QP"), std::string::npos) << d.reason;
      optimal += d.status == Status::optimal;
      if (d.status == Status::limit_slacked) {
        ++slacked;
        slacked_converged += d.kkt <= patient().kkt_tolerance;
      }
      applied = d.move;
      const std::vector<double> y = plant.advance(applied);
      for (Index r = 0; r + 1 < 20; ++r) std::copy_n(past.row(r + 1), 2, past.row(r));
      std::copy(y.begin(), y.end(), past.row(19));
    }
  }
  RecordProperty("optimal", optimal);  // docs/controller.md quotes these
  RecordProperty("slacked", slacked);
  RecordProperty("slacked_converged", slacked_converged);
  EXPECT_GT(optimal, ticks / 3);
  // A third of the ticks has a limit beyond reach: the rest, and those, converge within three Jacobians in
  // two cases of three. What does not is mostly the first ticks of a loop, which starts anywhere.
  EXPECT_GT(slacked, ticks / 4);
  EXPECT_GT(optimal, (ticks - slacked) * 2 / 3);
  EXPECT_GT(slacked_converged, slacked * 2 / 3);
}

// Costs and limits that are concave in places: the curvature learnt over many ticks must stay one that a QP
// can use. With Powell's damping it grew fivefold a tick along some of these loops and the QP failed.
TEST(Controller, HealthyLoopsOfBentPlantsNeverFallBack) {
  Rng rng(1);
  int optimal = 0, slacked = 0, ticks = 0;
  for (int loop = 0; loop < 50; ++loop) {
    const int users = 1 + static_cast<int>(rng.below(4)), outputs = 1 + static_cast<int>(rng.below(4));
    TanhPlant plant(rng, users, outputs);
    std::vector<Setpoint> setpoints(static_cast<std::size_t>(users));
    for (Setpoint& s : setpoints) {
      s.rate = rng.uniform() < 0.2 ? kMissing : std::pow(10, rng.uniform(-2, 0));
      s.move_weight = rng.uniform() < 0.5 ? 0 : rng.uniform(0, 50);
      s.price = rng.uniform(0, 50);
    }
    std::vector<Limit> limits(rng.below(3));
    for (Limit& l : limits)
      l = {.name = "limit",
           .output = static_cast<int>(rng.below(static_cast<std::uint64_t>(outputs))),
           .limit = rng.uniform(90, 140),
           .window = 1 + static_cast<int>(rng.below(12)),
           .rank = 1 + static_cast<int>(rng.below(2))};
    std::vector<double> price, applied;
    for (int o = 0; o < outputs; ++o) price.push_back(rng.uniform());
    for (int u = 0; u < users; ++u) applied.push_back(rng.uniform());
    Controller controller(setpoints, limits, {nullptr, price}, plant.h, outputs, patient(3));
    plant.v = applied;
    Matrix past(20, outputs, kMissing);
    for (int tick = 0; tick < 25; ++tick, ++ticks) {
      const Decision d = controller.step(plant, applied, past);
      ASSERT_TRUE(is_ok(d.status)) << "loop " << loop << " tick " << tick << ": " << d.reason;
      ASSERT_EQ(d.reason.find("QP"), std::string::npos) << d.reason;
      optimal += d.status == Status::optimal;
      slacked += d.status == Status::limit_slacked;
      applied = d.move;
      const std::vector<double> y = plant.advance(applied);
      for (Index r = 0; r + 1 < 20; ++r) std::copy_n(past.row(r + 1), outputs, past.row(r));
      std::copy(y.begin(), y.end(), past.row(19));
    }
  }
  RecordProperty("optimal", optimal);
  RecordProperty("slacked", slacked);
  EXPECT_GT(optimal, (ticks - slacked) * 3 / 4);
}

TEST(Controller, NanForecastHoldsAndSaysSo) {
  LogPlant plant;
  Controller controller = standard(plant);
  EXPECT_TRUE(is_ok(controller.step(plant, kApplied, {}).status));
  plant.nan_forecast = true;
  const Decision d = controller.step(plant, kApplied, {});
  EXPECT_EQ(d.status, Status::hold);
  EXPECT_EQ(d.move, kApplied);
  EXPECT_NE(d.reason.find("NaN"), std::string::npos);
  EXPECT_NE(d.reason.find("output 1 at step 3"), std::string::npos) << d.reason;
  EXPECT_TRUE(std::isnan(d.cost));
  EXPECT_TRUE(std::isnan(d.median(0, 0)));
}

TEST(Controller, HoldingTooLongRampsToSafeAndRecovers) {
  LogPlant plant;
  ControllerConfig config = patient();
  config.max_hold = 3;
  Controller controller = standard(plant, config);
  plant.nan_forecast = true;
  std::vector<double> applied = kApplied;
  for (int t = 0; t < 3; ++t) {
    const Decision d = controller.step(plant, applied, {});
    EXPECT_EQ(d.status, Status::hold);
    EXPECT_EQ(d.move, applied);
  }
  for (int t = 0; t < 12; ++t) {
    const Decision d = controller.step(plant, applied, {});
    EXPECT_EQ(d.status, Status::safe_ramp);
    const double expected =
        std::min(3.5, applied[0] + 0.3);  // safe: middle of the bounds, at the allowed rate
    EXPECT_NEAR(d.move[0], expected, 1e-12);
    applied = d.move;
  }
  EXPECT_NEAR(applied[0], 3.5, 1e-12);
  EXPECT_NEAR(applied[1], 0.6, 1e-12);
  plant.nan_forecast = false;
  EXPECT_TRUE(is_ok(controller.step(plant, applied, {}).status));
  plant.nan_forecast = true;
  EXPECT_EQ(controller.step(plant, applied, {}).status, Status::hold);  // the count starts again
}

TEST(Controller, FailedSolveFollowsThePreviousPlanThenRamps) {
  LogPlant plant;
  ControllerConfig config = patient();
  config.max_hold = 3;
  config.blocks = 24;
  Controller controller = standard(plant, config);
  const Decision good = controller.step(plant, kApplied, {});
  ASSERT_TRUE(is_ok(good.status));
  plant.nan_jacobian = true;
  std::vector<double> applied = good.move;
  for (int age = 1; age <= 3; ++age) {
    const Decision d = controller.step(plant, applied, {});
    EXPECT_EQ(d.status, Status::previous_plan_shifted) << d.reason;
    EXPECT_NE(d.reason.find("sensitivity"), std::string::npos);
    for (int u = 0; u < 2; ++u) EXPECT_DOUBLE_EQ(d.move[static_cast<std::size_t>(u)], good.plan(age, u));
    applied = d.move;
  }
  EXPECT_EQ(controller.step(plant, applied, {}).status, Status::safe_ramp);
}

TEST(Controller, FailedSolveWithoutAPlanHolds) {
  LogPlant plant;
  plant.nan_jacobian = true;
  Controller controller = standard(plant);
  const Decision d = controller.step(plant, kApplied, {});
  EXPECT_EQ(d.status, Status::hold);
  EXPECT_EQ(d.move, kApplied);
}

TEST(Controller, ExceptionOfThePredictorHoldsWithItsReason) {
  LogPlant plant;
  plant.throws = true;
  Controller controller = standard(plant);
  const Decision d = controller.step(plant, kApplied, {});
  EXPECT_EQ(d.status, Status::hold);
  EXPECT_NE(d.reason.find("sensor bus is down"), std::string::npos);
}

TEST(Controller, MissingCommandIsReplacedByTheLastOne) {
  LogPlant plant;
  Controller controller = standard(plant);
  const Decision first = controller.step(plant, kApplied, {});
  const Decision d = controller.step(plant, {kMissing, first.move[1]}, {});
  EXPECT_EQ(d.status, Status::hold);
  EXPECT_EQ(d.move, first.move);
  EXPECT_NE(d.reason.find("'o2'"), std::string::npos) << d.reason;
  Controller fresh = standard(plant);
  EXPECT_EQ(fresh.step(plant, {kMissing, 0.5}, {}).move[0], 3.5);  // its safe value: the middle
}

TEST(Controller, ZeroDeadlineStillAnswersWithTheBestStart) {
  LogPlant plant;
  ControllerConfig config = patient();
  config.deadline_s = 0;
  Controller controller = standard(plant, config);
  const Decision d = controller.step(plant, kApplied, {});
  EXPECT_EQ(d.status, Status::feasible_deadline);
  EXPECT_EQ(d.iterations, 0);
  EXPECT_EQ(plant.jacobians, 0);
  EXPECT_NE(d.reason.find("deadline"), std::string::npos);
}

TEST(Controller, DeadlineStopsBetweenTilesOfWork) {
  LogPlant plant;
  plant.k = 0.4;
  double now = 0;
  ControllerConfig config = patient(50);
  config.deadline_s = 1;
  config.clock = [&] { return now; };
  plant.on_call = [&] { now += 0.1; };  // 2 starts, a Jacobian, a step, what bends it: 0.5
  Controller controller = standard(plant, config);
  const Decision d = controller.step(plant, kApplied, {});
  EXPECT_EQ(d.status, Status::feasible_deadline);
  EXPECT_LE(d.seconds, 1 + 2 * 0.1);  // one tile beyond at most
  EXPECT_GE(d.iterations, 1);
  EXPECT_LE(d.iterations, 3);
}

TEST(Controller, RollingWindowRemembersAnExcursion) {
  LogPlant plant;
  auto setpoints = log_setpoints();
  for (Setpoint& s : setpoints) s.rate = kMissing;
  std::vector<Limit> limits = {{.name = "NOx 1 h", .output = 0, .limit = 100, .window = 12}};
  const auto first_nox = [&](double past_nox) {
    Controller controller(setpoints, limits, {nullptr, {0, 0}}, plant.h, 2, patient());
    const Decision d = controller.step(plant, kApplied, repeat_row({past_nox, 60}, 12));
    EXPECT_EQ(d.status, Status::optimal) << d.reason;
    for (int end = 0; end < plant.h; ++end) {  // the mean as the permit has it
      double sum = 0;
      for (int t = end - 11; t <= end; ++t) sum += t < 0 ? past_nox : d.upper(t, 0);
      EXPECT_LE(sum / 12, 100 + 1e-9);
    }
    return d.median(0, 0);
  };
  // Twelve rows ahead the window holds no past, so room saved up cannot be spent for good: 100 stays best.
  EXPECT_NEAR(first_nox(80), 100, 0.1);
  // 11 rows at 104 leave 56 for the row that completes the window.
  EXPECT_LE(first_nox(104), 56);
}

TEST(Controller, MissingPastLeavesTheLimitStanding) {
  LogPlant plant;
  std::vector<Limit> limits = {{.name = "NOx 1 h", .output = 0, .limit = 70, .window = 12}};
  auto setpoints = log_setpoints();
  for (Setpoint& s : setpoints) s.rate = kMissing;
  for (const Matrix& past : {Matrix(), Matrix(12, 2, kMissing)}) {
    Controller controller(setpoints, limits, {nullptr, {0, 0}}, plant.h, 2, patient());
    const Decision d = controller.step(plant, kApplied, past);
    EXPECT_TRUE(is_ok(d.status));
    EXPECT_TRUE(d.slacks.empty());
    double mean = 0;
    for (int t = 12; t < 24; ++t) mean += d.upper(t, 0) / 12;
    EXPECT_NEAR(mean, 70, 0.1);
  }
}

TEST(Controller, AlreadyAboveTheLimitIsNormal) {
  LogPlant plant;
  plant.k = 0.5;
  plant.v = {3, 0};  // NOx 161
  std::vector<Limit> limits = {{.name = "NOx", .output = 0, .limit = 100}};
  Controller controller(log_setpoints(), limits, {nullptr, {0, 0}}, plant.h, 2, patient());
  std::vector<double> applied = {3, 0};
  double before = HUGE_VAL;
  int slacked = 0;
  for (int t = 0; t < 15; ++t) {
    const Decision d = controller.step(plant, applied, {});
    ASSERT_TRUE(is_ok(d.status));
    if (d.status == Status::limit_slacked) {
      ++slacked;
      ASSERT_EQ(d.slacks.size(), 1u);
      EXPECT_EQ(d.slacks[0].limit, "NOx");
      EXPECT_EQ(d.slacks[0].first_step, 0);
      EXPECT_LT(d.slacks[0].amount, before);
      before = d.slacks[0].amount;
      // Nothing but the rate holds it back: full rate in both setpoints while NOx is above.
      if (t == 0) {
        EXPECT_NEAR(d.move[1], applied[1] + 0.1, 1e-3);
        EXPECT_NEAR(d.move[0], applied[0] - 0.3, 1e-3);
      }
    }
    applied = d.move;
    plant.advance(applied);
  }
  EXPECT_GE(slacked, 1);
  EXPECT_LE(slacked, 6);
  EXPECT_TRUE(controller.step(plant, applied, {}).slacks.empty());
}

TEST(Controller, BiasRemovesTheOffsetOfTheModel) {
  for (const auto kind : {ControllerConfig::Bias::additive, ControllerConfig::Bias::multiplicative}) {
    LogPlant model, truth;
    model.k = truth.k = 0.5;
    truth.a[0] += std::log(1.2);  // the plant makes 20 % more NOx and 10 % less CO than the model thinks
    truth.a[1] += std::log(0.9);
    ControllerConfig config = patient();
    config.bias = kind;
    Controller controller = standard(model, config);
    std::vector<double> applied = kApplied, y;
    Rng rng(9);
    for (int t = 0; t < 120; ++t) {
      const Decision d = controller.step(model, applied, {});
      ASSERT_TRUE(is_ok(d.status)) << d.reason;
      applied = d.move;
      y = truth.advance(applied);
      model.v = truth.v;
      for (double& v : y) v *= 1 + 1e-4 * rng.normal();
      controller.observe(d.median.row(0), y.data());
    }
    EXPECT_NEAR(y[0], 100, 0.5);  // the limits bind where they are, not where the model puts them
    EXPECT_NEAR(y[1], 125, 0.5);
    if (kind == ControllerConfig::Bias::multiplicative) {
      EXPECT_NEAR(controller.bias()[0], 1.2, 0.01);
    }
    controller.reset();
    EXPECT_EQ(controller.bias()[0], kind == ControllerConfig::Bias::additive ? 0 : 1);
  }
}

TEST(Controller, IdenticalInputsGiveIdenticalBits) {
  const auto run = [] {
    LogPlant plant;
    plant.k = 0.3;
    plant.spread = 1.1;
    Controller controller = standard(plant, patient(3));
    std::vector<double> applied = kApplied, log;
    Matrix past = repeat_row({90, 80}, 12);
    for (int t = 0; t < 30; ++t) {
      const Decision d = controller.step(plant, applied, past);
      applied = d.move;
      plant.advance(applied);
      log.insert(log.end(), d.plan.values.begin(), d.plan.values.end());
      log.insert(log.end(), {d.cost, d.kkt, static_cast<double>(d.iterations)});
    }
    return log;
  };
  EXPECT_EQ(run(), run());
}

TEST(Controller, OneIterationIsOptimalOnlyOnceItHasConverged) {
  LogPlant plant;
  plant.k = 0.4;
  Controller controller = standard(plant, patient(1));
  std::vector<double> applied = kApplied;
  Decision d = controller.step(plant, applied, {});
  EXPECT_EQ(d.status, Status::feasible_deadline) << d.reason << d.kkt;
  EXPECT_GT(d.kkt, 1e-5);
  for (int t = 0; t < 30; ++t) {
    applied = d.move;
    plant.advance(applied);
    d = controller.step(plant, applied, {});
    if (d.status == Status::optimal) {
      EXPECT_LE(d.kkt, 1e-5);
    }
  }
  EXPECT_EQ(d.status, Status::optimal) << d.reason;
}

TEST(Controller, WrongShapesThrow) {
  LogPlant plant;
  Controller controller = standard(plant);
  EXPECT_THROW(controller.step(plant, {1}, {}), ShapeError);
  EXPECT_THROW(controller.step(plant, {1, 2, 3}, {}), ShapeError);
  EXPECT_THROW(controller.step(plant, kApplied, Matrix(3, 1)), ShapeError);
  plant.disturbances = Matrix(3, 1);
  EXPECT_THROW(controller.step(plant, kApplied, {}), ShapeError);
  LogPlant shorter;
  shorter.h = 12;
  EXPECT_THROW(controller.step(shorter, kApplied, {}), ShapeError);
  LogPlant wider;
  wider.b = Matrix(2, 3);
  EXPECT_THROW(controller.step(wider, kApplied, {}), ShapeError);
}

TEST(Controller, RefusesBadSettings) {
  const LogPlant plant;
  const auto refused = [&](auto change) {
    ControllerConfig c;
    change(c);
    EXPECT_THROW(standard(plant, c), InputError);
  };
  refused([](ControllerConfig& c) { c.blocks = 0; });
  refused([](ControllerConfig& c) { c.max_iterations = 0; });
  refused([](ControllerConfig& c) { c.deadline_s = kMissing; });
  refused([](ControllerConfig& c) { c.slack_l1 = -1; });
  refused([](ControllerConfig& c) { c.trust = 0; });
  refused([](ControllerConfig& c) { c.kkt_tolerance = 0; });
  refused([](ControllerConfig& c) { c.limit_margin = 1; });
  refused([](ControllerConfig& c) { c.max_hold = -1; });
  refused([](ControllerConfig& c) { c.bias_gain = 0; });
  auto limits = log_limits();
  limits[0].output = 7;
  EXPECT_THROW(Controller(log_setpoints(), limits, {nullptr, {0, 0}}, 24, 2), InputError);
  EXPECT_THROW(Controller(log_setpoints(), {}, {nullptr, {0, 0}}, 24, 0), InputError);
}

}  // namespace
}  // namespace emisopt
