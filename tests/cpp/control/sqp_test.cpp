// The optimisation, seen through Controller::step: does it find what an exhaustive search finds?
#include "emisopt/control/sqp.hpp"

#include <gtest/gtest.h>

#include "control/log_plant.hpp"
#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

ControllerConfig patient(int iterations = 60) {
  ControllerConfig c;
  c.max_iterations = iterations;
  c.deadline_s = 100;
  return c;
}

std::vector<Setpoint> free_setpoints() {
  auto list = log_setpoints();
  for (Setpoint& s : list) s.rate = kMissing;
  return list;
}

// Cheapest constant plan on a grid of the box, by cost per step; the lag-free plant's optimum is constant.
template <class Cost, class Allowed>
double grid_minimum(const std::vector<Setpoint>& s, Cost cost, Allowed allowed, std::vector<double>& at) {
  double best = HUGE_VAL;
  constexpr int kPoints = 1500;
  for (int i = 0; i <= kPoints; ++i)
    for (int j = 0; j <= kPoints; ++j) {
      const std::vector<double> u = {s[0].low + (s[0].high - s[0].low) * i / kPoints,
                                     s[1].low + (s[1].high - s[1].low) * j / kPoints};
      if (!allowed(u)) continue;
      const double c = cost(u);
      if (c < best) best = c, at = u;
    }
  return best;
}

TEST(Sqp, FindsTheGridOptimumWhereTwoLimitsMeet) {
  LogPlant plant;
  const auto setpoints = free_setpoints();
  const auto limits = log_limits();
  std::vector<double> at;
  const double best = grid_minimum(
      setpoints, [&](const auto& u) { return 5 * u[0] + 20 * u[1]; },
      [&](const auto& u) { return plant.core(0, u) <= 100 && plant.core(1, u) <= 125; }, at);
  Controller controller(setpoints, limits, {nullptr, {0, 0}}, plant.h, 2, patient());
  const Decision d = controller.step(plant, {4.5, 0.9}, {});
  EXPECT_EQ(d.status, Status::optimal) << d.reason;
  EXPECT_NEAR(d.cost / plant.h, best, 2e-3 * best);
  EXPECT_NEAR(d.move[0], at[0], 0.01);
  EXPECT_NEAR(d.move[1], at[1], 0.01);
  EXPECT_TRUE(d.slacks.empty());
  for (int t = 0; t < plant.h; ++t) {
    EXPECT_LE(d.upper(t, 0), 100);  // hold truly, not up to a tolerance
    EXPECT_LE(d.upper(t, 1), 125);
  }
}

// A forecaster in fp32 rounds: near the optimum a step gains less than that, and no value can confirm it.
struct RoundedPlant : LogPlant {
  void predict(View median, View upper, ConstView plan) override {
    LogPlant::predict(median, upper, plan);
    for (int t = 0; t < h; ++t)
      for (int o = 0; o < outputs(); ++o) {
        median(t, o) = 1e-5 * std::round(1e5 * median(t, o));  // of 100: some 8e-8
        upper(t, o) = 1e-5 * std::round(1e5 * upper(t, o));
      }
  }
};

TEST(Sqp, RoundedForecastsDoNotHideTheOptimum) {
  RoundedPlant plant;
  auto setpoints = free_setpoints();
  setpoints[0].price = 0;
  setpoints[1].price = 60;
  for (const auto& limits : {std::vector<Limit>{}, log_limits()})
    for (const std::vector<double>& start :
         {std::vector<double>{1, 0}, {6, 1.2}, {3, 0.5}, {1, 1.2}, {4.5, 0.9}}) {
      ControllerConfig config = patient();
      config.kkt_tolerance = 1e-6;
      Controller controller(setpoints, limits, {nullptr, {1, 0.8}}, plant.h, 2, config);
      const Decision d = controller.step(plant, start, {});
      EXPECT_EQ(d.status, Status::optimal) << d.reason << " kkt " << d.kkt << " from " << start[0];
      EXPECT_LE(d.iterations, 40);
    }
}

