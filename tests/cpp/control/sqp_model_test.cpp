// Steps on an older Jacobian with an exact gradient; and a Jacobian made between two ticks.
#include <gtest/gtest.h>

#include "control/log_plant.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/control/sqp.hpp"

namespace emisopt {
namespace {

ControllerConfig patient(int iterations, int adjoint) {
  ControllerConfig c;
  c.max_iterations = iterations;
  c.deadline_s = 100;
  c.adjoint_steps = adjoint;
  c.kkt_tolerance = 1e-6;
  return c;
}

TEST(Adjoint, FindsTheSameOptimumWithFewerJacobians) {
  int with = 0, without = 0, steps = 0;
  for (const std::vector<double>& start :
       {std::vector<double>{3, 0.5}, {5.5, 0.1}, {1.2, 1.1}, {2, 0.2}, {4.5, 0.9}}) {
    std::vector<double> found[2];
    for (const int adjoint : {0, 1}) {
      LogPlant plant;
      plant.backward = adjoint == 1;
      auto setpoints = log_setpoints();
      for (Setpoint& s : setpoints) s.rate = kMissing;
      Controller controller(setpoints, log_limits(), {nullptr, {0.5, 0.4}}, plant.h, 2,
                            patient(100, adjoint ? 6 : 0));
      const Decision d = controller.step(plant, start, {});
      EXPECT_EQ(d.status, Status::optimal) << d.reason << " kkt " << d.kkt;
      found[adjoint] = d.move;
      (adjoint ? with : without) += d.iterations;
      steps += d.adjoint;
      EXPECT_EQ(plant.jacobians, d.iterations);
    }
    EXPECT_NEAR(found[0][0], found[1][0], 0.01);
    EXPECT_NEAR(found[0][1], found[1][1], 0.003);
  }
  EXPECT_LT(2 * with, without);
  EXPECT_GT(steps, 5);
}

// OPTIMAL on an old Jacobian is confirmed by a backward pass at the point itself.
TEST(Adjoint, OptimalIsTrueAtTheFreshJacobianToo) {
  Rng rng(4);
  int confirmed = 0;
  for (int i = 0; i < 60; ++i) {
    LogPlant plant;
    plant.backward = true;
    plant.k = rng.uniform(0.2, 1);
    auto setpoints = log_setpoints();
    for (Setpoint& s : setpoints) s.move_weight = rng.uniform() < 0.5 ? 0 : rng.uniform(0, 20);
    auto limits = log_limits();
    limits[0].window = 1 + static_cast<int>(rng.below(6));
    limits[0].limit = rng.uniform(70, 150);
    const std::vector<double> price = {rng.uniform(), rng.uniform()}, start = {rng.uniform(2, 5), 0.6};
    plant.v = start;
    Controller controller(setpoints, limits, {nullptr, price}, plant.h, 2, patient(100, 8));
    const Decision d = controller.step(plant, start, {});
    if (d.status != Status::optimal || d.adjoint == 0) continue;
    ++confirmed;
    // A fresh controller that begins at that plan has nothing left to do: one Jacobian, same plan.
    plant.backward = false;
    Controller judge(setpoints, limits, {nullptr, price}, plant.h, 2, patient(100, 0));
    const Decision from = judge.step(plant, start, {});
    EXPECT_NEAR(from.cost, d.cost, 2e-4 * std::abs(d.cost)) << i;
  }
  EXPECT_GT(confirmed, 20);
}

TEST(Prepare, TheNextTickTakesNoJacobian) {
  LogPlant plant;
  plant.backward = true;
  plant.k = 0.4;
  Controller controller(log_setpoints(), log_limits(), {nullptr, {0.1, 0.1}}, plant.h, 2, patient(1, 0));
  EXPECT_FALSE(controller.prepare(plant));  // there is no plan yet
  std::vector<double> applied = {5, 0.2};
  plant.v = applied;
  applied = controller.step(plant, applied, {}).move;
  plant.advance(applied);
  ASSERT_TRUE(controller.prepare(plant));
  const int before = plant.jacobians;
  const Decision d = controller.step(plant, applied, {});
  EXPECT_EQ(plant.jacobians, before);
  EXPECT_EQ(d.adjoint, 1) << d.reason;
  EXPECT_TRUE(is_ok(d.status));
}

// Feedback on a prepared Jacobian drives the loop to where the fresh one does.
TEST(Prepare, LoopsEndWhereTheyWouldHaveEnded) {
  std::vector<double> end[2];
  double cost[2] = {0, 0};
  for (const int prepared : {0, 1}) {
    LogPlant plant;
    plant.backward = true;
    plant.k = 0.4;
    Controller controller(log_setpoints(), log_limits(), {nullptr, {0.1, 0.1}}, plant.h, 2, patient(1, 2));
    std::vector<double> applied = {5, 0.2};
    plant.v = applied;
    for (int tick = 0; tick < 40; ++tick) {
      const Decision d = controller.step(plant, applied, {});
      ASSERT_TRUE(is_ok(d.status)) << d.reason;
      applied = d.move;
      cost[prepared] += 5 * applied[0] + 20 * applied[1];
      plant.advance(applied);
      if (prepared) controller.prepare(plant);
    }
    end[prepared] = applied;
  }
  EXPECT_NEAR(end[0][0], end[1][0], 0.02);
  EXPECT_NEAR(end[0][1], end[1][1], 0.01);
  EXPECT_NEAR(cost[0], cost[1], 0.01 * cost[0]);
}

TEST(Prepare, WhatCannotBePreparedIsDoneInTheStep) {
  LogPlant plant;
  Controller controller(log_setpoints(), log_limits(), {nullptr, {0.1, 0.1}}, plant.h, 2, patient(1, 0));
  std::vector<double> applied = controller.step(plant, {3, 0.5}, {}).move;
  plant.nan_jacobian = true;
  EXPECT_FALSE(controller.prepare(plant));
  plant.nan_jacobian = false;
  const int before = plant.jacobians;
  EXPECT_TRUE(is_ok(controller.step(plant, applied, {}).status));
  EXPECT_EQ(plant.jacobians, before + 1);
  // After a failed tick there is no plan to prepare for.
  plant.nan_forecast = true;
  controller.step(plant, applied, {});
  EXPECT_FALSE(controller.prepare(plant));
}

}  // namespace
}  // namespace emisopt
