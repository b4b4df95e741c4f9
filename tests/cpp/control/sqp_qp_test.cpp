// Ranks one after the other, interlocks as hard rows, and more rows than there are steps.
#include <gtest/gtest.h>

#include "control/log_plant.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/control/sqp.hpp"

namespace emisopt {
namespace {

ControllerConfig patient(ControllerConfig::Ranks ranks = ControllerConfig::Ranks::penalty) {
  ControllerConfig c;
  c.max_iterations = 60;
  c.deadline_s = 100;
  c.ranks = ranks;
  return c;
}

// A lever of the first rank that weights cannot see: NOx falls by a hair at the price of a lot of CO. With
// weights a hundred apart CO is given only what pays a hundredfold; strictly, NOx is brought down as far as
// it will go.
TEST(Ranks, StrictlyTheFirstIsHeldWhateverTheSecondPays) {
  double nox[2], co[2];
  for (const int strict : {0, 1}) {
    LogPlant plant;
    auto setpoints = log_setpoints();
    for (Setpoint& s : setpoints) s.rate = kMissing;
    setpoints[1].low = 0.499;
    setpoints[1].high = 0.501;
    plant.b(0, 0) = 0.002;  // 1 of o2 lowers NOx by 0.2 %, and nearly doubles CO
    plant.a[0] = std::log(80.0) - 0.002 * 3 + 1.4 * 0.5;
    const std::vector<Limit> limits = {{.name = "NOx", .output = 0, .limit = 70, .rank = 1},
                                       {.name = "CO", .output = 1, .limit = 60, .rank = 2}};
    Controller controller(
        setpoints, limits, {nullptr, {0, 0}}, plant.h, 2,
        patient(strict ? ControllerConfig::Ranks::lexicographic : ControllerConfig::Ranks::penalty));
    const Decision d = controller.step(plant, {3, 0.5}, {});
    EXPECT_EQ(d.status, Status::limit_slacked) << d.reason;
    nox[strict] = d.median(plant.h - 1, 0);
    co[strict] = d.median(plant.h - 1, 1);
    if (strict) {
      EXPECT_NEAR(d.move[0], 1, 1e-3);  // o2 at its low bound
    }
  }
  EXPECT_LT(nox[1], nox[0]);
  EXPECT_GT(co[1], 2 * co[0]);
}

// Against the definition: a grid search that looks at the ranks one after the other, and at the cost last.
TEST(Ranks, AgreeWithAnExhaustiveSearch) {
  Rng rng(11);
  for (int i = 0; i < 12; ++i) {
    LogPlant plant;
    auto setpoints = log_setpoints();
    for (Setpoint& s : setpoints) s.rate = kMissing;
    setpoints[1].high = 0.6;
    std::vector<Limit> limits = {{.name = "NOx", .output = 0, .limit = rng.uniform(40, 70)},
                                 {.name = "CO", .output = 1, .limit = rng.uniform(20, 60)}};
    limits[0].rank = 1 + static_cast<int>(rng.below(2));
    limits[1].rank = 3 - limits[0].rank;
    Controller controller(setpoints, limits, {nullptr, {0, 0}}, plant.h, 2,
                          patient(ControllerConfig::Ranks::lexicographic));
    const Decision d = controller.step(plant, {3, 0.5}, {});
    ASSERT_TRUE(is_ok(d.status)) << d.reason;
    const auto judge = [&](const std::vector<double>& u) {
      std::vector<double> v(3);
      for (int o = 0; o < 2; ++o) {
        const Limit& l = limits[static_cast<std::size_t>(o)];
        v[static_cast<std::size_t>(l.rank - 1)] = std::max(0.0, plant.core(o, u) / l.limit - 1 + 1e-4);
      }
      v[2] = 5 * u[0] + 20 * u[1];
      return v;
    };
    std::vector<double> best = {1e9, 1e9, 1e9};
    constexpr int kPoints = 400;
    for (int a = 0; a <= kPoints; ++a)
      for (int b = 0; b <= kPoints; ++b) {
        const auto v = judge({1 + 5.0 * a / kPoints, 0.6 * b / kPoints});
        bool better = false;
        for (std::size_t r = 0; r < 3; ++r) {
          if (std::abs(v[r] - best[r]) < 1e-9) continue;
          better = v[r] < best[r];
          break;
        }
        if (better) best = v;
      }
    const auto got = judge(d.move);
    EXPECT_LE(got[0], best[0] + 2e-3) << i;
    if (got[0] > best[0] - 2e-3) {
      EXPECT_LE(got[1], best[1] + 2e-2) << i;
    }
  }
}

TEST(InterlockRows, BindInEveryStepOfThePlanAndTheOptimumLiesOnThem) {
  LogPlant plant;
  plant.k = 0.5;
  auto setpoints = log_setpoints();
  setpoints[0].price = -5;  // o2 wants up
  setpoints[1].price = -20;
  const Interlock sum{"o2 + 2 nh3", {1, 2}, 5};
  Controller controller(setpoints, {}, {nullptr, {0, 0}}, plant.h, 2, patient(), {}, {sum});
  std::vector<double> applied = {3, 0.5};
  for (int tick = 0; tick < 12; ++tick) {
    const Decision d = controller.step(plant, applied, {});
    EXPECT_EQ(d.status, Status::optimal) << d.reason;
    for (int t = 0; t < plant.h; ++t) ASSERT_LE(d.plan(t, 0) + 2 * d.plan(t, 1), 5);
    applied = d.move;
  }
  EXPECT_NEAR(applied[0] + 2 * applied[1], 5, 1e-6);
  // 20 per nh3 against 5 per o2: along o2 + 2 nh3 = 5 a unit of nh3 costs two of o2, so nh3 goes to its
  // bound.
  EXPECT_NEAR(applied[1], 1.2, 1e-3);
}

TEST(Rows, MoreOfThemThanStepsAreNoTrouble) {
  LogPlant plant;
  const std::vector<Limit> limits = {{.name = "NOx 10 min", .output = 0, .limit = 70}};
  std::vector<LimitRow> rows;
  for (int t = 0; t < plant.h; ++t)
    for (int part = 0; part < 6; ++part) rows.push_back({0, t, t, {1.0}, 70.0});
  Controller controller(log_setpoints(), limits, {nullptr, {0, 0}}, plant.h, 2, patient());
  const Decision d = controller.step(plant, {3, 0.5}, {}, rows);
  EXPECT_TRUE(is_ok(d.status)) << d.reason;
  EXPECT_LE(d.upper(plant.h - 1, 0), 70);
}

}  // namespace
}  // namespace emisopt