TEST(Sqp, FindsTheInteriorOptimumOfACurvedCost) {
  LogPlant plant;
  auto setpoints = free_setpoints();
  setpoints[0].price = 0;
  std::vector<double> at;
  const double best = grid_minimum(
      setpoints, [&](const auto& u) { return 1.0 * plant.core(0, u) + 0.8 * plant.core(1, u) + 60 * u[1]; },
      [](const auto&) { return true; }, at);
  setpoints[1].price = 60;
  for (const std::vector<double>& start : {std::vector<double>{1, 0}, {6, 1.2}, {3, 0.5}, {1, 1.2}}) {
    Controller controller(setpoints, {}, {nullptr, {1, 0.8}}, plant.h, 2, patient());
    const Decision d = controller.step(plant, start, {});
    EXPECT_EQ(d.status, Status::optimal) << d.reason << " kkt " << d.kkt << " from " << start[0];
    EXPECT_NEAR(d.cost / plant.h, best, 1e-4 * best);
    EXPECT_NEAR(d.move[0], at[0], 0.05);
    EXPECT_NEAR(d.move[1], at[1], 0.02);
    EXPECT_LE(d.iterations, 40);
  }
}

// q = (NOx - 90)^2: a tracking cost, whose curvature Gauss-Newton has to see.
struct Tracking : OutputMap {
  std::vector<std::string> list{"deviation^2"};
  const std::vector<std::string>& names() const override { return list; }
  void value(double* q, const double* y, const double*, const double*) const override {
    q[0] = (y[0] - 90) * (y[0] - 90);
  }
  void vjp(double* dy, double*, const double* seed, const double* y, const double*,
           const double*) const override {
    dy[0] += seed[0] * 2 * (y[0] - 90);
  }
};

TEST(Sqp, TracksATargetThroughACurvedMap) {
  LogPlant plant;
  plant.k = 0.3;
  Controller controller(free_setpoints(), {}, {std::make_shared<Tracking>(), {1}}, plant.h, 2, patient());
  const Decision d = controller.step(plant, {3, 0.5}, {});
  EXPECT_TRUE(is_ok(d.status));
  EXPECT_NEAR(d.median(plant.h - 1, 0), 90, 1);  // setpoint prices pull a little
}

TEST(Sqp, NoLegalPlanNearTheAnswerIsBetter) {
  LogPlant plant;
  plant.k = 0.35;
  plant.spread = 1.15;
  auto setpoints = log_setpoints();
  setpoints[0].move_weight = setpoints[1].move_weight = 30;
  auto limits = log_limits();
  limits[0].window = 6;
  const Matrix past = repeat_row({98, 100}, 12);
  const Moves moves(setpoints, plant.h, 6);
  const std::vector<double> applied = {3, 0.5};
  Controller controller(setpoints, limits, {nullptr, {0.01, 0.02}}, plant.h, 2, patient());
  const Decision d = controller.step(plant, applied, past);
  ASSERT_EQ(d.status, Status::optimal) << d.reason << " kkt " << d.kkt;

  const Economics economics({nullptr, {0.01, 0.02}}, {}, moves, 2);
  const auto rows = limit_rows(limits, past, plant.h);
  Matrix x(6, 2), plan(plant.h, 2), median(plant.h, 2), upper(plant.h, 2);
  const auto merit = [&](bool& holds) {
    plant.predict(median, upper, plan);
    holds = true;
    for (const LimitRow& row : rows) {
      double v = 0;
      for (int t = row.first_step; t <= row.end_step; ++t)
        v += row.coefficient[static_cast<std::size_t>(t - row.first_step)] *
             upper(t, limits[static_cast<std::size_t>(row.limit)].output);
      holds &= v <= row.rhs - 1e-4 * limits[static_cast<std::size_t>(row.limit)].limit;
    }
    return economics.value(plan, median, {}, applied.data()).total();
  };
  bool holds = false;
  plan = d.plan;
  const double answer = merit(holds);
  Rng rng(7);
  int legal = 0;
  for (int round = 0; round < 20000; ++round) {
    moves.sample(x, d.plan, 0);
    const double size = std::pow(10, rng.uniform(-4, 0));
    for (double& v : x.values) v += size * rng.normal();
    moves.legalise_blocks(x, applied.data());
    moves.expand(plan, x, applied.data());
    const double other = merit(holds);
    if (!holds) continue;
    ++legal;
    EXPECT_GE(other, answer - 1e-4 * std::abs(answer)) << "round " << round;
  }
  EXPECT_GT(legal, 500);
}

