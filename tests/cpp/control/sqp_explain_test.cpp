// What a decision says of itself: prices against differences of the optimum, alternatives against the plant,
// the steady target against a search.
#include <gtest/gtest.h>

#include "control/log_plant.hpp"
#include "emisopt/base/error.hpp"
#include "emisopt/control/sqp.hpp"

namespace emisopt {
namespace {

ControllerConfig patient() {
  ControllerConfig c;
  c.max_iterations = 200;
  c.deadline_s = 100;
  c.kkt_tolerance = 1e-7;
  return c;
}
std::vector<Setpoint> free_setpoints() {
  auto list = log_setpoints();
  for (Setpoint& s : list) s.rate = kMissing;
  return list;
}
const std::vector<double> kApplied = {3, 0.5};

TEST(Explain, APriceIsWhatTheOptimumChangesBy) {
  const auto solve = [](double limit, Explanation* why) {
    LogPlant plant;
    auto limits = log_limits();
    limits[0].limit = limit;
    Controller controller(free_setpoints(), limits, {nullptr, {0, 0}}, plant.h, 2, patient());
    const Decision d = controller.step(plant, kApplied, {});
    EXPECT_EQ(d.status, Status::optimal) << d.reason;
    if (why) *why = controller.explain(plant);
    return d.cost;
  };
  Explanation why;
  solve(60, &why);
  const double slope = (solve(59.5, nullptr) - solve(60.5, nullptr)) / 1.0;
  ASSERT_FALSE(why.reasons.empty());
  const Reason* nox = nullptr;
  for (const Reason& r : why.reasons)
    if (r.name == "NOx") nox = &r;
  ASSERT_NE(nox, nullptr);
  EXPECT_EQ(nox->kind, Reason::Kind::limit);
  EXPECT_FALSE(nox->given_up);
  EXPECT_NEAR(nox->price, slope, 0.02 * slope);
  EXPECT_EQ(nox->last_step, 23);
}

TEST(Explain, BoundsRatesAndGivenUpLimitsAreToldApart) {
  LogPlant plant;
  auto setpoints = log_setpoints();  // with rates
  const std::vector<Limit> limits = {{.name = "NOx", .output = 0, .limit = 5}};
  Controller controller(setpoints, limits, {nullptr, {0, 0}}, plant.h, 2, patient());
  controller.step(plant, {5, 1}, {});
  const Explanation why = controller.explain(plant);
  bool given_up = false, rate = false, bound = false;
  for (const Reason& r : why.reasons) {
    given_up |= r.name == "NOx" && r.given_up;
    rate |= r.kind == Reason::Kind::rate && r.name == "o2";
    bound |= r.kind == Reason::Kind::bound && r.name == "nh3";
    EXPECT_GE(r.price, 0);
  }
  EXPECT_TRUE(given_up);
  EXPECT_TRUE(rate);
  EXPECT_TRUE(bound);
}

TEST(Explain, AlternativesAreForecastAndDearer) {
  LogPlant plant;
  auto limits = log_limits();
  limits[0].limit = 60;
  Controller controller(free_setpoints(), limits, {nullptr, {0, 0}}, plant.h, 2, patient());
  const Decision d = controller.step(plant, kApplied, {});
  const Explanation why = controller.explain(plant);
  ASSERT_EQ(why.alternatives.size(), 2u);  // both setpoints moved
  for (const Alternative& a : why.alternatives) {
    const std::size_t held = a.held == "o2" ? 0 : 1;
    EXPECT_EQ(a.move[held], kApplied[held]);
    if (a.slacks.empty()) {
      EXPECT_GE(a.extra, -1e-6 * d.cost);
    }
  }
  const Explanation asked = controller.explain(plant, {3.2, 0.9});
  ASSERT_EQ(asked.alternatives.size(), 1u);
  EXPECT_EQ(asked.alternatives[0].held, "");
  EXPECT_DOUBLE_EQ(asked.alternatives[0].move[0], 3.2);
  EXPECT_GT(asked.alternatives[0].extra, 0);
  EXPECT_THROW(controller.explain(plant, {1}), ShapeError);
  EXPECT_THROW(controller.explain(plant, {1, kMissing}), InputError);
}

TEST(Explain, NothingIsExplainedThatWasNotSolved) {
  LogPlant plant;
  Controller controller(free_setpoints(), log_limits(), {nullptr, {0, 0}}, plant.h, 2, patient());
  EXPECT_THROW(controller.explain(plant), StateError);
  plant.nan_forecast = true;
  controller.step(plant, kApplied, {});
  EXPECT_THROW(controller.explain(plant), StateError);
}

TEST(SteadyTarget, IsWhereALongLoopComesToRest) {
  LogPlant plant;
  plant.k = 0.6;  // settled long before the horizon ends
  Controller controller(log_setpoints(), log_limits(), {nullptr, {0, 0}}, plant.h, 2, patient());
  EXPECT_TRUE(controller.steady_target().empty());
  std::vector<double> applied = {3, 0.5};
  plant.v = applied;
  for (int tick = 0; tick < 40; ++tick) {
    applied = controller.step(plant, applied, {}).move;
    plant.advance(applied);
  }
  const std::vector<double> target = controller.steady_target();
  ASSERT_EQ(target.size(), 2u);
  EXPECT_NEAR(target[0], applied[0], 0.05);
  EXPECT_NEAR(target[1], applied[1], 0.02);
}

TEST(SteadyTarget, ATargetFromOutsideIsPulledTo) {
  LogPlant plant;
  ControllerConfig config = patient();
  config.target_weight = 1000;
  auto setpoints = log_setpoints();
  for (Setpoint& s : setpoints) s.price = 0;
  Controller controller(setpoints, log_limits(), {nullptr, {0, 0}}, plant.h, 2, config);
  TickInput input;
  input.steady_target = {4.2, 0.7};
  std::vector<double> applied = {3, 0.5};
  for (int tick = 0; tick < 12; ++tick)
    applied = controller.step(plant, applied, {}, limit_rows(log_limits(), {}, plant.h), input).move;
  EXPECT_NEAR(applied[0], 4.2, 0.01);
  EXPECT_NEAR(applied[1], 0.7, 0.01);
}

}  // namespace
}  // namespace emisopt