TEST(Sqp, MoreIterationsNeverCostMore) {
  LogPlant plant;
  plant.k = 0.5;
  double before = HUGE_VAL;
  for (int iterations : {1, 2, 3, 5, 8, 15, 40}) {
    Controller controller(log_setpoints(), log_limits(), {nullptr, {1, 0.8}}, plant.h, 2,
                          patient(iterations));
    const Decision d = controller.step(plant, {3, 0.5}, {});
    ASSERT_TRUE(d.slacks.empty());
    EXPECT_LE(d.cost, before * (1 + 1e-6)) << iterations;
    EXPECT_LE(d.iterations, iterations);
    before = d.cost;
  }
}

TEST(Sqp, AutomaticWeightIsExactForAWeakLever) {
  // Holding the limit costs 1000 times what the plan costs otherwise: a fixed weight would be too small.
  LogPlant plant;
  auto setpoints = free_setpoints();
  setpoints[0].price = 1e-3;
  setpoints[1].low = 0;
  setpoints[1].price = 0;
  plant.b(0, 0) = 1e-3;  // o2 hardly moves NOx, and nh3 not at all
  plant.b(0, 1) = 0;
  plant.b(1, 0) = 0;
  plant.a[0] = std::log(100.0) - 1e-3 * 3;  // at o2 = 3 exactly 100
  setpoints[0].price = -1e3;                // every unit of o2 earns
  std::vector<Limit> limits = {{.name = "NOx", .output = 0, .limit = 100}};
  ControllerConfig config = patient();
  config.limit_margin = 1e-7;
  Controller controller(setpoints, limits, {nullptr, {0, 0}}, plant.h, 2, config);
  const Decision d = controller.step(plant, {2, 0.5}, {});
  EXPECT_TRUE(d.slacks.empty()) << d.reason;
  EXPECT_NEAR(d.move[0], 3, 1e-3);
}

TEST(Sqp, RankOrderDecidesAConflict) {
  // NOx <= 60 and CO <= 40 cannot both hold without reagent; whichever ranks first holds.
  LogPlant plant;
  auto setpoints = free_setpoints();
  setpoints[1].high = 0.501;
  setpoints[1].low = 0.499;
  for (const int first : {0, 1}) {
    std::vector<Limit> limits = {{.name = "NOx", .output = 0, .limit = 60},
                                 {.name = "CO", .output = 1, .limit = 40}};
    limits[static_cast<std::size_t>(1 - first)].rank = 2;
    Controller controller(setpoints, limits, {nullptr, {0, 0}}, plant.h, 2, patient());
    const Decision d = controller.step(plant, {3, 0.5}, {});
    EXPECT_EQ(d.status, Status::limit_slacked);
    ASSERT_EQ(d.slacks.size(), 1u) << d.reason;
    EXPECT_EQ(d.slacks[0].limit, limits[static_cast<std::size_t>(1 - first)].name);
    EXPECT_EQ(d.slacks[0].first_step, 0);
    EXPECT_EQ(d.slacks[0].last_step, plant.h - 1);
    // And no more of the lesser limit is given up than the first needs.
    const int lesser = 1 - first;
    const double o2 = first == 0 ? 3 + std::log(60.0 / 80) / 0.2 : 3 - std::log(40.0 / 60) / 0.7;
    const double least = plant.core(lesser, {o2, first == 0 ? 0.501 : 0.501});
    EXPECT_NEAR(d.slacks[0].amount, least - limits[static_cast<std::size_t>(lesser)].limit, 0.02 * least);
  }
}

TEST(Sqp, EnvelopeKeepsThePlanInside) {
  LogPlant plant;
  const auto setpoints = free_setpoints();
  Envelope envelope;
  envelope.mean = {3.5, 0.6};
  envelope.precision = Matrix(2, 2);
  envelope.precision(0, 0) = 1 / (0.4 * 0.4);
  envelope.precision(1, 1) = 1 / (0.1 * 0.1);
  envelope.radius2 = 4;
  envelope.weight = 100;
  const auto m2 = [&](const Decision& d) {
    const double a = (d.move[0] - 3.5) / 0.4, b = (d.move[1] - 0.6) / 0.1;
    return a * a + b * b;
  };
  Controller free(setpoints, {}, {nullptr, {0, 0}}, plant.h, 2, patient());
  Controller held(setpoints, {}, {nullptr, {0, 0}}, plant.h, 2, patient(), envelope);
  EXPECT_GT(m2(free.step(plant, {3.5, 0.6}, {})), 30);
  const Decision d = held.step(plant, {3.5, 0.6}, {});
  EXPECT_TRUE(is_ok(d.status));
  EXPECT_LT(m2(d), 4.3);
  EXPECT_GT(m2(d), 3.5);  // the prices push it to the edge
}

struct Loop {
  LogPlant plant;
  std::vector<Setpoint> setpoints = log_setpoints();
  std::vector<Limit> limits = log_limits();
  std::vector<double> price{0.5, 0.5};
  std::vector<double> applied{3, 0.5};

  std::vector<Decision> run(int ticks, int iterations) {
    Controller controller(setpoints, limits, {nullptr, price}, plant.h, 2, patient(iterations));
    std::vector<Decision> list;
    plant.v = applied;
    for (int t = 0; t < ticks; ++t) {
      list.push_back(controller.step(plant, applied, {}));
      applied = list.back().move;
      plant.advance(applied);
    }
    return list;
  }
};

// While NOx cannot hold, its multipliers are a thousand times what the plan costs; once it can, they are of
// the cost's size. Curvature learnt of both together kept this loop from converging for as long as it ran.
TEST(Sqp, CurvatureOfAGivenUpLimitIsNotCarriedOn) {
  Loop loop;
  loop.plant.k = 0.5;
  loop.plant.spread = 1.35;
  loop.setpoints[0].rate = 0.04;
  loop.setpoints[1].rate = kMissing;
  loop.setpoints[1].move_weight = 48;
  loop.limits[0] = {.name = "NOx", .output = 0, .limit = 77, .window = 3};
  loop.limits[1].rank = 2;
  loop.applied = {4.5, 0.0};
  const auto list = loop.run(20, 3);
  int slacked = 0, optimal = 0, last = 0;
  for (int t = 0; t < 20; ++t) {
    const Status status = list[static_cast<std::size_t>(t)].status;
    if (status == Status::limit_slacked) ++slacked, last = t;
    optimal += status == Status::optimal;
  }
  EXPECT_GE(slacked, 1);
  EXPECT_LE(last, 8);
  EXPECT_GE(optimal, 20 - last - 3) << slacked;
}

// At rest on a curved limit the full step always ends a little beyond it. Halving it instead of bending it
// back gains one bit per iteration.
TEST(Sqp, StepsBendAlongACurvedLimit) {
  Loop loop;
  loop.plant.k = 0.54;
  loop.plant.spread = 1.15;
  loop.setpoints[0].rate = 0.052;
  loop.setpoints[1].rate = 0.933;
  loop.setpoints[1].move_weight = 19.5;
  loop.limits[0].window = 3;
  loop.limits[1].rank = 2;
  loop.price = {0.04, 0.97};
  const auto list = loop.run(20, 20);
  for (std::size_t t = 2; t < 20; ++t) {
    EXPECT_EQ(list[t].status, Status::optimal) << list[t].reason;
    EXPECT_LE(list[t].iterations, 4) << t;
  }
}

// Half of these loops' ticks say OPTIMAL; none of them may be beaten by a legal plan nearby, as judged by the
// plant itself.
TEST(Sqp, NoOptimalTickIsBeatenNearby) {
  Rng rng(17);
  int checked = 0;
  for (int number = 0; number < 20; ++number) {
    Loop loop;
    loop.plant.k = rng.uniform(0.1, 1);
    loop.plant.spread = rng.uniform(1, 1.3);
    for (Setpoint& s : loop.setpoints) {
      s.rate = rng.uniform() < 0.2 ? kMissing : std::pow(10, rng.uniform(-2, 0));
      s.move_weight = rng.uniform() < 0.5 ? 0 : rng.uniform(0, 50);
    }
    loop.limits[0].limit = rng.uniform(60, 150);
    loop.price = {rng.uniform(), rng.uniform()};
    loop.applied = {rng.uniform(1, 6), rng.uniform(0, 1.2)};
    loop.plant.v = loop.applied;
    const Moves moves(loop.setpoints, loop.plant.h, 6);
    const Economics economics({nullptr, loop.price}, {}, moves, 2);
    Controller controller(loop.setpoints, loop.limits, {nullptr, loop.price}, loop.plant.h, 2, patient(3));
    Matrix x(6, 2), plan(loop.plant.h, 2), median(loop.plant.h, 2), upper(loop.plant.h, 2);
    for (int tick = 0; tick < 12; ++tick) {
      const std::vector<double> before = loop.applied;
      const Decision d = controller.step(loop.plant, before, {});
      const double answer = economics.value(d.plan, d.median, {}, before.data()).total();
      for (int round = 0; d.status == Status::optimal && round < 100; ++round, ++checked) {
        moves.sample(x, d.plan, 0);
        const double size = std::pow(10, rng.uniform(-4, -0.5));
        for (double& v : x.values) v += size * rng.normal();
        moves.legalise_blocks(x, before.data());
        moves.expand(plan, x, before.data());
        loop.plant.predict(median, upper, plan);
        bool holds = true;
        for (int t = 0; t < loop.plant.h; ++t)
          for (int o = 0; o < 2; ++o) {
            const double limit = loop.limits[static_cast<std::size_t>(o)].limit;
            holds &= upper(t, o) <= limit - 1e-4 * limit;
          }
        if (holds) {
          EXPECT_GE(economics.value(plan, median, {}, before.data()).total(),
                    answer - 1e-5 * std::abs(answer));
        }
      }
      loop.applied = d.move;
      loop.plant.advance(loop.applied);
    }
  }
  EXPECT_GT(checked, 5000);
}

// Rows that a permit made are held as the controller's own are.
TEST(Sqp, HoldsRowsOfAPermit) {
  LogPlant plant;
  const std::vector<double> applied = {3, 0.5};
  std::vector<Limit> limits = log_limits();
  limits[0].window = 6;
  Matrix past(5, 2, 90.0);
  past(4, 0) = 160;
  const auto make = [&] {
    return Controller(log_setpoints(), limits, {nullptr, {0, 0}}, plant.h, 2, patient());
  };
  Controller own = make(), given = make();
  const Decision a = own.step(plant, applied, past);
  const Decision b = given.step(plant, applied, past, limit_rows(limits, past, plant.h));
  EXPECT_EQ(a.move, b.move);
  EXPECT_EQ(a.status, b.status);

  // A calendar hour that has 40 left for its last two steps: only these steps give way.
  LimitRow hour;
  hour.limit = 0;
  hour.first_step = 0;
  hour.end_step = 1;
  hour.coefficient = {0.25, 0.25};
  hour.rhs = 37;
  const Decision c = make().step(plant, applied, past, {hour});
  EXPECT_EQ(c.status, Status::optimal);
  EXPECT_LE(0.25 * (c.median(0, 0) + c.median(1, 0)), 37 + 1e-6);
  EXPECT_GT(c.median(10, 0), 76);

  hour.limit = 2;
  EXPECT_THROW(make().step(plant, applied, past, {hour}), InputError);
  hour.limit = 0;
  hour.end_step = 2;
  EXPECT_THROW(make().step(plant, applied, past, {hour}), InputError);
  hour.first_step = plant.h - 1;
  hour.end_step = plant.h;
  EXPECT_THROW(make().step(plant, applied, past, {hour}), InputError);
}

}  // namespace
}  // namespace emisopt
